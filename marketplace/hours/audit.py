"""Proves the books of the hours market: by sums over the tables, and by replaying the log from its first entry.

The replay is a second, simpler reading of the same rule: whole books in memory, one command after the other, nothing
batched, nothing read in chunks. What it ends with must be what the tables say, to the last row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import proofs
from marketplace.database.proofs import SHOWN, Unlawful, require
from marketplace.foundation.clock import Instant
from marketplace.hours import matching, model, service, sql
from marketplace.hours.book import Side
from marketplace.hours.lookups import ALLOCATION_COLUMNS
from marketplace.hours.model import Allocation, Bid, Market, Supply
from marketplace.hours.tables import LANE, allocated_totals, allocations, bids, markets, supplies

FROM_THE_START: Instant = 1_767_225_600_000_000
"""When the market `default` was made: by a migration, so before any entry of the log."""

_decode = msgspec.json.Decoder(model.Command).decode


def audit(tx: sa.Connection) -> list[str]:
    """Return what is wrong with the books, a sentence each; nothing for books that balance.

    A log that was cut cannot be replayed: then the sums have to do.
    """
    faults = [*_check_sums(tx), *proofs.check_log(tx, LANE)]
    return [*faults, *_check_replay(tx)] if proofs.is_whole(tx, LANE) else faults


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_sums(tx: sa.Connection) -> Iterator[str]:
    for table, id_column in ((bids, bids.c.bid_id), (supplies, supplies.c.supply_id)):
        for row in tx.execute(_unbalanced(table, id_column)):
            yield (
                f"{table.name}: {row.market}/{row.id} has volume {row.volume}, "
                f"but {row.remaining} remaining and {row.allocated} allocated"
            )
    for row in tx.execute(_wrong_totals()):
        yield f"allocated_totals: {row.username!r} on {row.market} has {row.total}, but allocations of {row.allocated}"


def _unbalanced(table: sa.Table, id_column: sa.Column[int]) -> sa.Select[Any]:
    sums = _sum_by(allocations.c.market, allocations.c[id_column.name])
    allocated = sa.func.coalesce(sums.c.allocated, 0)
    return (
        sa.select(
            table.c.market, id_column.label("id"), table.c.volume, table.c.remaining, allocated.label("allocated")
        )
        .outerjoin(sums, sa.and_(sums.c.market == table.c.market, sums.c[id_column.name] == id_column))
        .where(table.c.volume != table.c.remaining + allocated)
        .order_by(table.c.market, id_column)
        .limit(SHOWN)
    )


def _wrong_totals() -> sa.Select[Any]:
    sums = _sum_by(allocations.c.market, allocations.c.username)
    is_same = sa.and_(sums.c.market == allocated_totals.c.market, sums.c.username == allocated_totals.c.username)
    market = sa.func.coalesce(sums.c.market, allocated_totals.c.market)
    username = sa.func.coalesce(sums.c.username, allocated_totals.c.username)
    total = sa.func.coalesce(allocated_totals.c.volume, 0)
    allocated = sa.func.coalesce(sums.c.allocated, 0)
    return (
        sa.select(
            market.label("market"), username.label("username"), total.label("total"), allocated.label("allocated")
        )
        .select_from(sums.outerjoin(allocated_totals, is_same, full=True))
        .where(total != allocated)
        .order_by(market, username)
        .limit(SHOWN)
    )


def _sum_by(*columns: sa.Column[Any]) -> sa.Subquery:
    return sa.select(*columns, sa.func.sum(allocations.c.volume).label("allocated")).group_by(*columns).subquery("sums")


# ── the replay ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Replay:
    """The whole market in memory, as the log tells it."""

    def __init__(self) -> None:
        self.now: Instant = 0
        self.markets: dict[tuple[str], Market] = {("default",): Market("default", "open", FROM_THE_START)}
        self.bids: dict[tuple[str, int], Bid] = {}
        self.supplies: dict[tuple[str, int], Supply] = {}
        self.allocations: dict[tuple[str, int, int], Allocation] = {}
        self._bid_sides: dict[str, Side[Bid]] = {}
        self._supply_sides: dict[str, Side[Supply]] = {}

    def run(self, seq: int, at: Instant, command: model.Command) -> tuple[str, str | None]:
        """Do again what one entry of the log says; return its subject and member. Raises Unlawful, KeyError."""
        self.now = at
        match command:
            case model.PlaceBid():
                return self._place_bid(seq, command)
            case model.AddSupply():
                return self._add_supply(seq, command)
            case model.AmendBid():
                return self._amend_bid(seq, command)
            case model.CancelBid():
                return self._close_bid(command, "cancelled")
            case model.ExpireBid():
                bid = self.bids[command.market, command.bid_id]
                require(not bid.is_live(at), "the bid's time had not come")
                return self._close_bid(command, "expired")
            case model.WithdrawSupply():
                supply = self.supplies[command.market, command.supply_id]
                require(supply.state == "open", "the supply was closed already")
                supply.state = "withdrawn"
                return f"{supply.market}/{supply.supply_id}", supply.provider
            case model.CreateMarket():
                require((command.market,) not in self.markets, "the market was there already")
                self.markets[command.market,] = Market(command.market, "open", at)
                return command.market, None
            case model.ChangeMarket():
                self.markets[command.market,].state = command.state
                return command.market, None

    def _place_bid(self, seq: int, command: model.PlaceBid) -> tuple[str, str | None]:
        self._require_open(command.market)
        bid = self.bids[command.market, seq] = service.new_bid(command, seq=seq, now=self.now)
        require(bid.is_live(self.now), "the bid had expired before it was placed")
        self._serve(seq, bid)
        require(bid.time_in_force != "fok" or bid.state == "filled", "the bid was all or nothing and got a part")
        return f"{bid.market}/{seq}", bid.username

    def _add_supply(self, seq: int, command: model.AddSupply) -> tuple[str, str | None]:
        self._require_open(command.market)
        supply = self.supplies[command.market, seq] = service.new_supply(command, seq=seq, now=self.now)
        self._note(seq, matching.serve_supply(supply, self._side(self._bid_sides, supply.market).in_order()))
        self._side(self._supply_sides, supply.market).add(supply)
        return f"{supply.market}/{seq}", supply.provider

    def _amend_bid(self, seq: int, command: model.AmendBid) -> tuple[str, str | None]:
        bid = self.bids[command.market, command.bid_id]
        self._require_open(command.market)
        volume = bid.volume if command.volume is None else command.volume
        price = bid.price if command.price is None else command.price
        require(bid.is_live(self.now), "the bid was closed or expired already")
        require(volume > bid.allocated, "the bid had as many hours already")
        keeps_place = matching.keeps_place(bid, volume=volume, price=price)
        bid.resize(volume)
        if not keeps_place:
            bid.price, bid.seq = price, seq
            self._serve(seq, bid)
        return f"{bid.market}/{bid.bid_id}", bid.username

    def _close_bid(self, command: model.CancelBid | model.ExpireBid, state: model.BidState) -> tuple[str, str | None]:
        bid = self.bids[command.market, command.bid_id]
        require(bid.state == "open", "the bid was closed already")
        bid.state = state
        return f"{bid.market}/{bid.bid_id}", bid.username

    def _require_open(self, market: str) -> None:
        require(self.markets[market,].state == "open", "the market was closed")

    def _serve(self, seq: int, bid: Bid) -> None:
        self._note(seq, matching.serve_bid(bid, self._side(self._supply_sides, bid.market).in_order()))
        if bid.time_in_force == "ioc" and bid.state == "open":
            bid.state = "cancelled"
        self._side(self._bid_sides, bid.market).add(bid)

    def _note(self, seq: int, matches: Iterator[tuple[Bid, Supply, int]]) -> None:
        for position, (bid, supply, volume) in enumerate(matches):
            self.allocations[bid.market, seq, position] = Allocation(
                bid.market, seq, position, bid.bid_id, supply.supply_id, bid.username, volume, bid.price, self.now
            )

    def _side(self, sides: dict[str, Side[Any]], market: str) -> Side[Any]:
        return sides.setdefault(market, Side(lambda: self.now))


def _check_replay(tx: sa.Connection) -> Iterator[str]:
    replay = Replay()
    for row in proofs.read_log(tx, LANE):
        try:
            command = _decode(row.data)
            told = (model.TOPIC, service.kind(command), *replay.run(row.seq, row.at, command))
        except (Unlawful, KeyError, msgspec.MsgspecError) as error:
            yield f"events: seq {row.seq} cannot be replayed: {error!r}"
            return
        if told != (row.topic, row.kind, row.subject, row.member):
            yield f"events: seq {row.seq} says {(row.topic, row.kind, row.subject, row.member)}, its data {told}"
            return
    order = [allocations.c.seq, allocations.c.position]
    yield from _compare(tx, markets, [markets.c.market], replay.markets, sql.MARKET_COLUMNS, Market, 1)
    yield from _compare(tx, bids, [bids.c.bid_id], replay.bids, sql.BID_COLUMNS, Bid, 2)
    yield from _compare(tx, supplies, [supplies.c.supply_id], replay.supplies, sql.SUPPLY_COLUMNS, Supply, 2)
    yield from _compare(tx, allocations, order, replay.allocations, ALLOCATION_COLUMNS, Allocation, 3)


def _compare(
    tx: sa.Connection,
    table: sa.Table,
    order: list[sa.Column[Any]],
    expected: dict[Any, Any],
    columns: list[Any],
    record: type,
    key_length: int,
) -> Iterator[str]:
    """Hold the rows of a table against what the replay ended with."""
    rows = ([getattr(row, column.name) for column in columns] for row in proofs.pages(tx, table, order))
    found = ((tuple(row[:key_length]), record(*row)) for row in rows)
    yield from proofs.differences(table.name, expected, found)
