"""Waiting until a lane has something new: told at once of this process's commits, by looking of those of others."""

from __future__ import annotations

import asyncio
import contextlib
import time

from marketplace.database import Database, Lane
from marketplace.spot import duties

POLL_SECONDS = 0.025


class News:
    """One waits. `seq` is the newest entry that the waiting one has seen."""

    def __init__(self, database: Database, lane: Lane) -> None:
        self._database = database
        # An embedded database is one process's.
        self._has_others = database.is_postgres
        self._told = asyncio.Event()
        lane.notify(self._told.set)

    async def wait(self, *, after: int, seconds: float) -> None:
        """Return when there may be entries after a seq, after `seconds` at the latest."""
        deadline = time.monotonic() + seconds
        while not self._told.is_set() and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                # Not wait_for: where news and the end come at once, it forgets the end.
                async with asyncio.timeout(min(left, POLL_SECONDS) if self._has_others else left):
                    await self._told.wait()
                break
            if self._has_others and await self._database.read_one(duties.read_head) > after:
                break
        self._told.clear()
