"""Price candles that go on from where they were: the history is counted once, then only what was traded since.

Counting an hour of a busy market takes the database seconds, and pages want it every few seconds. So each process keeps
the candles of the markets that are looked at, with the place of the last fill in them, and adds the fills after it. It
is a copy that is never told anything else than the table says: both parts of a beginning are of one snapshot, and fills
are added in their order, each once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import msgspec

from marketplace import hours
from marketplace.database import Database
from marketplace.foundation import clock
from marketplace.wire.hours import Interval

SHOWN: dict[Interval, int] = {"1m": 60, "5m": 60, "1h": 48, "1d": 60}
"""How many intervals a chart shows."""
CHUNK = 5_000
MOST_CHUNKS = 4
"""Further behind than so many it is quicker to begin anew."""
MOST_KEPT = 200

Place = tuple[int, int]


class Candle(msgspec.Struct):
    """One interval in which something was traded; `time` is when it began, in seconds since the epoch."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class Series(msgspec.Struct):
    """The candles of a market, oldest first, with every fill up to `place`."""

    seconds: int
    shown: int
    candles: list[Candle]
    place: Place | None

    def add(self, fills: Iterable[hours.Allocation]) -> None:
        """Add the fills that follow, in their order."""
        for fill in fills:
            time = fill.allocated_at // clock.SECOND // self.seconds * self.seconds
            last = self.candles[-1] if self.candles else None
            if last is None or last.time != time:
                self.candles.append(Candle(time, fill.price, fill.price, fill.price, fill.price, fill.volume))
            else:
                last.high, last.low = max(last.high, fill.price), min(last.low, fill.price)
                last.close, last.volume = fill.price, last.volume + fill.volume
            self.place = fill.seq, fill.position

    def forget(self, *, now: clock.Instant) -> None:
        """Leave out what is older than the chart."""
        first = now // clock.SECOND // self.seconds * self.seconds - (self.shown - 1) * self.seconds
        self.candles = [one for one in self.candles if one.time >= first]


class Charts:
    """The series that this process keeps."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, Interval], Series] = OrderedDict()

    async def read(self, database: Database, market: str, interval: Interval) -> list[Candle]:
        """Return a market's candles as they are now; let one ask at a time. Raises UnknownMarket."""
        key = market, interval
        series = self._kept.get(key)
        if series is None or not await _go_on(database, market, series):
            series = self._kept[key] = await database.read(begin, market, interval)
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        series.forget(now=clock.now())
        return series.candles


def begin(tx: Any, /, market: str, interval: Interval) -> Series:
    """Count a market's history. Run it in a snapshot. Raises UnknownMarket."""
    shown, seconds = SHOWN[interval], hours.INTERVAL_SECONDS[interval]
    counted = hours.read_candles(tx, market, interval=interval, since=None, until=None, limit=shown)
    newest = hours.list_fills(tx, market, before=None, limit=1)
    candles = [
        Candle(int(one.opened_at.timestamp()), one.open, one.high, one.low, one.close, one.volume) for one in counted
    ]
    return Series(seconds, shown, candles, (newest[0].seq, newest[0].position) if newest else None)


async def _go_on(database: Database, market: str, series: Series) -> bool:
    """Add what was traded since; tell whether that was all of it."""
    for _ in range(MOST_CHUNKS):
        fills = await database.read(hours.list_allocations, market, username=None, after=series.place, limit=CHUNK)
        series.add(fills)
        if len(fills) < CHUNK:
            return True
    return False
