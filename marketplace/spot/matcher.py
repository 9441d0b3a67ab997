"""All pools, matched by this process: as soon as something has happened, and when the time has come for something."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from prometheus_client import Histogram

from marketplace.database import Database, Lane
from marketplace.foundation import clock
from marketplace.foundation.clock import SECOND
from marketplace.spot import deciding, duties
from marketplace.spot.deciding import Step
from marketplace.spot.news import News
from marketplace.spot.projection import Projection

TICK_SECONDS = 1.0
"""How long at most nothing is decided."""
PAUSE_SECONDS = 0.005
"""Between two looks at the news: what comes meanwhile comes together."""
IDLE_PAUSE_SECONDS = 0.02
"""After news that changed nothing here: the lane is others', too."""

MATCH_SECONDS = Histogram(
    "marketplace_spot_match_seconds", "How long it took to catch up with a pool, decide, and be heard"
)


class Settled(NamedTuple):
    """Up to which entry the log is known, and after how many seconds something may change without news."""

    seq: int
    wait_seconds: float
    has_changed: bool
    """Whether somebody was given a place or told to go."""


class Matcher:
    """`run` goes on until it is cancelled, or until something breaks: begin anew then."""

    def __init__(self, database: Database, lane: Lane, news: News) -> None:
        self._database = database
        self._lane = lane
        self._news = news
        self._projections: dict[str, Projection] = {}
        self._pools_at = 0.0
        """When to look for new pools again, by the monotonic clock."""

    async def run(self) -> None:
        while True:
            settled = await self.match()
            await asyncio.sleep(PAUSE_SECONDS if settled.has_changed else IDLE_PAUSE_SECONDS)
            await self._news.wait(after=settled.seq, seconds=settled.wait_seconds)

    async def match(self) -> Settled:
        """Match each pool until it has settled."""
        await self._look_for_pools()
        waits, has_changed = [TICK_SECONDS], False
        for projection in self._projections.values():
            is_done = False
            while not is_done:
                step = await self._step(projection)
                is_done, has_changed = step.is_done, has_changed or bool(step.starts or step.evictions)
                if is_done and step.changes_at is not None:
                    waits.append(max(step.changes_at - clock.now(), 0) / SECOND)
        seq = min((each.seq for each in self._projections.values()), default=0)
        return Settled(seq, min(waits), has_changed)

    async def _look_for_pools(self) -> None:
        """Hear of new pools, which come seldom."""
        if time.monotonic() >= self._pools_at:
            for pool in await self._database.read_one(duties.read_pools):
                self._projections.setdefault(pool, Projection(pool))
            self._pools_at = time.monotonic() + TICK_SECONDS

    async def _step(self, projection: Projection) -> Step:
        with MATCH_SECONDS.time():
            return await deciding.step(projection, self._database, self._lane)
