"""Callers on sockets of their own, for loads that wrk cannot make: beside something else, or timed by kind.

Plain asyncio streams of bytes, because a client library would cost more than the server that it measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, Self
from urllib.parse import urlsplit


@dataclass
class Tally:
    """What callers saw: for each answer its kind and its time in seconds."""

    times: dict[str, list[float]] = field(default_factory=dict)
    refused: int = 0

    def note(self, kind: str, seconds: float, status: int) -> None:
        self.times.setdefault(kind, []).append(seconds)
        self.refused += status >= 400

    def add(self, other: Tally) -> None:
        """Take in what others saw."""
        for kind, times in other.times.items():
            self.times.setdefault(kind, []).extend(times)
        self.refused += other.refused

    @property
    def all_times(self) -> list[float]:
        return [seconds for times in self.times.values() for seconds in times]

    @property
    def longest(self) -> float:
        return max(self.all_times, default=0.0)


Order = tuple[str, str, bytes]
"""A kind, a path and a JSON body."""


def orders(seed: int, *, prices: Callable[[random.Random], int] | None = None, prefix: str = "") -> Iterator[Order]:
    """Yield the mix without end: nine buys, then a sell of what nine buys ask for."""
    source = random.Random(seed)
    while True:
        for _ in range(9):
            price = prices(source) if prices else source.randint(1, 100)
            user, volume = source.randrange(10_000), source.randint(1, 9)
            body = b'{"username":"user-%04d","volume":%d,"price":%d}' % (user, volume, price)
            yield "buy", f"{prefix}/buy", body
        yield "sell", f"{prefix}/sell", b'{"volume":45}'


def allocations(seed: int, *, prefix: str = "") -> Iterator[Order]:
    """Yield allocations without end, each for a VM that nobody has heard of."""
    for number in itertools.count():
        body = b'{"vm_id":"vm-%d-%d","hostname":"host-%d"}' % (seed, number, number)
        yield "allocate", f"{prefix}/api/v1/ip/allocate", body


def transfers(seed: int, *, prefix: str) -> Iterator[Order]:
    """Yield payments of a few micro-credits between random ones of so many wallets without end."""
    source, wallets = random.Random(seed), int(prefix)
    while True:
        payer, step, amount = source.randrange(wallets), source.randrange(1, wallets), source.randint(1, 9)
        fields = (payer, (payer + step) % wallets, amount)
        yield "transfer", "/api/v1/transfers", b'{"username":"w-%d","to":"w-%d","amount":"0.00000%d"}' % fields


def bids(seed: int, *, prefix: str = "") -> Iterator[Order]:
    """Yield sealed bids of random solvers on a hundred open orders without end."""
    source = random.Random(seed)
    while True:
        fields = source.randrange(500), source.randint(1, 9), source.randint(100, 999)
        body = b'{"solver":"s-%d","max_input":"0.0%d","conversion_rate":"%d","valid_till":"2099-01-01T00:00:00Z"}'
        yield "bid", f"{prefix}/api/v1/auctions/orders/{source.randint(2, 101)}/bids", body % fields


class Source(Protocol):
    """Makes what one connection sends."""

    def __call__(self, seed: int, *, prefix: str) -> Iterator[Order]: ...


class Caller:
    """One connection that is kept."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)

    async def __aenter__(self) -> Self:
        host, port = self._address.hostname, self._address.port
        self._reader, self._writer = await asyncio.open_connection(host, port, limit=2**24)
        self._head = f"Host: {host}:{port}\r\nContent-Type: application/json\r\n"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send one request and return status and body of its answer."""
        head = f"POST {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        return int(answer[9:12]), await self._reader.readexactly(length)


async def call(
    url: str, source: Iterator[Order], tally: Tally, *, until: Callable[[], bool], pause: float = 0.0
) -> None:
    """Send one order after the other on one connection until told to stop, with a pause of `pause` seconds between."""
    async with Caller(url) as caller:
        while not until():
            kind, path, body = next(source)
            started = time.perf_counter()
            status, _ = await caller.post(path, body)
            tally.note(kind, time.perf_counter() - started, status)
            if pause:
                await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def beside(
    url: str, source: Callable[[int], Iterator[Order]], *, connections: int, pause: float
) -> AsyncIterator[Tally]:
    """Keep callers at work beside what the caller of this does."""
    tally, is_over = Tally(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(call(url, source(number), tally, until=is_over.is_set, pause=pause))
        try:
            yield tally
        finally:
            is_over.set()


async def mix(
    urls: Any, *, connections: int, seconds: float, prefix: str, seed: int, source: Source = orders
) -> dict[str, Any]:
    """Do what wrk does where there is none: requests from many connections to each URL; a slower source of load."""
    tally, started = Tally(), time.perf_counter()
    path = "" if prefix == "/" else prefix
    async with asyncio.TaskGroup() as group:
        for url in urls:
            for number in range(connections):
                requests = source(seed * 10_000 + number, prefix=path)
                until = lambda: time.perf_counter() - started > seconds  # noqa: E731
                group.create_task(call(url, requests, tally, until=until))
    times = sorted(tally.all_times)
    return {
        "requests": len(times),
        "seconds": time.perf_counter() - started,
        "p50": percentile(times, 50) * 1000,
        "p99": percentile(times, 99) * 1000,
        "refused": tally.refused,
        "broken": 0,
    }


def percentile(times: list[float], percent: float) -> float:
    """Return a percentile of sorted times; 0 where there are none."""
    return times[min(int(len(times) * percent / 100), len(times) - 1)] if times else 0.0
