"""One step of matching a pool: catch up, decide, hand the decision to the lane.

The decision is made outside of the lane, in a thread, on a projection; the lane takes it only if nothing that it rests
on has changed meanwhile. Any number of processes may match one pool: of two that decide at once, one is told no.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from marketplace.database import Database, Lane
from marketplace.foundation import errors, ids
from marketplace.foundation.clock import Instant
from marketplace.spot.commands import ApplyPlan, PlannedEviction, PlannedStart
from marketplace.spot.model import Plan
from marketplace.spot.projection import Projection


class Step(NamedTuple):
    """What a step came to. Where it `is_done`, nothing is left to decide until something happens or `changes_at`."""

    starts: int
    evictions: int
    is_done: bool
    changes_at: Instant | None


async def step(projection: Projection, database: Database, lane: Lane) -> Step:
    """Decide what is to be decided now, and have it done. Raises UnknownPool, and what the lane raises.

    Busy means that nothing has happened. Where it is unknown what came of it, the next step reads all anew.
    """
    is_sure = False
    try:
        has_more = await database.read(projection.catch_up)
        plan = await asyncio.to_thread(projection.state.decide, projection.now())
        command = as_command(plan, projection)
        try:
            is_applied: bool = command is None or await lane.run(command)
        except errors.Busy:
            projection.state.take_back()
            is_sure = True
            raise
        is_sure = True
    finally:
        if not is_sure:
            projection.forget()
    if not is_applied:
        projection.state.take_back()
        return Step(starts=0, evictions=0, is_done=False, changes_at=None)
    return Step(len(plan.starts), len(plan.evictions), not has_more, projection.changes_at())


def as_command(plan: Plan, projection: Projection) -> ApplyPlan | None:
    """Say a plan as a command; None where it changes neither a place nor the price."""
    if plan.is_empty and plan.price_micros == projection.price_micros:
        return None
    return ApplyPlan(
        pool=projection.pool,
        seq=projection.seq,
        starts=tuple(
            PlannedStart(start.bid.bid_id, start.node, bool(start.waits_for), ids.new_token()) for start in plan.starts
        ),
        evictions=tuple(
            PlannedEviction(
                one.lease.bid.bid_id, one.for_bid, one.stop_at, one.unit_price_micros, one.for_unit_price_micros
            )
            for one in plan.evictions
        ),
        released=plan.released,
        unit_price_micros=plan.price_micros,
    )
