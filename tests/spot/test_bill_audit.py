"""The audit finds what was changed in the bills behind the market's back."""

from __future__ import annotations

import pytest

from marketplace import spot
from tests.services import raw
from tests.spot.desk import Desk
from tests.spot.running import end, run, set_price, settle

CLOSED = "WHERE from_at = (SELECT min(from_at) FROM lease_lines)"
FAULTS = [
    (f"UPDATE lease_lines SET charged_micros = charged_micros - 1 {CLOSED}", "adds up to"),
    (f"UPDATE lease_lines SET charged_micros = charged_micros + 9 {CLOSED}", "and at its price it is"),
    (f"UPDATE lease_lines SET to_at = to_at - 1 {CLOSED}", "and the one before ends at"),
    (f"DELETE FROM lease_lines {CLOSED}", "and the one before ends at"),
    (
        f"UPDATE lease_lines SET unit_price_micros_per_hour = unit_price_micros_per_hour + 1 {CLOSED}",
        "which its pool had not",
    ),
    ("UPDATE lease_lines SET to_at = to_at + 1, from_at = from_at + 1", "which its pool had not"),
    ("UPDATE leases SET line_charged_micros = line_charged_micros - 1 WHERE state = 'running'", "adds up to"),
    ("UPDATE leases SET line_from_at = line_from_at - 1 WHERE state = 'running'", "has a last line from"),
    ("UPDATE leases SET metered_until = metered_until - 1 WHERE state = 'ended'", "and it ended at"),
    ("UPDATE leases SET metered_until = metered_until + 86400000000 WHERE state = 'running'", "goes over midnight"),
    ("UPDATE leases SET paid_micros = paid_micros - 1 WHERE state = 'ended'", "leases: they have paid"),
    ("UPDATE spot_bids SET charged_micros = charged_micros + 1 WHERE state = 'completed'", "and its leases that ended"),
]


@pytest.fixture
async def billed(desk_to_tamper: Desk) -> Desk:
    """One lease has ended, another runs; each has a closed line."""
    desk = desk_to_tamper
    await desk.add_node("n", 10)
    _, over = await run(desk, "ann", 3.60)
    await run(desk, "bob", 3.60)
    desk.clock.advance(61)
    await settle(desk)
    await set_price(desk, 1.80)
    desk.clock.advance(61)
    await settle(desk)
    await end(desk, over)
    assert await desk.audit() == []
    return desk


@pytest.mark.parametrize(("statement", "expected"), FAULTS)
async def test_a_changed_bill_is_found(billed: Desk, statement: str, expected: str) -> None:
    await raw.execute(billed.database, statement)
    faults = await billed.read(spot.audit)
    assert any(expected in fault for fault in faults), faults


async def test_a_price_that_came_and_went_at_an_instant_is_no_fault(desk: Desk) -> None:
    await desk.add_node("n", 10)
    _, lease_id = await run(desk, "ann", 3.60)
    desk.clock.advance(10)
    await set_price(desk, 1.80)
    await set_price(desk, 3.60)
    desk.clock.advance(10)
    await set_price(desk, 1.80)
    await end(desk, lease_id)
    assert await desk.audit() == []
