"""All pools, matched by this process: as soon as something has happened, and when the time has come for something."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import Histogram

from marketplace.database import Database, Lane
from marketplace.foundation import clock
from marketplace.foundation.clock import SECOND
from marketplace.spot import deciding, duties
from marketplace.spot.news import News
from marketplace.spot.projection import Projection

TICK_SECONDS = 1.0
"""How long at most nothing is decided."""
PAUSE_SECONDS = 0.005
"""Between two looks at the news: what comes meanwhile comes together."""

MATCH_SECONDS = Histogram(
    "marketplace_spot_match_seconds", "How long it took to catch up with a pool, decide, and be heard"
)


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
            seq, wait_seconds = await self.match()
            await asyncio.sleep(PAUSE_SECONDS)
            await self._news.wait(after=seq, seconds=wait_seconds)

    async def match(self) -> tuple[int, float]:
        """Match each pool until it has settled.

        Return the seq up to which the log is known, and after how many seconds to look again without news.
        """
        await self._look_for_pools()
        waits = [TICK_SECONDS]
        for projection in self._projections.values():
            changes_at = await self._settle(projection)
            if changes_at is not None:
                waits.append(max(changes_at - clock.now(), 0) / SECOND)
        return min((each.seq for each in self._projections.values()), default=0), min(waits)

    async def _look_for_pools(self) -> None:
        """Hear of new pools, which come seldom."""
        if time.monotonic() >= self._pools_at:
            for pool in await self._database.read_one(duties.read_pools):
                self._projections.setdefault(pool, Projection(pool))
            self._pools_at = time.monotonic() + TICK_SECONDS

    async def _settle(self, projection: Projection) -> int | None:
        """Step until nothing is left to decide; return when there may be something again without an event."""
        while True:
            began = time.perf_counter()
            step = await deciding.step(projection, self._database, self._lane)
            MATCH_SECONDS.observe(time.perf_counter() - began)
            if step.is_done:
                return step.changes_at
