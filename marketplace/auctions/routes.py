"""HTTP of auctions: parse, hand the request to the lane (or read), shape the answer. No SQL, no rules."""

from __future__ import annotations

import functools
from typing import Annotated, Any, cast

import msgspec
from litestar import Controller, Request, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter

from marketplace import ledger
from marketplace.auctions import counts, errors, lookups, model, shapes
from marketplace.database import Lane, money
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.resources import database, resources
from marketplace.wire import auctions as wire

HttpRequest = Request[Any, Any, Any]

TERMS = "auctions.terms"
"""Where the application's state has the orders that were bid on, without what they say in words."""
MOST_TERMS = 10_000

OrderState = Annotated[str | None, QueryParameter(name="state", **params.one_of(wire.OrderState))]
CommitmentState = Annotated[str | None, QueryParameter(name="state", **params.one_of(wire.CommitmentState))]
OrderId = Annotated[str | None, QueryParameter(pattern=r"^[1-9][0-9]{0,17}$", description="of an order")]
"""Text, of a number: Litestar would take "null" for leaving it out."""


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Books(Controller):
    path = "/api/v1/auctions/books"
    tags = ("auctions",)

    @get(opt={"scope": "read"})
    async def list_auction_books(
        self, request: HttpRequest, limit: params.PageSize = params.DEFAULT_PAGE, after: params.AfterName = None
    ) -> wire.Books:
        """List the books of orders, by name."""
        found = await database(request).read_one(lookups.list_books, after=cursors.to_name(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_name(one.book))
        return wire.Books([shapes.book(one) for one in found], following)

    @post(opt={"scope": "admin", "refuses": (errors.BookExists, errors.BadBook, errors.BadAmount), "idempotent": True})
    async def open_auction_book(self, data: JSONBody[wire.NewBook], request: HttpRequest) -> wire.AuctionBook:
        """Open a book of orders, with a log of its own."""
        command = shapes.open_book(data)
        return await idempotency.run(_lane(request), command, request=request, shape=shapes.book, status=201)

    @get("/{book:str}", opt={"scope": "read", "refuses": (errors.UnknownBook,)})
    async def read_auction_book(self, book: params.Market, request: HttpRequest) -> wire.AuctionBook:
        """Read a book's settings."""
        return shapes.book(await database(request).read_one(lookups.find_book, book))

    @patch("/{book:str}", opt={"scope": "admin", "refuses": (errors.UnknownBook, errors.BadBook, errors.BadAmount)})
    async def change_auction_book(
        self, book: params.Market, data: JSONBody[wire.BookChange], request: HttpRequest
    ) -> wire.AuctionBook:
        """Change settings of a book. Windows and commitments that have begun keep what they began with."""
        return shapes.book(await _lane(request).run(shapes.set_book(book, data)))

    @get("/{book:str}/commitments", opt={"scope": "read", "refuses": (errors.UnknownBook,)})
    async def list_commitments(
        self,
        book: params.Market,
        request: HttpRequest,
        order_id: OrderId = None,
        solver: params.OptionalUsername = None,
        commitment_state: CommitmentState = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.Commitments:
        """List who has committed to which order, oldest first."""
        await database(request).read_one(lookups.find_book, book)
        wanted = lookups.WantedCommitments(
            book, None if order_id is None else int(order_id), solver, cast(Any, commitment_state)
        )
        found = await database(request).read_one(
            lookups.list_commitments, wanted, after=cursors.to_id(after), limit=limit
        )
        following = cursors.next_after(found, limit, lambda one: cursors.of_id(one.commitment.commitment_id))
        return wire.Commitments([shapes.commitment(one) for one in found], following)

    @get("/{book:str}/commitments/{commitment_id:int}", opt={"scope": "read", "refuses": (errors.NoSuchCommitment,)})
    async def read_commitment(
        self, book: params.Market, commitment_id: params.Id, request: HttpRequest
    ) -> wire.Commitment:
        """Read a commitment."""
        return shapes.commitment(await database(request).read_one(lookups.find_commitment, book, commitment_id))

    @get("/{book:str}/solvers", opt={"scope": "read", "refuses": (errors.UnknownBook,)})
    async def list_solvers(
        self,
        book: params.Market,
        request: HttpRequest,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterText = None,
    ) -> wire.Solvers:
        """List how solvers have kept their word, by name."""
        found = await database(request).read(lookups.list_solvers, book, after=cursors.to_text(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_text(one.solver))
        return wire.Solvers([shapes.solver(one) for one in found], following)

    @get("/{book:str}/solvers/{solver:str}", opt={"scope": "read", "refuses": (errors.UnknownSolver,)})
    async def read_solver(
        self, book: params.Market, solver: params.UsernameInPath, request: HttpRequest
    ) -> wire.Solver:
        """Read how a solver has kept its word."""
        return shapes.solver(await database(request).read_one(lookups.find_solver, book, solver))


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_PLACING = (
    errors.UnknownBook,
    errors.BadAmount,
    errors.InstantPassed,
    errors.BadText,
    ledger.errors.UnknownAsset,
    ledger.errors.NotCovered,
)
_BIDDING = (
    errors.UnknownOrder,
    errors.OrderClosed,
    errors.OwnOrder,
    errors.SolverBlocked,
    errors.BadAmount,
    errors.BadRate,
    errors.InstantPassed,
    errors.OverBudget,
    errors.BelowLimit,
    errors.TooManyBids,
)
_DELIVERING = (errors.UnknownOrder, errors.UnknownCommitment, errors.TooLate, errors.WrongEscrow)


class Orders(Controller):
    path = "/api/v1/auctions/orders"
    tags = ("auctions",)

    @get(opt={"scope": "read"})
    async def list_orders(
        self,
        request: HttpRequest,
        book: params.OptionalNetwork = None,
        username: params.OptionalUsername = None,
        order_state: OrderState = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.AuctionOrders:
        """List orders, oldest first: those that were announced, and of those that wait for a batch the caller's own."""
        caller = callers.caller(request)
        owner = None if username is None else caller.on_behalf_of(username)
        wanted = lookups.Wanted(book, owner, cast(Any, order_state), caller.limited_to)
        found = await database(request).read_one(lookups.list_orders, wanted, after=cursors.to_id(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_id(one.order_id))
        return wire.AuctionOrders([_order(one, caller) for one in found], following)

    @post(opt={"scope": "trade", "refuses": _PLACING, "idempotent": True})
    async def place_order(self, data: JSONBody[wire.NewOrder], request: HttpRequest) -> wire.Order:
        """Put an order out to solvers. Its budget is held until it is filled, cancelled or expired. 402 where less is
        available."""
        caller = callers.caller(request)
        owner = caller.acting_for(data.username)
        read = database(request).read_one
        output, given = [await read(ledger.find_asset, name) for name in (data.output_asset, data.input_asset)]
        command = shapes.place_order(data, owner, output=output, paying=given)
        shape = functools.partial(_order, caller=caller)
        return await idempotency.run(_lane(request), command, request=request, shape=shape, status=201)

    @get("/{order_id:int}", opt={"scope": "read", "refuses": (errors.UnknownOrder,)})
    async def read_order(self, order_id: params.Id, request: HttpRequest) -> wire.Order:
        """Read an order."""
        return _order(await _seen(request, order_id), callers.caller(request))

    @delete(
        "/{order_id:int}",
        status_code=200,
        opt={"scope": "trade", "refuses": (errors.UnknownOrder, errors.NotCancellable)},
    )
    async def cancel_order(self, order_id: params.Id, request: HttpRequest) -> wire.Order:
        """Take an order back, and its budget. 409 once a solver is committed."""
        caller = callers.caller(request)
        order = await _seen(request, order_id)
        if not caller.sees(order.owner):
            raise errors.UnknownOrder(order_id)
        cancelled = await _lane(request).run(model.CancelOrder(order_id, order.owner))
        return _order(cancelled, caller)

    @get("/{order_id:int}/bids", opt={"scope": "read", "refuses": (errors.UnknownOrder,)})
    async def list_order_bids(
        self,
        order_id: params.Id,
        request: HttpRequest,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterText = None,
    ) -> wire.SolverBids:
        """List bids on an order, by solver: the caller's own, and others' once their round is selected."""
        order = await _seen(request, order_id)
        found = await database(request).read_one(
            lookups.list_bids,
            order,
            seen_by=callers.caller(request).limited_to,
            after=cursors.to_text(after),
            limit=limit,
        )
        following = cursors.next_after(found, limit, lambda one: cursors.of_text(one.solver))
        return wire.SolverBids([shapes.bid(one, order) for one in found], following)

    @post("/{order_id:int}/bids", opt={"scope": "solve", "refuses": _BIDDING, "idempotent": True})
    async def place_order_bid(
        self, order_id: params.Id, data: JSONBody[wire.NewSolverBid], request: HttpRequest
    ) -> wire.SolverBid:
        """Bid on an order, in place of the solver's bid before. What it says stays sealed until the selection."""
        solver = callers.caller(request).acting_for(data.solver, field="solver")
        order = await _terms(request, order_id)
        command = shapes.place_bid(data, solver, order)
        taking = idempotency.run(
            _lane(request), command, request=request, shape=lambda one: shapes.bid(one, order), status=201
        )
        return await counts.noted("bid", taking)

    @post(
        "/{order_id:int}/deposits",
        opt={
            "scope": "solve",
            "refuses": (
                *_DELIVERING,
                errors.TooManyDeposits,
                errors.ReferenceTaken,
                errors.BadAmount,
                ledger.errors.NotCovered,
            ),
            "idempotent": True,
        },
    )
    async def deposit_output(
        self, order_id: params.Id, data: JSONBody[wire.NewDelivery], request: HttpRequest
    ) -> wire.Deposited:
        """Deliver into escrow what was promised, or a part of it. 409 once the deadline and its grace are over."""
        solver = callers.caller(request).acting_for(data.solver, field="solver")
        order = await _terms(request, order_id)
        command = shapes.deposit(data, solver, order)
        taking = idempotency.run(
            _lane(request),
            command,
            request=request,
            shape=lambda done: shapes.deposited(done, order),
            status=201,
            is_repeated=lambda done: not done.created,
        )
        return await counts.noted("deposit", taking)

    @post("/{order_id:int}/claims", opt={"scope": "solve", "refuses": _DELIVERING, "idempotent": True})
    async def claim_delivery(
        self, order_id: params.Id, data: JSONBody[wire.NewClaim], request: HttpRequest
    ) -> wire.Commitment:
        """Say that it is delivered, in a book that takes a solver's word for it."""
        solver = callers.caller(request).acting_for(data.solver, field="solver")
        order = await _terms(request, order_id)
        taking = idempotency.run(
            _lane(request),
            model.Claim(order_id, solver),
            request=request,
            shape=lambda made: shapes.commitment(shapes.promised(made, order)),
            status=201,
        )
        return await counts.noted("claim", taking)


HANDLERS = (Books, Orders)


def _order(one: model.Order, caller: callers.Caller) -> wire.Order:
    return shapes.order(one, shows_owner=caller.sees(one.owner))


async def _seen(request: HttpRequest, order_id: int) -> model.Order:
    """Return an order, if it is there for the caller. Raises UnknownOrder."""
    seen_by = callers.caller(request).limited_to
    return await database(request).read_one(lookups.find_seen_order, order_id, seen_by=seen_by)


async def _terms(request: HttpRequest, order_id: int) -> model.Order:
    """Return an order for what never changes once it is announced: its book, its assets. Raises UnknownOrder.

    Read once a process: a bid should not cost a read.
    """
    seen = cast(dict[int, model.Order], request.app.state[TERMS])
    order = seen.get(order_id)
    if order is None:
        order = await _seen(request, order_id)
        if order.added_at is not None:
            if len(seen) >= MOST_TERMS:
                seen.clear()
            seen[order_id] = msgspec.structs.replace(order, description="", payload=None)
    return order
