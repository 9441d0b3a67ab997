"""Holds a lane from outside, so that requests pile up before it, and lets go."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator

import asyncpg

from marketplace import hours
from marketplace.database.engine import sqlite_file


@contextlib.contextmanager
def held_lane(url: str) -> Iterator[None]:
    """Have the turn to write in the hours market while the body runs, as another process would."""
    with _held_file(url) if url.startswith("sqlite:") else _held_table(url):
        yield


@contextlib.contextmanager
def _held_file(url: str) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(sqlite_file(url), isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _held_table(url: str) -> Iterator[None]:
    """Hold it from a thread, which has an event loop of its own."""
    has_it, let_go = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(url)
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE lane_{hours.LANE} IN EXCLUSIVE MODE")
            has_it.set()
            await asyncio.to_thread(let_go.wait)
        await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(hold()), daemon=True)
    thread.start()
    assert has_it.wait(20)
    try:
        yield
    finally:
        let_go.set()
        thread.join()
