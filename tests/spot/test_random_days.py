"""Random days of commands, several of which share a transaction: whatever comes, the books agree.

A pool that was matched has nothing left to be decided; a projection that was kept up is as one that reads all anew.
At the end the audits, which replay the log, find nothing: what runs on a node fits it, and so does what is to run.
"""

from __future__ import annotations

from collections import Counter

import pytest

from marketplace.database import Database
from marketplace.spot import deciding, tables
from marketplace.spot.projection import Projection
from tests.services.clock import SettableClock
from tests.spot.day import Day
from tests.spot.desk import CREDIT, opened

pytestmark = [pytest.mark.property, pytest.mark.slow]

DAYS, STEPS = 12, 120
LONG_DAYS, LONG_STEPS = 200, 400
STARTING = 2 * CREDIT
"""So little that members run out of money."""

HAPPENS = {
    "spot_bid_evicted",
    "spot_bid_failed",
    "spot_bid_completed",
    "spot_bid_cancelled",
    "spot_bid_returned",
    "container_starting",
    "container_eviction_requested",
    "container_stop_requested",
    "leases_charged",
    "insufficient_funds",
}
CAUSES = {"evicted", "drained", "drill", "stopped", "ttl", "expired", "exited", "start_failed", "vanished", "lost"}


async def test_whatever_comes_the_books_agree(database: Database, clock: SettableClock, is_soak: bool) -> None:
    async with opened(database, clock, starting=STARTING) as desk:
        for seed in range(LONG_DAYS if is_soak else DAYS):
            day = Day(desk, seed)
            await day.live(LONG_STEPS if is_soak else STEPS)
            await nothing_is_left_to_decide(day)
            assert await desk.audit() == [], f"day {seed}"
        log = await desk.log()
    happened = Counter(kind for kind, _ in log)
    assert happened.keys() >= HAPPENS, "the days were too quiet"
    assert {said["cause"] for _, said in log if "cause" in said} >= CAUSES


async def nothing_is_left_to_decide(day: Day) -> None:
    """Match by both processes until they are done; then nobody who comes anew would decide anything else."""
    for projection in day.projections:
        for _ in range(200):
            if (await deciding.step(projection, day.desk.database, day.desk.lane)).is_done:
                break
        else:
            raise AssertionError("it is never done")
    fresh = Projection(day.pool, at_once=None, clock=day.desk.clock)
    await day.desk.read(fresh.catch_up)
    plan = fresh.state.decide(fresh.now())
    assert plan.is_empty
    assert plan.price_micros == fresh.price_micros
    bids = await day.rows(tables.spot_bids)
    for projection in day.projections:
        await day.desk.read(projection.catch_up)
        assert projection.price_micros == fresh.price_micros
        for bid in bids:
            assert projection.state.lease(bid.bid_id) == fresh.state.lease(bid.bid_id)
            assert projection.state.queued(bid.bid_id) == fresh.state.queued(bid.bid_id)
            assert projection.state.rank(bid.bid_id) == fresh.state.rank(bid.bid_id)
