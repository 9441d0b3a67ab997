"""Lanes under test: started, held up, piled up before, and asked."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any

import asyncpg
from prometheus_client import REGISTRY

from marketplace.database import Apply, Database, Key, Lane, Limits, engine
from marketplace.foundation import errors
from marketplace.foundation.clock import Instant
from tests.database import counters

PATIENCE_SECONDS = 20.0


class Lanes:
    """The lanes of one test on one database. More than one of the same name are what several processes would have."""

    def __init__(self, database: Database, clock: Callable[[], Instant]) -> None:
        self.database = database
        self._clock = clock
        self._opened: list[Lane] = []

    async def start(
        self,
        *,
        handlers: Mapping[type, Apply] | None = None,
        database: Database | None = None,
        **limits: Any,
    ) -> Lane:
        """Start a lane of the counters."""
        lane = Lane(
            counters.LANE,
            database or self.database,
            counters.HANDLERS if handlers is None else handlers,
            limits=Limits(**limits),
            clock=self._clock,
        )
        await lane.start()
        self._opened.append(lane)
        return lane

    async def drain(self) -> None:
        for lane in self._opened:
            await lane.drain()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Have the turn to write, as another process would: whatever is asked meanwhile waits."""
        if not self.database.is_postgres:
            other = sqlite3.connect(engine.sqlite_file(self.database.url), isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                other.close()
            return
        connection = await asyncpg.connect(self.database.url)
        try:
            async with connection.transaction():
                await connection.execute(counters.LOCK)
                yield
        finally:
            await connection.close()


async def pile_up(lane: Lane, commands: Iterable[Any]) -> list[asyncio.Task[Any]]:
    """Put commands before a lane that is held, in this order."""
    tasks = []
    for command in commands:
        before = lane.waiting_orders
        tasks.append(asyncio.create_task(lane.run(command)))
        await until(lambda before=before: lane.waiting_orders > before)  # type: ignore[misc]
    return tasks


async def ask(lane: Lane, command: Any, key: str, *, caller: str = "ann", fingerprint: str = "f") -> Any:
    """Send a command with an Idempotency-Key."""
    return await lane.answer(command, key=Key(caller, key, fingerprint), encode=counters.encode)


async def outcomes(tasks: Iterable[asyncio.Future[Any]]) -> list[Any]:
    """Return what each was told: an outcome, or the refusal or error that it raised."""
    return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE_SECONDS)


async def insist(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until the answer is another one than Busy, which means that nothing happened.

    For a lane whose patience a test has made short: a machine that does other things as well may need longer.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await ask()
            except errors.Busy:
                continue


async def until(is_so: Callable[[], bool]) -> None:
    """Let others run until something is so. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110 (what is waited for sets no event)
            await asyncio.sleep(0.001)


def metered(name: str, **labels: str) -> float:
    """Return a meter of the counters' lane; meters outlive a test, so compare two readings."""
    return REGISTRY.get_sample_value(f"marketplace_lane_{name}", {"lane": counters.LANE, **labels}) or 0.0
