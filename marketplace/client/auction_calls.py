"""The endpoints of order auctions, as functions that return a request as a value, for both clients.

Amounts are decimal text, such as "3.50", or whole numbers, never floats; so are rates, which are output per input. A
book is `default` unless another is named. What creates something takes an `idempotency_key`; one is drawn where none is
given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from marketplace.client.requests import PAGE_SIZE, Call, Goal, Listing, create, query_of
from marketplace.client.wallet_calls import Amount, text_of
from marketplace.wire import auctions

PATH = "/api/v1/auctions"
BOOKS = f"{PATH}/books"
ORDERS = f"{PATH}/orders"
WAIT_SECONDS = 20
"""Of one long poll: less than a client waits for an answer."""


# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_auction_book(
    book: str,
    *,
    tick_seconds: float = 2.0,
    batch_size: int = 5,
    bidding_window_seconds: float = 5.0,
    fulfil_seconds: float = 10.0,
    grace_seconds: float = 2.0,
    bond: Amount | None = None,
    escrow: auctions.Escrow = "ledger",
    idempotency_key: str | None = None,
) -> Call[auctions.AuctionBook]:
    """Open a book of orders. Conflict where there is one of that name."""
    body = auctions.NewBook(
        book, tick_seconds, batch_size, bidding_window_seconds, fulfil_seconds, grace_seconds, _or_none(bond), escrow
    )
    return create(BOOKS, body, auctions.AuctionBook, key=idempotency_key)


def change_auction_book(
    book: str,
    *,
    tick_seconds: float | UnsetType = UNSET,
    batch_size: int | UnsetType = UNSET,
    bidding_window_seconds: float | UnsetType = UNSET,
    fulfil_seconds: float | UnsetType = UNSET,
    grace_seconds: float | UnsetType = UNSET,
    bond: Amount | UnsetType | None = UNSET,
    escrow: auctions.Escrow | UnsetType = UNSET,
) -> Call[auctions.AuctionBook]:
    """Change what is given; commitments that exist keep their deadlines."""
    body = auctions.BookChange(
        tick_seconds,
        batch_size,
        bidding_window_seconds,
        fulfil_seconds,
        grace_seconds,
        bond if bond is UNSET or bond is None else text_of(bond),
        escrow,
    )
    return Call("PATCH", _book(book), auctions.AuctionBook, body=msgspec.json.encode(body))


def auction_books(*, page_size: int = PAGE_SIZE) -> Listing[auctions.AuctionBook]:
    """List the books by name."""
    return Listing(Call("GET", BOOKS, auctions.Books, query_of(limit=page_size)))


def auction_book(book: str = auctions.DEFAULT_BOOK) -> Call[auctions.AuctionBook]:
    """Read one book's settings, and where its log ends."""
    return Call("GET", _book(book), auctions.AuctionBook)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def place_order(
    description: str,
    *,
    username: str | None = None,
    book: str = auctions.DEFAULT_BOOK,
    payload: Mapping[str, Any] | None = None,
    output_asset: str = auctions.CREDIT,
    limit_output: Amount | None = None,
    input_asset: str = auctions.CREDIT,
    input_budget: Amount | None = None,
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Call[auctions.Order]:
    """Put an order out to solvers. `input_budget` is held from the wallet: Unaffordable where less is available."""
    body = auctions.NewOrder(
        description,
        username,
        book,
        None if payload is None else dict(payload),
        output_asset,
        _or_none(limit_output),
        input_asset,
        _or_none(input_budget),
        expires_at,
    )
    return create(ORDERS, body, auctions.Order, key=idempotency_key)


def order(order_id: int) -> Call[auctions.Order]:
    """Read one order."""
    return Call("GET", _order(order_id), auctions.Order)


def orders(
    *,
    book: str | None = None,
    username: str | None = None,
    state: auctions.OrderState | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[auctions.Order]:
    """List orders, oldest first."""
    query = query_of(book=book, username=username, state=state, limit=page_size)
    return Listing(Call("GET", ORDERS, auctions.AuctionOrders, query))


def cancel_order(order_id: int) -> Call[auctions.Order]:
    """Take an order back, and its budget. Conflict once a solver has committed."""
    read = order(order_id)
    goal = Goal(read, lambda found: found.state == "cancelled")
    return Call("DELETE", read.path, auctions.Order, goal=goal)


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def bid_on_order(
    order_id: int,
    *,
    max_input: Amount,
    conversion_rate: Amount,
    valid_till: datetime,
    solver: str | None = None,
    idempotency_key: str | None = None,
) -> Call[auctions.SolverBid]:
    """Bid on an order: at most `max_input` taken, `max_input` × `conversion_rate` given. A newer bid replaces it."""
    body = auctions.NewSolverBid(text_of(max_input), text_of(conversion_rate), valid_till, solver)
    return create(f"{_order(order_id)}/bids", body, auctions.SolverBid, key=idempotency_key)


def order_bids(order_id: int, *, page_size: int = PAGE_SIZE) -> Listing[auctions.SolverBid]:
    """List the bids on an order, by solver: one's own, and others' once they are no longer sealed."""
    return Listing(Call("GET", f"{_order(order_id)}/bids", auctions.SolverBids, query_of(limit=page_size)))


# ── commitments ──────────────────────────────────────────────────────────────────────────────────────────────────────


def commitments(
    book: str = auctions.DEFAULT_BOOK,
    *,
    order_id: int | None = None,
    solver: str | None = None,
    state: auctions.CommitmentState | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[auctions.Commitment]:
    """List who has committed to which order of a book, oldest first."""
    query = query_of(order_id=order_id, solver=solver, state=state, limit=page_size)
    return Listing(Call("GET", f"{_book(book)}/commitments", auctions.Commitments, query))


def commitment(commitment_id: int, *, book: str = auctions.DEFAULT_BOOK) -> Call[auctions.Commitment]:
    """Read one commitment."""
    return Call("GET", f"{_book(book)}/commitments/{commitment_id}", auctions.Commitment)


def deposit_output(
    order_id: int,
    amount: Amount | None = None,
    *,
    reference: str | None = None,
    solver: str | None = None,
    idempotency_key: str | None = None,
) -> Call[auctions.Deposited]:
    """Deliver into escrow; without an amount, what is missing. Conflict where the deadline and its grace are over."""
    body = auctions.NewDelivery(_or_none(amount), reference, solver)
    return create(f"{_order(order_id)}/deposits", body, auctions.Deposited, key=idempotency_key)


def claim_delivery(
    order_id: int, *, solver: str | None = None, idempotency_key: str | None = None
) -> Call[auctions.Commitment]:
    """Say that it is delivered, where the book takes a solver's word for it."""
    return create(f"{_order(order_id)}/claims", auctions.NewClaim(solver), auctions.Commitment, key=idempotency_key)


# ── the log of a book ────────────────────────────────────────────────────────────────────────────────────────────────


class UpToHead(Listing[auctions.Entry]):
    """Pages until the head of the log is reached."""

    def following(self, page: Any) -> Call[Any] | None:
        return None if page.next >= page.head else _from(self.first, page.next)


class Endless(Listing[auctions.Entry]):
    """Pages without an end: each call waits until there is something."""

    def following(self, page: Any) -> Call[Any] | None:
        return _from(self.first, page.next)


def auction_log_page(
    book: str = auctions.DEFAULT_BOOK, *, from_offset: int = 0, limit: int = PAGE_SIZE, wait_seconds: float = 0
) -> Call[auctions.Entries]:
    """Read one page of a book's log; where there is nothing, wait for it. Go on with `from_offset` = `next`."""
    query = {"from": str(from_offset), **query_of(limit=limit, wait_seconds=wait_seconds or None)}
    return Call("GET", f"{_book(book)}/log", auctions.Entries, query)


def auction_log(
    book: str = auctions.DEFAULT_BOOK, *, from_offset: int = 0, page_size: int = PAGE_SIZE
) -> Listing[auctions.Entry]:
    """List a book's log from an offset on, up to now."""
    return UpToHead(auction_log_page(book, from_offset=from_offset, limit=page_size))


def follow_auction_log(
    book: str = auctions.DEFAULT_BOOK, *, from_offset: int = 0, page_size: int = PAGE_SIZE
) -> Listing[auctions.Entry]:
    """List a book's log from an offset on, as it grows, without an end."""
    return Endless(auction_log_page(book, from_offset=from_offset, limit=page_size, wait_seconds=WAIT_SECONDS))


# ── solvers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def solvers(book: str = auctions.DEFAULT_BOOK, *, page_size: int = PAGE_SIZE) -> Listing[auctions.Solver]:
    """List how solvers keep their word in a book, by name."""
    return Listing(Call("GET", f"{_book(book)}/solvers", auctions.Solvers, query_of(limit=page_size)))


def solver(username: str, *, book: str = auctions.DEFAULT_BOOK) -> Call[auctions.Solver]:
    """Read how a solver keeps its word in a book. NotFound for one that was never committed."""
    return Call("GET", f"{_book(book)}/solvers/{quote(username, safe='')}", auctions.Solver)


def _book(name: str) -> str:
    return f"{BOOKS}/{quote(name, safe='')}"


def _order(order_id: int) -> str:
    return f"{ORDERS}/{order_id}"


def _or_none(amount: Amount | None) -> str | None:
    return None if amount is None else text_of(amount)


def _from(call: Call[Any], offset: int) -> Call[Any]:
    return replace(call, query={**call.query, "from": str(offset)})
