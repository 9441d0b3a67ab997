"""Row on readers of the log: how soon after its commit an entry reaches them, while the market is busy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from urllib.parse import urlsplit

from benchmarks import callers, stage
from benchmarks.report import Row
from benchmarks.stage import Stage

RATE = 2_000
CONNECTIONS = 40
TARGET_MS = 100.0
READERS = 5
"""Of each process."""


def commit_to_reader(place: Stage, *, seconds: float, runs: int) -> Row:
    """Send 2 000 orders a second to one process, with readers on it and on another one that has no orders itself."""
    worst: list[float] = []
    notes: list[str] = []
    with place.database() as url, place.server(url) as writing, place.server(url) as other:
        for _ in range(runs):
            delays, rate = asyncio.run(_measure([writing.url, other.url], seconds))
            for where, times in zip(("the process that commits", "another process"), delays, strict=True):
                times.sort()
                p50, p99 = (callers.percentile(times, percent) * 1000 for percent in (50, 99))
                notes.append(f"{where}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(times)} entries, {rate:,.0f} orders/s")
                worst.append(p99)
        notes.append(stage.audit(url))
    what = f"from the lane's lock to {2 * READERS} readers of the stream, {RATE:,} orders/s, p99"
    measured = f"{max(worst):.0f} ms (worst of {len(worst)}, best {min(worst):.0f} ms)"
    return Row(what, measured, f"< {TARGET_MS:g} ms", max(worst) < TARGET_MS, notes)


async def _measure(urls: list[str], seconds: float) -> tuple[list[list[float]], float]:
    """Return the delays in seconds for each URL's readers, and the orders a second."""
    delays: list[list[float]] = [[] for _ in urls]
    async with contextlib.AsyncExitStack() as readers:
        for url, times in zip(urls, delays, strict=True):
            for _ in range(READERS):
                await readers.enter_async_context(_reading(url, times))
        tally, began = callers.Tally(), time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                until = lambda: time.perf_counter() - began > seconds  # noqa: E731
                group.create_task(_paced(urls[0], number, tally, until))
        rate = len(tally.all_times) / (time.perf_counter() - began)
        await asyncio.sleep(0.5)
    return delays, rate


async def _paced(url: str, number: int, tally: callers.Tally, until: Callable[[], bool]) -> None:
    """Send orders at this connection's share of the rate, whatever the answers take."""
    source, pause = callers.orders(number), CONNECTIONS / RATE
    due = time.perf_counter() + pause * number / CONNECTIONS
    async with callers.Caller(url) as caller:
        while not until():
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            due += pause
            kind, path, body = next(source)
            started = time.perf_counter()
            status, _ = await caller.post(path, body)
            tally.note(kind, time.perf_counter() - started, status)


@contextlib.asynccontextmanager
async def _reading(url: str, times: list[float]) -> AsyncIterator[None]:
    """Read the stream beside the body, and note for each entry how long ago its transaction had its lock."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**24)
    writer.write(f"GET /api/v1/events/stream?lanes=hours HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
    await reader.readuntil(b"id: ")  # it has begun

    async def note() -> None:
        while line := await reader.readline():
            if line.startswith(b"data: "):
                at = line.partition(b'"at":"')[2].partition(b'"')[0].decode()
                times.append(time.time() - datetime.fromisoformat(at).timestamp())

    noting = asyncio.create_task(note())
    try:
        yield
    finally:
        noting.cancel()
        writer.close()
