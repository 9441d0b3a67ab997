"""How auctions look on the wire, and what the wire means: amounts as text, instants as times, lengths as seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from marketplace import ledger
from marketplace.auctions import errors, model, reliability
from marketplace.auctions.lookups import Promised
from marketplace.foundation import clock, money
from marketplace.foundation.clock import Instant
from marketplace.http import params
from marketplace.wire import auctions as wire

# ── from the wire ────────────────────────────────────────────────────────────────────────────────────────────────────


def to_units(text: str, decimals: int, *, field: str) -> int:
    """Return the units that an amount means. Raises BadAmount."""
    try:
        units = money.parse_amount(text, decimals=decimals)
    except ValueError:
        raise errors.BadAmount(field) from None
    if not 1 <= units <= ledger.MAX_AMOUNT:
        raise errors.BadAmount(field)
    return units


def to_units_or_none(text: str | None, decimals: int, *, field: str) -> int | None:
    return None if text is None else to_units(text, decimals, field=field)


def to_micros(seconds: float) -> int:
    return round(seconds * clock.SECOND)


def open_book(given: wire.NewBook) -> model.OpenBook:
    """Return the command for a new book. Raises BadAmount."""
    return model.OpenBook(
        given.book,
        to_micros(given.tick_seconds),
        given.batch_size,
        to_micros(given.bidding_window_seconds),
        to_micros(given.fulfil_seconds),
        to_micros(given.grace_seconds),
        to_units_or_none(given.bond, ledger.CREDIT_DECIMALS, field="bond"),
        given.escrow,
    )


def set_book(book: str, given: wire.BookChange) -> model.SetBook:
    """Return the command for other settings. Raises BadAmount."""
    bond = given.bond
    return model.SetBook(
        book,
        _micros(given.tick_seconds),
        given.batch_size,
        _micros(given.bidding_window_seconds),
        _micros(given.fulfil_seconds),
        _micros(given.grace_seconds),
        bond if bond is UNSET or bond is None else to_units(bond, ledger.CREDIT_DECIMALS, field="bond"),
        given.escrow,
    )


def place_order(given: wire.NewOrder, owner: str, *, output: ledger.Asset, paying: ledger.Asset) -> model.PlaceOrder:
    """Return the command for an order of `owner`. Raises BadAmount, BadText, Invalid."""
    return model.PlaceOrder(
        given.book,
        owner,
        given.description,
        payload_text(given.payload),
        output.asset,
        to_units_or_none(given.limit_output, output.decimals, field="limit_output"),
        paying.asset,
        to_units_or_none(given.input_budget, paying.decimals, field="input_budget"),
        params.expiry(given.expires_at, field="expires_at"),
    )


def place_bid(given: wire.NewSolverBid, solver: str, order: model.Order) -> model.PlaceBid:
    """Return the command for a bid of `solver`. Raises BadAmount, Invalid."""
    valid_till = params.expiry(given.valid_till, field="valid_till")
    assert valid_till is not None
    max_input = to_units(given.max_input, order.input_decimals, field="max_input")
    return model.PlaceBid(order.order_id, solver, max_input, given.conversion_rate, valid_till)


def deposit(given: wire.NewDelivery, solver: str, order: model.Order) -> model.Deposit:
    """Return the command for a delivery of `solver`. Raises BadAmount."""
    amount = to_units_or_none(given.amount, order.output_decimals, field="amount")
    return model.Deposit(order.order_id, solver, amount, given.reference)


def _micros(seconds: float | UnsetType) -> int | UnsetType:
    return UNSET if seconds is UNSET else to_micros(seconds)


def payload_text(payload: dict[str, Any] | None) -> str | None:
    """Return a payload as JSON text. Raises BadText."""
    if payload is None:
        return None
    text = msgspec.json.encode(payload)
    if len(text) > wire.MAX_PAYLOAD_BYTES:
        raise errors.BadText("payload", f"is longer than {wire.MAX_PAYLOAD_BYTES} bytes of JSON")
    return text.decode()


# ── and to it ────────────────────────────────────────────────────────────────────────────────────────────────────────


def book(one: model.Book) -> wire.AuctionBook:
    return wire.AuctionBook(
        one.book,
        one.tick_micros / clock.SECOND,
        one.batch_size,
        one.bidding_window_micros / clock.SECOND,
        one.fulfil_micros / clock.SECOND,
        one.grace_micros / clock.SECOND,
        _credits(one.bond),
        one.escrow,
        clock.to_datetime(one.opened_at),
    )


def order(one: model.Order, *, shows_owner: bool) -> wire.Order:
    return wire.Order(
        one.order_id,
        one.book,
        one.owner if shows_owner else None,
        one.description,
        None if one.payload is None else msgspec.json.decode(one.payload),
        one.output_asset,
        _text(one.limit_output, one.output_decimals),
        one.input_asset,
        _text(one.input_budget, one.input_decimals),
        one.state,
        one.round,
        one.bids,
        clock.to_datetime(one.placed_at),
        _moment(one.added_at),
        _moment(one.closes_at),
        _moment(one.expires_at),
        _moment(one.ended_at),
    )


def bid(one: model.SolverBid, of: model.Order) -> wire.SolverBid:
    return wire.SolverBid(
        one.bid_id,
        one.order_id,
        one.book,
        one.solver,
        money.format_amount(one.max_input, decimals=of.input_decimals),
        one.conversion_rate,
        money.format_amount(one.min_output, decimals=of.output_decimals),
        clock.to_datetime(one.valid_till),
        one.state,
        clock.to_datetime(one.placed_at),
    )


def commitment(found: Promised) -> wire.Commitment:
    one = found.commitment
    return wire.Commitment(
        one.commitment_id,
        one.order_id,
        one.book,
        one.solver,
        one.bid_id,
        one.round,
        one.rank,
        found.input_asset,
        money.format_amount(one.input_amount, decimals=found.input_decimals),
        found.output_asset,
        money.format_amount(one.min_output, decimals=found.output_decimals),
        money.format_amount(one.deposited, decimals=found.output_decimals),
        one.escrow,
        _credits(one.bond),
        _credits(one.slashed or None),
        one.state,
        clock.to_datetime(one.created_at),
        clock.to_datetime(one.deadline),
        clock.to_datetime(one.ends_at),
        _moment(one.claimed_at),
        _moment(one.ended_at),
    )


def deposited(done: model.Deposited, of: model.Order) -> wire.Deposited:
    amount = money.format_amount(done.amount, decimals=of.output_decimals)
    return wire.Deposited(amount, commitment(promised(done.commitment, of)))


def promised(made: model.Commitment, of: model.Order) -> Promised:
    """Say of a commitment what its order says of its assets."""
    return Promised(made, of.input_asset, of.input_decimals, of.output_asset, of.output_decimals)


def solver(one: model.SolverRecord) -> wire.Solver:
    failures = one.window_failures + reliability.PRIOR_FAILURES
    rate = failures / (one.window_total + reliability.PRIOR_TOTAL)
    blocked = clock.to_datetime(one.blocked_until) if one.blocked_until else None
    return wire.Solver(one.book, one.solver, one.filled, one.failed, round(rate, 6), blocked)


def _text(units: int | None, decimals: int) -> str | None:
    return None if units is None else money.format_amount(units, decimals=decimals)


def _credits(units: int | None) -> str | None:
    return _text(units, ledger.CREDIT_DECIMALS)


def _moment(instant: Instant | None) -> datetime | None:
    return None if instant is None else clock.to_datetime(instant)
