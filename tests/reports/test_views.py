"""The reporting views say what the tables say, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from marketplace import hours
from marketplace.database import Database, Lane
from marketplace.foundation import clock as clocks
from marketplace.wire import limits
from tests.reports import expectations, trading
from tests.reports.expectations import Row, Rows, in_order, plain
from tests.services.clock import NEW_YEAR, SettableClock

EXPECTATIONS: dict[str, Callable[[Rows], Any]] = {
    "allocations": expectations.allocations,
    "daily_volume": expectations.daily_volume,
    "open_interest": expectations.open_interest,
    "supply_utilisation": expectations.supply_utilisation,
    "fill_times": expectations.fill_times,
}
KEYS = {"allocations": 2, "daily_volume": 2, "open_interest": 3, "supply_utilisation": 2, "fill_times": 2}


async def read(database: Database, name: str) -> list[Row]:
    report = await database.report(hours.read_report, name, limit=10_000)
    return [tuple(plain(value) for value in row) for row in report.rows]


async def test_a_report_is_what_python_makes_of_the_same_rows(
    database: Database, hours_lane: Lane, clock: SettableClock
) -> None:
    await trading.trade_for_some_days(hours_lane, clock)
    rows = await database.read(Rows, now=clocks.now())
    for name in hours.REPORTS:
        expected = in_order(EXPECTATIONS[name](rows))
        assert in_order(await read(database, name)) == expected, name
        assert len(expected) > 3, name


async def test_a_report_has_its_key_in_front_and_is_read_in_its_order(
    database: Database, hours_lane: Lane, clock: SettableClock
) -> None:
    await trading.trade_for_some_days(hours_lane, clock)
    for name in hours.REPORTS:
        keys = [row[: KEYS[name]] for row in await read(database, name)]
        assert len(set(keys)) == len(keys), name
        assert keys == sorted(keys, key=lambda key: tuple((part is None, part) for part in key)), name


async def test_a_report_on_nothing_is_empty(database: Database) -> None:
    assert [await read(database, name) for name in hours.REPORTS] == [[]] * len(hours.REPORTS)


async def test_the_reports_of_the_first_example(database: Database, hours_lane: Lane, clock: SettableClock) -> None:
    for username, volume, price in (("u1", 100, 3), ("u2", 150, 2), ("u3", 50, 4)):
        await hours_lane.run(hours.PlaceBid("default", username, volume, price))
        clock.advance(0.25)
    await hours_lane.run(hours.AddSupply("default", 250))
    first, then = "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:00.750000Z"
    assert [row[:6] for row in await read(database, "allocations")] == [
        ("default", "u1", 1, 100, 300, 3),
        ("default", "u2", 1, 100, 200, 2),
        ("default", "u3", 1, 50, 200, 4),
    ]
    assert await read(database, "daily_volume") == [("default", "2026-01-01", 3, 3, 250, 700, 2.8, 2, 4)]
    assert await read(database, "open_interest") == [("default", "bid", 2, 1, 50, 50)]
    assert await read(database, "supply_utilisation") == [("default", None, 1, 250, 250, 0, 0, 1, 700)]
    assert (await read(database, "fill_times"))[:2] == [
        ("default", 1, "u1", 3, "filled", 100, 100, 0, first, then, then, 0.75, 0.75),
        ("default", 2, "u2", 2, "open", 150, 100, 50, "2026-01-01T00:00:00.250000Z", then, None, 0.5, None),
    ]


async def test_a_bid_past_its_time_is_gone_before_anybody_swept_it(database: Database, hours_lane: Lane) -> None:
    expired = hours.PlaceBid("default", "u1", 10, 5, "gtc", NEW_YEAR + 1)
    await hours_lane.run(expired)
    assert await read(database, "open_interest") == []
    assert [(row[4], row[7]) for row in await read(database, "fill_times")] == [("expired", 0)]


async def test_a_day_begins_at_midnight_in_utc(database: Database, hours_lane: Lane, clock: SettableClock) -> None:
    await hours_lane.run(hours.AddSupply("default", 2))
    for instant in (NEW_YEAR + clocks.DAY - 1, NEW_YEAR + clocks.DAY):
        clock.instant = instant
        await hours_lane.run(hours.PlaceBid("default", "u1", 1, 1))
    assert [row[1] for row in await read(database, "daily_volume")] == ["2026-01-01", "2026-01-02"]


async def test_the_largest_amounts_do_not_end_a_report(database: Database, hours_lane: Lane) -> None:
    most = limits.MAX_QUANTITY
    for _ in range(12):
        await hours_lane.run(hours.AddSupply("default", most))
        await hours_lane.run(hours.PlaceBid("default", "u1", most, most))
    for name, column in (("allocations", 4), ("daily_volume", 5), ("supply_utilisation", 8)):
        assert [row[column] for row in await read(database, name)] == [12 * most * most], name
    assert [row[5] for row in await read(database, "allocations")] == [most]


async def test_reports_agree_with_each_other_while_writers_run(
    database: Database, hours_lane: Lane, clock: SettableClock
) -> None:
    def sums(tx: sa.Connection) -> list[int]:
        reports = (("allocations", "volume"), ("daily_volume", "volume"), ("supply_utilisation", "allocated"))
        statements = [f"SELECT coalesce(sum({column}), 0) FROM report_{name}" for name, column in reports]
        return [int(tx.execute(sa.text(statement)).scalar_one()) for statement in statements]

    writing = asyncio.create_task(trading.trade_for_some_days(hours_lane, clock, orders=400))
    seen = [await database.report(sums)]
    while not writing.done():
        for name in hours.REPORTS:
            await read(database, name)
        seen.append(await database.report(sums))
    await writing
    assert all(len(set(of_one_snapshot)) == 1 for of_one_snapshot in seen)
    assert len({of_one_snapshot[0] for of_one_snapshot in seen}) > 2
