"""The reporting views say what the rows and the bills say, on both engines."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace import spot
from marketplace.foundation import clock
from marketplace.spot import invoices, tables
from marketplace.spot.invoices import Month
from tests.reports import bidding
from tests.spot.desk import CREDIT, Desk

KEYS = {
    "spot_leases": 2,
    "spot_bill_lines": 3,
    "spot_bills": 3,
    "spot_revenue": 2,
    "spot_evictions": 3,
    "spot_utilisation": 1,
    "spot_value": 1,
}


async def read(desk: Desk, name: str) -> list[dict[str, Any]]:
    report = await desk.database.report(spot.read_report, name, limit=10_000)
    return [dict(zip(report.columns, row, strict=True)) for row in report.rows]


async def all_leases(desk: Desk) -> list[Any]:
    found = await desk.read(lambda tx: tx.execute(sa.select(tables.leases)).fetchall())
    return list(found)


@pytest.mark.parametrize("name", spot.REPORTS)
async def test_a_report_has_its_key_in_front_and_on_nothing_is_empty(name: str, desk: Desk) -> None:
    assert await read(desk, name) == []
    await bidding.bid_for_some_days(desk)
    rows = [tuple(row.values())[: KEYS[name]] for row in await read(desk, name)]
    assert len(rows) == len(set(rows)) > 0


async def test_the_bills_are_what_was_charged_to_the_last_micro_credit(desk: Desk) -> None:
    await bidding.bid_for_some_days(desk)
    leases = await all_leases(desk)
    charged = sum(lease.charged_micros for lease in leases)
    assert charged > 0
    for name in ("spot_bill_lines", "spot_bills", "spot_revenue", "spot_leases"):
        rows = await read(desk, name)
        assert sum(row["charged_units"] for row in rows) == charged
        assert sum(float(row["charged"]) for row in rows) == pytest.approx(charged / CREDIT)
    by_month: dict[tuple[str, int], int] = defaultdict(int)
    for row in await read(desk, "spot_bills"):
        assert row["month"] == "2026-01"
        by_month[row["username"], row["lease_id"]] += row["charged_units"]
    for username in bidding.MEMBERS:
        lines = await desk.read(invoices.monthly_bill, username, Month.of(2026, 1), after=None, limit=1_000)
        assert [(line.lease_id, line.charged_micros) for line in lines] == [
            (lease_id, units) for (owner, lease_id), units in sorted(by_month.items()) if owner == username
        ]


async def test_each_line_is_that_of_the_bill(desk: Desk) -> None:
    await bidding.bid_for_some_days(desk)
    rows = await read(desk, "spot_bill_lines")
    for lease in await all_leases(desk):
        if lease.started_at is None:
            continue
        bill = await desk.read(invoices.lease_bill, lease.lease_id, after=None, limit=1_000)
        mine = [row for row in rows if row["lease_id"] == lease.lease_id]
        told = [(row["unit_price_units"], row["charged_units"], round(row["seconds"] * 10**6)) for row in mine]
        assert told == [(line.unit_price_micros, line.charged_micros, line.to_at - line.from_at) for line in bill.lines]


async def test_the_revenue_of_a_day_is_that_of_its_lines(desk: Desk) -> None:
    await bidding.bid_for_some_days(desk)
    days = {str(row["day"]): row for row in await read(desk, "spot_revenue")}
    assert list(days) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    for row in days.values():
        assert row["pool"] == "default"
        assert row["leases"] >= row["members"] >= 1
        assert row["unit_seconds"] >= row["seconds"]


async def test_evictions_are_told_apart_by_their_reason(desk: Desk) -> None:
    await bidding.bid_for_some_days(desk)
    rows = await read(desk, "spot_evictions")
    leases = [lease for lease in await all_leases(desk) if lease.state == "ended" and lease.started_at is not None]
    for cause in ("evicted", "insufficient_funds", "drill"):
        of_cause = [lease for lease in leases if lease.cause == cause]
        told = [row for row in rows if row["cause"] == cause]
        assert sum(row["leases"] for row in told) == len(of_cause) == 2
        ran = sum(lease.ended_at - lease.started_at for lease in of_cause)
        assert round(sum(float(row["seconds"]) for row in told) * 10**6) == ran
    assert not {"exited", "out_of_memory"}.intersection(row["cause"] for row in rows)


async def test_a_lease_says_what_stayed_unpaid(desk: Desk) -> None:
    await desk.add_node("a", 1)
    bid_id = await desk.running("ann", 3.60)
    _, available = await desk.has("ann")
    await desk.run(spot.CancelBid(bid_id))
    from marketplace.ledger import Withdraw

    await desk.run(Withdraw("ann", available))
    desk.clock.advance(300)  # nobody settled, and the container did not heed
    await desk.end(bid_id, 137)
    (row,) = await read(desk, "spot_leases")
    assert row["charged_units"] - row["paid_units"] == row["unpaid_units"] > 0


async def test_utilisation_counts_what_runs_on_ready_nodes(desk: Desk) -> None:
    await bidding.bid_for_some_days(desk)
    (row,) = await read(desk, "spot_utilisation")
    assert (row["nodes"], row["ready_nodes"]) == (3, 2)
    assert (row["cpu_millis"], row["memory_mib"]) == (7_000, 7 * 2_048)
    running = [lease for lease in await all_leases(desk) if lease.state in ("starting", "running", "evicting")]
    assert row["leases"] == len(running) >= 3
    assert 0 < row["cpu_utilisation"] <= 1
    assert float(row["cpu_utilisation"]) == pytest.approx(row["used_cpu_millis"] / 7_000, abs=1e-6)
    assert row["waiting_bids"] >= 1


async def test_realised_value_is_held_against_the_best_that_could_be(desk: Desk) -> None:
    await desk.add_node("a", 4)
    await desk.running("ann", 2.00, units=2)
    await desk.running("bob", 1.50, units=1)
    await desk.place("cy", 6.00, units=2)
    (row,) = await read(desk, "spot_value")
    assert (row["bids"], row["capacity"], row["wanted"], row["running"]) == (3, 4, 5, 3)
    assert float(row["realised_value"]) == 3.50
    # 6.00 for two units, 1.50 for one, and half of the 2.00 for the last.
    assert float(row["ideal_value"]) == 8.50
    assert float(row["realised_share"]) == pytest.approx(3.50 / 8.50, abs=1e-6)


async def test_days_and_instants_are_those_of_the_rows(desk: Desk) -> None:
    await bidding.bid_for_some_days(desk)
    first = min((await all_leases(desk)), key=lambda lease: lease.lease_id)
    (row,) = [row for row in await read(desk, "spot_leases") if row["lease_id"] == first.lease_id]
    told = str(row["started_at"]).replace(" ", "T").replace("+00:00", "Z")
    written = clock.to_datetime(first.started_at).strftime("%Y-%m-%dT%H:%M:%S")
    assert told.startswith(written)
