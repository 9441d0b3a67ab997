"""Candles that go on from where they were are those that the table has."""

from __future__ import annotations

import random
from typing import Any

import pytest

from marketplace import hours
from marketplace.dashboard import candles
from marketplace.database import Database, Lane
from marketplace.foundation import clock as clocks
from marketplace.hours import AddSupply, PlaceBid
from tests.services.clock import SettableClock

MARKET = hours.DEFAULT_MARKET


async def trade(lane: Lane, rng: random.Random, times: int) -> None:
    for _ in range(times):
        await lane.run(PlaceBid(MARKET, "ann", rng.randint(1, 9), rng.randint(1, 99)))
        await lane.run(AddSupply(MARKET, rng.randint(1, 9), rng.randint(1, 40)))


async def counted(database: Database, interval: Any) -> list[tuple[int, ...]]:
    """Return what the API says."""
    shown = candles.SHOWN[interval]
    found = await database.read(hours.read_candles, MARKET, interval=interval, since=None, until=None, limit=shown)
    return [(int(one.opened_at.timestamp()), one.open, one.high, one.low, one.close, one.volume) for one in found]


@pytest.mark.parametrize("interval", candles.SHOWN)
async def test_what_is_added_fill_by_fill_is_what_the_table_has(
    database: Database, hours_lane: Lane, clock: SettableClock, monkeypatch: pytest.MonkeyPatch, interval: Any
) -> None:
    monkeypatch.setattr(clocks, "now", clock)
    rng, charts = random.Random(7), candles.Charts()
    assert await charts.read(database, MARKET, interval) == []
    for step in (0, 10, 61, 300, 4_000, 90_000):
        clock.advance(step)
        await trade(hours_lane, rng, 3)
        found = await charts.read(database, MARKET, interval)
        assert [tuple(getattr(one, name) for name in one.__struct_fields__) for one in found] == await counted(
            database, interval
        )
        assert found


async def test_who_is_far_behind_begins_anew(
    database: Database, hours_lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candles, "CHUNK", 2)
    monkeypatch.setattr(candles, "MOST_CHUNKS", 2)
    rng, charts = random.Random(7), candles.Charts()
    await charts.read(database, MARKET, "1d")
    begun: list[str] = []
    real = candles.begin

    def begin(tx: Any, /, market: str, interval: Any) -> candles.Series:
        begun.append(market)
        return real(tx, market, interval)

    monkeypatch.setattr(candles, "begin", begin)
    await trade(hours_lane, rng, 1)
    await charts.read(database, MARKET, "1d")
    assert begun == []
    await trade(hours_lane, rng, 9)
    await charts.read(database, MARKET, "1d")
    assert begun == [MARKET]


async def test_no_more_markets_are_kept_than_fit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candles, "MOST_KEPT", 2)
    charts = candles.Charts()
    for interval in candles.SHOWN:
        await charts.read(database, MARKET, interval)
    assert len(charts._kept) == 2
    with pytest.raises(hours.errors.UnknownMarket):
        await charts.read(database, "nowhere", "1m")
