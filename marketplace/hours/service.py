"""What the lane runs: orders, cancels, amendments, withdrawals, expiries and markets, over any number of markets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import UNSET

from marketplace.database import Abandon, Apply, Log
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal
from marketplace.hours import errors, matching, model
from marketplace.hours.book import Books
from marketplace.hours.model import Bid, Command, Market, Supply

Decide = Callable[[Books, Log, Any], Any]


def handlers() -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it."""
    return dict.fromkeys([*_DECISIONS, model.RunOrders], apply)


def apply(tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant) -> list[Any]:
    """Run commands of any markets in arrival order.

    Highest price first, then seq; what is not filled waits (matching.py tells the rule).
    Keeps: volume == remaining + sum of its allocations, for every bid and every supply, always.
    Reads open offers in chunks of at most 4 096, locked in the order in which they are served.
    A refusal is an outcome and writes nothing; an atomic RunOrders that is refused raises Abandon.
    """
    books = Books(tx, now=now, markets=log.kept("markets"))
    books.read_for(_each(commands))
    outcomes = [_decide(books, log, command) for command in commands]
    log.write_later(books.take_writes())
    return outcomes


def _each(commands: Sequence[Any]) -> list[Command]:
    return [each for one in commands for each in (one.orders if isinstance(one, model.RunOrders) else (one,))]


def _decide(books: Books, log: Log, command: Any) -> Any:
    """Decide one command on what earlier ones of the batch left; the outcome is a copy, later ones change the rest."""
    if isinstance(command, model.RunOrders):
        return _run_orders(books, log, command)
    outcome = _DECISIONS[type(command)](books, log, command)
    return outcome if isinstance(outcome, Refusal) else copy.copy(outcome)


def _run_orders(books: Books, log: Log, command: model.RunOrders) -> tuple[Any, ...]:
    results = []
    for index, order in enumerate(command.orders):
        result = _decide(books, log, order)
        if command.is_atomic and isinstance(result, Refusal):
            raise Abandon(errors.OrderRefused(index, result))
        results.append(result)
    return tuple(results)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _place_bid(books: Books, log: Log, command: model.PlaceBid) -> Bid | Refusal:
    if refusal := _closed_to_orders(books, command.market):
        return refusal
    if command.expires_at is not None and command.expires_at <= books.now:
        return errors.ExpiryPassed()
    if command.time_in_force == "fok":
        available = books.supply_for(command.market, price=command.price, volume=command.volume)
        if available < command.volume:
            return errors.NotFillable(command.market, command.volume, available)
    seq = _note(log, command, log.next_seq, member=command.username)
    bid = new_bid(command, seq=seq, now=books.now)
    books.put_bid(bid)
    _serve(books, bid, seq=seq)
    return bid


def _add_supply(books: Books, log: Log, command: model.AddSupply) -> Supply | Refusal:
    if refusal := _closed_to_orders(books, command.market):
        return refusal
    seq = _note(log, command, log.next_seq, member=command.provider)
    supply = new_supply(command, seq=seq, now=books.now)
    books.put_supply(supply)
    matches = matching.serve_supply(supply, books.bids(command.market).in_order())
    for position, (bid, _, volume) in enumerate(matches):
        books.allocate(bid, supply, volume=volume, seq=seq, position=position)
    if supply.state == "open":
        books.supplies(command.market).add(supply)
    return supply


def _serve(books: Books, bid: Bid, *, seq: int) -> None:
    """Match an incoming bid, then let it wait or, where it does not want to, close it."""
    matches = matching.serve_bid(bid, books.supplies(bid.market).in_order())
    for position, (_, supply, volume) in enumerate(matches):
        books.allocate(bid, supply, volume=volume, seq=seq, position=position)
    if bid.state == "open" and bid.time_in_force == "ioc":
        bid.state = "cancelled"
    if bid.state == "open":
        books.bids(bid.market).add(bid)
    books.put_bid(bid)


def new_bid(command: model.PlaceBid, *, seq: int, now: Instant) -> Bid:
    """Return the bid that a command makes, before any match."""
    return Bid(
        command.market,
        seq,
        seq,
        command.username,
        command.volume,
        command.volume,
        command.price,
        command.time_in_force,
        "open",
        now,
        command.expires_at,
    )


def new_supply(command: model.AddSupply, *, seq: int, now: Instant) -> Supply:
    """Return the supply that a command makes, before any match."""
    return Supply(command.market, seq, command.provider, command.volume, command.volume, command.min_price, "open", now)


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cancel_bid(books: Books, log: Log, command: model.CancelBid) -> Bid | Refusal:
    return _close_bid(books, log, command, _own_bid(books, command), state="cancelled")


def _expire_bid(books: Books, log: Log, command: model.ExpireBid) -> Bid | Refusal:
    bid = books.bid(command.market, command.bid_id)
    if bid and bid.is_live(books.now):
        return errors.ExpiryAhead(bid.bid_id)
    return _close_bid(books, log, command, bid, state="expired")


def _close_bid(
    books: Books, log: Log, command: model.CancelBid | model.ExpireBid, bid: Bid | None, *, state: model.BidState
) -> Bid | Refusal:
    if bid is None:
        return errors.UnknownBid(command.market, command.bid_id)
    if bid.state != "open":
        return errors.BidClosed(bid.bid_id, bid.state)
    _note(log, command, bid.bid_id, member=bid.username)
    bid.state = state
    books.put_bid(bid)
    return bid


def _own_bid(books: Books, command: model.CancelBid | model.AmendBid) -> Bid | None:
    """Return the bid that a command is about, None where there is none or it is not its owner's."""
    bid = books.bid(command.market, command.bid_id)
    return bid if bid and command.owner in (UNSET, bid.username) else None


def _amend_bid(books: Books, log: Log, command: model.AmendBid) -> Bid | Refusal:
    bid = _own_bid(books, command)
    if bid is None:
        return errors.UnknownBid(command.market, command.bid_id)
    if not bid.is_live(books.now):
        return errors.BidClosed(bid.bid_id, "expired" if bid.state == "open" else bid.state)
    if refusal := _closed_to_orders(books, command.market):
        return refusal
    volume = bid.volume if command.volume is None else command.volume
    price = bid.price if command.price is None else command.price
    if volume <= bid.allocated:
        return errors.BelowAllocated(bid.bid_id, bid.allocated)
    seq = _note(log, command, bid.bid_id, member=bid.username)
    if matching.keeps_place(bid, volume=volume, price=price):
        bid.resize(volume)
        books.put_bid(bid)
    else:
        bid.resize(volume)
        bid.price, bid.seq = price, seq
        _serve(books, bid, seq=seq)
    return bid


def _withdraw_supply(books: Books, log: Log, command: model.WithdrawSupply) -> Supply | Refusal:
    supply = books.supply(command.market, command.supply_id)
    if supply is None or command.owner not in (UNSET, supply.provider):
        return errors.UnknownSupply(command.market, command.supply_id)
    if supply.state != "open":
        return errors.SupplyClosed(supply.supply_id, supply.state)
    _note(log, command, supply.supply_id, member=supply.provider)
    supply.state = "withdrawn"
    books.put_supply(supply)
    return supply


# ── markets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_market(books: Books, log: Log, command: model.CreateMarket) -> Market | Refusal:
    if books.market(command.market):
        return errors.MarketExists(command.market)
    log.append(topic=model.TOPIC, kind=kind(command), subject=command.market, member=None, data=command)
    market = Market(command.market, "open", books.now)
    books.put_market(market)
    return market


def _change_market(books: Books, log: Log, command: model.ChangeMarket) -> Market | Refusal:
    market = books.market(command.market)
    if market is None:
        return errors.UnknownMarket(command.market)
    if market.state != command.state:
        log.append(topic=model.TOPIC, kind=kind(command), subject=command.market, member=None, data=command)
        market.state = command.state
        books.put_market(market)
    return market


def _closed_to_orders(books: Books, name: str) -> Refusal | None:
    market = books.market(name)
    if market is None:
        return errors.UnknownMarket(name)
    return errors.MarketClosed(name) if market.state == "closed" else None


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _note(log: Log, command: Command, subject_id: int, *, member: str | None) -> int:
    """Append an accepted command and return its seq. The data is the command itself, so the log can be replayed."""
    return log.append(
        topic=model.TOPIC, kind=kind(command), subject=f"{command.market}/{subject_id}", member=member, data=command
    )


def kind(command: Command) -> str:
    """Return what the log calls a command."""
    return str(command.__struct_config__.tag)


_DECISIONS: dict[type, Decide] = {
    model.PlaceBid: _place_bid,
    model.AddSupply: _add_supply,
    model.CancelBid: _cancel_bid,
    model.AmendBid: _amend_bid,
    model.WithdrawSupply: _withdraw_supply,
    model.ExpireBid: _expire_bid,
    model.CreateMarket: _create_market,
    model.ChangeMarket: _change_market,
}
