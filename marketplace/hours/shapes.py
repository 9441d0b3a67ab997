"""The hours market's things as they go over the wire."""

from __future__ import annotations

from typing import Any

from marketplace.foundation import clock, errors
from marketplace.hours import model
from marketplace.http import cursors
from marketplace.wire import hours as wire


def bought(bid: model.Bid) -> wire.Bought:
    return wire.Bought(bid.bid_id, bid.allocated, bid.remaining)


def sold(supply: model.Supply) -> wire.Sold:
    return wire.Sold(supply.supply_id, supply.allocated, supply.remaining)


def market(one: model.Market) -> wire.Market:
    return wire.Market(one.market, one.state, clock.to_datetime(one.created_at))


def bid(one: model.Bid) -> wire.Bid:
    return wire.Bid(
        one.bid_id,
        one.market,
        one.username,
        one.volume,
        one.remaining,
        one.allocated,
        one.price,
        one.time_in_force,
        one.state,
        clock.to_datetime(one.placed_at),
        None if one.expires_at is None else clock.to_datetime(one.expires_at),
    )


def supply(one: model.Supply) -> wire.Supply:
    hours_of = (one.volume, one.remaining, one.allocated)
    added_at = clock.to_datetime(one.added_at)
    return wire.Supply(one.supply_id, one.market, one.provider, *hours_of, one.min_price, one.state, added_at)


def results(outcomes: tuple[Any, ...]) -> wire.OrderResults:
    return wire.OrderResults([result(outcome) for outcome in outcomes])


def result(outcome: model.Bid | model.Supply | errors.Refusal) -> wire.OrderResult:
    if isinstance(outcome, errors.Refusal):
        return wire.OrderResult(code=outcome.code, detail=outcome.detail)
    if isinstance(outcome, model.Bid):
        return wire.OrderResult(bid_id=outcome.bid_id, allocated=outcome.allocated, remaining=outcome.remaining)
    return wire.OrderResult(supply_id=outcome.supply_id, allocated=outcome.allocated, remaining=outcome.remaining)


def fill_id(one: model.Allocation) -> str:
    return f"{one.seq}-{one.position}"


def fill(one: model.Allocation) -> wire.Fill:
    return wire.Fill(fill_id(one), one.price, one.volume, clock.to_datetime(one.allocated_at))


def allocation(one: model.Allocation) -> wire.Allocation:
    moment = clock.to_datetime(one.allocated_at)
    ids = (fill_id(one), one.market, one.username, one.bid_id, one.supply_id)
    return wire.Allocation(*ids, one.volume, one.price, moment)


def cursor(one: model.Allocation) -> str:
    return cursors.of_place((one.seq, one.position))
