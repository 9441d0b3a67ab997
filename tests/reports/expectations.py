"""Every report once more, worked out in plain Python from the rows of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from marketplace import hours
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.hours.model import Allocation, Bid, Market, Supply

Row = tuple[Any, ...]
EVERYTHING = 1_000_000


class Rows:
    """All there is on all markets."""

    def __init__(self, tx: sa.Connection, *, now: Instant) -> None:
        self.now = now
        self.bids: list[Bid] = []
        self.supplies: list[Supply] = []
        self.allocations: list[Allocation] = []
        for market in hours.list_markets(tx, after=None, limit=EVERYTHING):
            self._read(tx, market)

    def _read(self, tx: sa.Connection, market: Market) -> None:
        name = market.market
        whole: dict[str, Any] = {"after": None, "limit": EVERYTHING}
        self.bids += hours.list_bids(tx, name, username=None, state=None, **whole)
        self.supplies += hours.list_supplies(tx, name, provider=None, state=None, **whole)
        self.allocations += hours.list_allocations(tx, name, username=None, **whole)

    def is_gone(self, bid: Bid) -> bool:
        return bid.state == "open" and not bid.is_live(self.now)


def allocations(rows: Rows) -> Iterator[Row]:
    for (market, username), group in _grouped(rows.allocations, lambda each: (each.market, each.username)):
        moments = [each.allocated_at for each in group]
        yield market, username, len(group), *_totals(group), _iso(min(moments)), _iso(max(moments))


def daily_volume(rows: Rows) -> Iterator[Row]:
    for (market, day), group in _grouped(rows.allocations, lambda each: (each.market, _day(each.allocated_at))):
        users = {each.username for each in group}
        prices = [each.price for each in group]
        yield market, day, len(group), len(users), *_totals(group), min(prices), max(prices)


def open_interest(rows: Rows) -> Iterator[Row]:
    live = [bid for bid in rows.bids if bid.is_live(rows.now)]
    offers = [("bid", bid.market, -bid.price, bid.remaining) for bid in live]
    offers += [("supply", each.market, each.min_price, each.remaining) for each in rows.supplies if each.is_live(0)]
    for (side, market), of_side in _grouped(offers, lambda offer: offer[:2]):
        cumulative = 0
        for badness, level in _grouped(of_side, lambda offer: offer[2]):
            volume = sum(offer[3] for offer in level)
            cumulative += volume
            yield market, side, abs(badness), len(level), volume, cumulative


def supply_utilisation(rows: Rows) -> Iterator[Row]:
    providers = {(each.market, each.supply_id): each.provider for each in rows.supplies}
    for (market, provider), group in _grouped(rows.supplies, lambda each: (each.market, each.provider)):
        given = [
            each for each in rows.allocations if each.market == market and providers[market, each.supply_id] == provider
        ]
        volume, allocated = sum(each.volume for each in group), sum(each.volume for each in given)
        still_open = sum(each.remaining for each in group if each.state == "open")
        withdrawn = sum(each.remaining for each in group if each.state == "withdrawn")
        value = sum(each.volume * each.price for each in given)
        yield market, provider, len(group), volume, allocated, still_open, withdrawn, _ratio(allocated, volume), value


def fill_times(rows: Rows) -> Iterator[Row]:
    for bid in rows.bids:
        moments = [
            each.allocated_at for each in rows.allocations if (each.market, each.bid_id) == (bid.market, bid.bid_id)
        ]
        first = min(moments, default=None)
        full = max(moments) if bid.state == "filled" else None
        yield (
            bid.market,
            bid.bid_id,
            bid.username,
            bid.price,
            "expired" if rows.is_gone(bid) else bid.state,
            bid.volume,
            bid.volume - bid.remaining,
            bid.remaining if bid.is_live(rows.now) else 0,
            _iso(bid.placed_at),
            first and _iso(first),
            full and _iso(full),
            first and (first - bid.placed_at) / 1e6,
            full and (full - bid.placed_at) / 1e6,
        )


def plain(value: Any) -> Any:
    """Return what either engine gives in one form: whole numbers as int, others as float, moments as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | float):
        return int(value) if value == int(value) else float(value)
    return value


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted((tuple(plain(value) for value in row) for row in rows), key=lambda row: [str(part) for part in row])


def _totals(group: list[Allocation]) -> Row:
    volume, value = sum(each.volume for each in group), sum(each.volume * each.price for each in group)
    return volume, value, _ratio(value, volume)


def _ratio(part: int, whole: int) -> float:
    return float((Decimal(part) / whole).quantize(Decimal("1.000000"), ROUND_HALF_UP))


def _grouped(items: Iterable[Any], key: Any) -> Iterator[tuple[Any, list[Any]]]:
    def sortable(item: Any) -> Any:
        found = key(item)
        return tuple(str(part) for part in found) if isinstance(found, tuple) else found

    for _, group in groupby(sorted(items, key=sortable), key=sortable):
        members = list(group)
        yield key(members[0]), members


def _iso(instant: Instant) -> str:
    moment: str = plain(clock.to_datetime(instant))
    return moment


def _day(instant: Instant) -> str:
    return (date(1970, 1, 1) + timedelta(days=instant // clock.DAY)).isoformat()
