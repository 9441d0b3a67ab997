"""The reporting views say what happened, on both engines."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from marketplace import auctions
from tests.auctions.desk import Desk
from tests.reports import soliciting

KEYS = {"auction_fill_rate": 3, "auction_fill_times": 2, "auction_surplus": 3, "auction_solvers": 2}


async def read(desk: Desk, name: str) -> list[dict[str, Any]]:
    report = await desk.database.report(auctions.read_report, name, limit=10_000)
    return [dict(zip(report.columns, row, strict=True)) for row in report.rows]


@pytest.fixture
async def solicited(desk: Desk) -> Desk:
    await soliciting.solicit_for_a_while(desk.lane, desk.clock)
    return desk


@pytest.mark.parametrize("name", auctions.REPORTS)
async def test_a_report_has_its_key_in_front_and_is_read_in_its_order(name: str, solicited: Desk) -> None:
    keys = [tuple(row.values())[: KEYS[name]] for row in await read(solicited, name)]
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)


@pytest.mark.parametrize("name", auctions.REPORTS)
async def test_a_report_on_nothing_is_empty(name: str, desk: Desk) -> None:
    assert await read(desk, name) == []


async def test_the_fill_rate_is_of_those_that_have_ended(solicited: Desk) -> None:
    (row,) = await read(solicited, "auction_fill_rate")
    counts = [row[name] for name in ("orders", "filled", "expired", "cancelled", "failed_commitments")]
    assert counts == [8, 4, 1, 1, 2]
    assert float(row["fill_rate"]) == pytest.approx(4 / 6, abs=1e-6)


async def test_the_fill_times_are_those_of_the_clock(solicited: Desk) -> None:
    rows = await read(solicited, "auction_fill_times")
    assert [row["state"] for row in rows] == [
        "filled", "filled", "filled", "filled", "cancelled", "expired", "open", "pending",
    ]  # fmt: skip
    assert [row["commitments"] for row in rows] == [1, 2, 2, 1, 0, 0, 0, 0]
    first = rows[0]
    seconds = [float(first[name]) for name in ("seconds_to_announcement", "seconds_to_first_commitment")]
    assert (seconds, float(first["seconds_to_fill"])) == ([2, 5], 5 + 1.5 + 2)
    assert rows[-1]["seconds_to_announcement"] is None


async def test_the_surplus_is_what_came_above_the_promise(solicited: Desk) -> None:
    rows = await read(solicited, "auction_surplus")
    assert [(row["solver"], row["rank"]) for row in rows] == [("s1", 1), ("s2", 2), ("s2", 2), ("s1", 1)]
    assert [row["surplus_units"] for row in rows] == [12, 0, 0, 0]
    assert [row["over_limit_units"] for row in rows] == [302, 190, 190, None]
    assert [row["unspent_units"] for row in rows] == [20_000_000, 20_000_000, 20_000_000, None]
    expected = Decimal(100) if solicited.database.is_postgres else 100.0
    assert {row["input"] for row in rows} == {expected}


async def test_the_league_is_led_by_who_filled_most(solicited: Desk) -> None:
    rows = {row["solver"]: row for row in await read(solicited, "auction_solvers")}
    assert [(name, row["filled"], row["failed"], row["place"]) for name, row in rows.items()] == [
        ("s1", 2, 0, 1),
        ("s2", 2, 0, 1),
        ("s3", 0, 2, 4),
        ("s4", 0, 0, 3),
    ]
    # Half of a bond of three credits, twice.
    assert (rows["s3"]["slashed_units"], rows["s3"]["kept_rate"]) == (3_000_000, 0)
    assert rows["s3"]["blocked_until"] is not None
    assert rows["s4"]["kept_rate"] is None
    assert float(rows["s2"]["average_seconds_to_fill"]) == 2
