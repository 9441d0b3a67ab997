"""Rows on the spot market as it runs: bids until their containers run, and one new bid in a large pool."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import statistics
import time
from collections.abc import AsyncIterator

import sqlalchemy as sa
import structlog
import uvloop

from benchmarks import callers, stage
from benchmarks.report import Row
from benchmarks.stage import Stage
from marketplace import worker
from marketplace.database import Lane, money
from marketplace.foundation import clock
from marketplace.foundation.settings import Settings
from marketplace.http.resources import Resources
from marketplace.spot import tables
from marketplace.spot.commands import DEFAULT_POOL, AddNode, Container, PlaceBid, Wish
from marketplace.spot.matcher import Matcher
from marketplace.spot.news import News
from tests.services import postgres

UNIT = (1_000, 2_048)
NODES, UNITS_OF_NODE = 50, 64
TASKS = 64
TARGET_RATE = 200
TARGET_SECONDS = 0.050

LARGE_NODES, QUEUED = 10_000, 100_000
NEW_BIDS = 200

# A pool whose nodes are full: one lease each, running for long; and who waits pays too little to displace anybody.
FILL = (
    """INSERT INTO nodes (pool, node, provider, backend, settings, owner, cpu_millis, memory_mib, state, heartbeat_at,
                          added_at, claim, claimed_until, changed_seq)
    SELECT 'default', 'node-' || lpad(n::text, 5, '0'), 'op', 'simulated', '{{}}', 'owner' || n, 16000, 32768, 'ready',
           {now}, 0, NULL, NULL, 1 FROM generate_series(1, {nodes}) AS n""",
    """INSERT INTO spot_bids (pool, bid_id, username, image, command, environment, cpu_millis, memory_mib,
        max_price_micros_per_hour, on_eviction, state, queue_seq, avoids, evictions, failures, hold_id, held_micros,
        charged_micros, lease_id, submitted_at, changed_seq)
    SELECT 'default', n, 'u' || n % 1000, 'any:1', '[]', '{{}}', 16000, 32768, 16 * (30000 + n * 7919 % 70000),
        'requeue', 'running', n, '[]', 0, 0, n, 1, 0, {nodes} + n, 0, {nodes} + n
    FROM generate_series(1, {nodes}) AS n""",
    """INSERT INTO leases (pool, lease_id, bid_id, username, node, state, notice_secret, matched_at, start_at,
        started_at, attempts, is_clean, size, parts, max_price_micros_per_hour, pricing, metered_until, charged_micros,
        remainder, paid_micros, line_charged_micros, is_low, changed_seq)
    SELECT pool, lease_id, bid_id, username, 'node-' || lpad(bid_id::text, 5, '0'), 'running', 'x', 0, 0, 0, 0, 0,
        16 * 2048000, 2048000, max_price_micros_per_hour, 'uniform', 0, 0, 0, 0, 0, 0, changed_seq
    FROM spot_bids""",
    """INSERT INTO spot_bids (pool, bid_id, username, image, command, environment, cpu_millis, memory_mib,
        max_price_micros_per_hour, on_eviction, state, queue_seq, avoids, evictions, failures, hold_id, held_micros,
        charged_micros, lease_id, submitted_at, changed_seq)
    SELECT 'default', n, 'u' || n % 1000, 'any:1', '[]', '{{}}', 1000 * (1 + n % 8), 2048 * (1 + n % 8),
        (1 + n % 8) * (10000 + n * 7919 % 10000), 'requeue', 'submitted', n, '[]', 0, 0, n, 1, 0, NULL, 0, n
    FROM generate_series(2 * {nodes} + 1, 2 * {nodes} + {queued}) AS n""",
    """INSERT INTO events (lane, seq, at, topic, kind, subject, member, data)
    VALUES ('money', 2 * {nodes} + {queued}, 0, 'benchmark', 'filled', '', NULL, '{{}}')""",
    """INSERT INTO commits (lane, last_seq, token, count, at)
    VALUES ('money', 2 * {nodes} + {queued}, 'filled', 1, 0)""",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",
)


# ── through the whole engine ─────────────────────────────────────────────────────────────────────────────────────────


def bids_to_running(place: Stage, *, seconds: float, runs: int) -> Row:
    """Place bids from many tasks until each one's container runs and that is in the books; jobs in the same process."""
    count = int(400 * seconds)
    rates, notes = [], []
    for _ in range(runs):
        with place.database() as url:
            rate, last = uvloop.run(_run_all(url, count))
            rates.append(rate)
            notes.append(f"{count:,} bids: {rate:,.0f} a second, all placed after {last:.2f} s; {stage.audit(url)}")
    with place.sqlite() as url:
        rate, _ = uvloop.run(_run_all(url, count))
        notes.append(f"on SQLite: {rate:,.0f} a second; {stage.audit(url)}")
    rate = statistics.median(rates)
    what = f"spot bids to running, {NODES} simulated nodes, {TASKS} tasks, without HTTP"
    measured = f"{rate:,.0f} a second ({min(rates):,.0f} – {max(rates):,.0f})"
    return Row(what, measured, f"≥ {TARGET_RATE}", rate >= TARGET_RATE, notes)


async def _run_all(url: str, count: int) -> tuple[float, float]:
    """Return how many bids a second came to run, and after how many seconds the last one was placed."""
    settings = {"fails_percent": 0, "exits_percent": 0, "start_seconds": (0, 0)}
    async with _process(url) as service:
        lane = service.lanes[money.LANE]
        for number in range(NODES):
            await lane.run(_node(f"n{number}", settings))
        stop = asyncio.Event()
        jobs = asyncio.create_task(worker.run_jobs(service, stop=stop))
        await asyncio.sleep(1)  # until the nodes are claimed
        numbers = iter(range(count))
        began = time.perf_counter()
        await asyncio.gather(*(_bid_on(lane, numbers) for _ in range(TASKS)))
        placed = time.perf_counter() - began
        while await _running(service) < count:  # noqa: ASYNC110 (the database knows)
            await asyncio.sleep(0.01)
        elapsed = time.perf_counter() - began
        stop.set()
        await jobs
    return count / elapsed, placed


async def _bid_on(lane: Lane, numbers: object) -> None:
    for number in numbers:  # type: ignore[attr-defined]
        await lane.run(_bid(f"u{number % 100}", price=20_000))


async def _running(service: Resources) -> int:
    query = sa.select(sa.func.count()).select_from(tables.leases).where(tables.leases.c.state == "running")

    def read(tx: sa.Connection) -> int:
        return tx.scalar(query) or 0

    return await service.database.read_one(read)


# ── one bid in a large pool ──────────────────────────────────────────────────────────────────────────────────────────


def request_to_matched(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001 - what all rows are asked
    """Time one new bid after the other, from the request to the lane until the books say that it is matched."""
    notes, medians = [], []
    for where, is_apart in (("the matcher in the same process", False), ("the matcher in another one", True)):
        with place.database() as url:
            for statement in FILL:
                postgres.execute(url, statement.format(nodes=LARGE_NODES, queued=QUEUED, now=clock.now()))
            times, first = uvloop.run(_time_bids(url, is_apart=is_apart))
        times.sort()
        medians.append(statistics.median(times))
        p50, p99 = (callers.percentile(times, percent) * 1e3 for percent in (50, 99))
        notes.append(
            f"{where}: p50 {p50:.1f} ms, p99 {p99:.1f} ms; the pool read and decided at first in {first:.1f} s"
        )
    worst = max(medians)
    what = f"one new bid, {LARGE_NODES:,} nodes, {QUEUED:,} waiting, from request to matched"
    return Row(what, f"{worst * 1e3:.1f} ms", f"≤ {TARGET_SECONDS * 1e3:.0f} ms", worst <= TARGET_SECONDS, notes)


async def _time_bids(url: str, *, is_apart: bool) -> tuple[list[float], float]:
    """Return the seconds of each bid, and those that the matcher took to begin. Apart, it hears of others' commits."""
    async with _process(url) as service, contextlib.AsyncExitStack() as stack:
        matching = await stack.enter_async_context(_process(url)) if is_apart else service
        lane = matching.lanes[money.LANE]
        matcher = Matcher(matching.database, lane, News(matching.database, lane))
        began = time.perf_counter()
        await matcher.match()
        first = time.perf_counter() - began
        going_on = asyncio.create_task(matcher.run())
        times = [await _until_matched(service) for _ in range(NEW_BIDS)]
        going_on.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await going_on
    return times, first


async def _until_matched(service: Resources) -> float:
    began = time.perf_counter()
    placed = await service.lanes[money.LANE].run(_bid("ann", price=200_000))
    query = sa.select(tables.spot_bids.c.state).where(tables.spot_bids.c.bid_id == placed.bid_id)
    while await service.database.read_one(lambda tx: tx.scalar(query)) == "submitted":  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return time.perf_counter() - began


# ── a process ────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def _process(url: str) -> AsyncIterator[Resources]:
    """Have what a process of the market stands on, its lanes running."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    service = worker.resources(Settings(database_url=url, max_waiting_seconds=60))
    for lane in service.lanes.values():
        await lane.start()
    try:
        yield service
    finally:
        for lane in service.lanes.values():
            await lane.drain()
        await service.database.close()


def _node(name: str, settings: dict[str, object]) -> AddNode:
    cpu, memory = UNIT
    return AddNode(
        pool=DEFAULT_POOL,
        node=name,
        provider="op",
        backend="simulated",
        cpu_millis=UNITS_OF_NODE * cpu,
        memory_mib=UNITS_OF_NODE * memory,
        settings=settings,
        owner=secrets.token_hex(8),
    )


def _bid(username: str, *, price: int) -> PlaceBid:
    cpu, memory = UNIT
    container = Container(image="any:1", cpu_millis=cpu, memory_mib=memory)
    return PlaceBid(DEFAULT_POOL, username, container, Wish(max_price_micros=price))
