"""One step of matching a pool: catch up, decide, hand the decision to the lane.

The decision is made outside of the lane, in a thread, on the projection; the lane takes it only if nothing that it
rests on has changed meanwhile. Any number of processes may match one pool: of two that decide at once, one is told no.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import NamedTuple

from marketplace.database import Database, Lane
from marketplace.foundation import clock as clocks
from marketplace.foundation import errors
from marketplace.foundation.clock import Instant
from marketplace.spot.commands import ApplyPlan, PlannedEviction, PlannedStart
from marketplace.spot.model import Plan
from marketplace.spot.projection import Projection


class Step(NamedTuple):
    """What a step came to. `is_done` where nothing is left to decide until something happens, or the instant comes."""

    starts: int
    evictions: int
    is_done: bool
    changes_at: Instant | None


class Matcher:
    """Matches one pool; one step at a time."""

    def __init__(self, pool: str, database: Database, lane: Lane, *, clock: Callable[[], Instant] = clocks.now) -> None:
        self.projection = Projection(pool)
        self._database, self._lane, self._clock = database, lane, clock
        self._is_sure = False

    async def step(self) -> Step:
        """Decide what is to be decided now, and have it done. Raises UnknownPool, and Busy: nothing has happened then.

        Where it is unknown what came of a decision, the next step begins anew.
        """
        projection = self.projection
        if not self._is_sure:
            projection.forget()
        self._is_sure = False
        await self._database.read(projection.catch_up)
        now = max(self._clock(), projection.at)
        left = projection.let_in(now)
        plan = await asyncio.to_thread(projection.state.decide, now)
        command = as_command(plan, projection)
        is_applied = command is None or await self._apply(command)
        if not is_applied:
            projection.state.take_back()
        self._is_sure = True
        starts, evictions = (len(plan.starts), len(plan.evictions)) if is_applied else (0, 0)
        return Step(starts, evictions, is_applied and not left, projection.changes_at())

    async def _apply(self, command: ApplyPlan) -> bool:
        try:
            is_applied: bool = await self._lane.run(command)
        except errors.Busy:
            self.projection.state.take_back()
            self._is_sure = True
            raise
        return is_applied


def as_command(plan: Plan, projection: Projection) -> ApplyPlan | None:
    """Say a plan as a command; None where it changes neither a place nor the price."""
    if plan.is_empty and plan.price_micros == projection.price_micros:
        return None
    return ApplyPlan(
        pool=projection.name,
        seq=projection.seq,
        starts=tuple(
            PlannedStart(start.bid.bid_id, start.node, bool(start.waits_for), secrets.token_hex(16))
            for start in plan.starts
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
