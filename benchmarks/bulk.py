"""Rows on much at once: ten thousand orders in one request, and one sell that fills a hundred thousand bids."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from benchmarks import callers, load, machine, report, stage
from benchmarks.callers import Caller, Order, Tally
from benchmarks.load import Run
from benchmarks.report import Row
from benchmarks.stage import BenchmarkServer, Stage

BATCH = "/api/v1/hours/markets/default/orders:batch"
ORDERS = 10_000
FILLS = 100_000
TARGET_RATE = 20_000
LONGEST_WAIT_SECONDS = 1.0
BESIDE = 8
PAUSE_SECONDS = 0.02

_encode = msgspec.json.encode


# ── orders:batch ─────────────────────────────────────────────────────────────────────────────────────────────────────


def batches(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001 - it runs as long as its orders take
    with place.database() as url, place.server(url) as server:
        processes = {"server": [server.pid], "Postgres": [place.postgres_pid]}
        alone, beside, tally = asyncio.run(_run_batches(server, runs, processes))
        books = stage.audit(url)
    rate = load.median(beside, lambda run: run.rate)
    is_met = rate >= TARGET_RATE and tally.longest <= LONGEST_WAIT_SECONDS and not tally.refused
    notes = [
        *report.sides({"nobody beside": alone, f"{BESIDE} callers beside": beside}),
        f"the callers beside: {_waits(tally)}",
        books,
    ]
    measured = f"{rate:,.0f} orders/s, longest wait {tally.longest:.2f} s"
    return Row("`orders:batch` of 10 000", measured, "≥ 20 000 orders/s, wait ≤ 1 s", is_met, notes)


async def _run_batches(
    server: BenchmarkServer, runs: int, processes: load.Processes
) -> tuple[list[Run], list[Run], Tally]:
    """Send batches in turns with nobody and with callers beside."""
    alone: list[Run] = []
    beside: list[Run] = []
    together = Tally()
    async with Caller(server.url) as sender:
        await _send_batch(sender, processes, seed=0)
        for run in range(1, runs + 1):
            alone.append(await _send_batch(sender, processes, seed=run))
            async with callers.beside(server.url, callers.orders, connections=BESIDE, pause=PAUSE_SECONDS) as tally:
                await asyncio.sleep(0.2)
                beside.append(await _send_batch(sender, processes, seed=run + runs))
            together.add(tally)
    return alone, beside, together


async def _send_batch(sender: Caller, processes: load.Processes, *, seed: int) -> Run:
    """Send the mix as one request."""
    source = callers.orders(seed)
    orders = [msgspec.json.decode(next(source)[2]) for _ in range(ORDERS)]
    body = _encode({"orders": [{"side": "buy" if "price" in order else "sell", **order} for order in orders]})
    before, started = load.cpu_times(processes), time.perf_counter()
    status, answer = await sender.post(BATCH, body)
    seconds = time.perf_counter() - started
    if status != 200:
        raise RuntimeError(f"a batch was refused: {answer.decode()}")
    return _run_of_one(ORDERS, seconds, load.cpu_since(before, processes, ORDERS))


def _run_of_one(orders: int, seconds: float, cpu: Mapping[str, float]) -> Run:
    """Describe one request that took `seconds` for all its orders."""
    return Run(orders, seconds, seconds * 1000, seconds * 1000, cpu=cpu)


# ── one sell that fills many ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Sweep:
    """One sell that filled the whole book."""

    run: Run
    before: float
    peak: float
    tally: Tally


def sweeps(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001 - it runs as long as its fills take
    with place.database() as url, place.server(url) as server:
        processes = {"server": [server.pid], "Postgres": [place.postgres_pid]}
        found = [asyncio.run(_sweep(server, processes, seed=seed)) for seed in range(runs)]
        books = stage.audit(url)
    rate = load.median([each.run for each in found], lambda run: run.rate)
    grown = max(each.peak - each.before for each in found)
    tally = Tally()
    for each in found:
        tally.add(each.tally)
    notes = [
        *report.sides({"one sell": [each.run for each in found]}, unit="fill"),
        f"memory of the server: {found[0].before:.0f} MiB before the first, at most {grown:.0f} MiB more during one",
        f"{BESIDE} callers beside: {_waits(tally)}",
        books,
    ]
    measured = f"{rate:,.0f} fills/s, + {grown:.0f} MiB, longest wait {tally.longest:.2f} s"
    target = "≥ 20 000 fills/s, bounded memory"
    return Row("one sell that fills 100 000 bids", measured, target, rate >= TARGET_RATE and grown < 100, notes)


async def _sweep(server: BenchmarkServer, processes: load.Processes, *, seed: int) -> Sweep:
    """Fill the book, then sell to all of it, with callers beside whose bids are the last in the queue."""
    async with Caller(server.url) as sender:
        for part in range(FILLS // ORDERS):
            await _place_bids(sender, random.Random(seed * 1000 + part))
        before = machine.resident_mebibytes(server.pid)
        machine.forget_peak(server.pid)
        async with callers.beside(server.url, _cheap_buys, connections=BESIDE, pause=PAUSE_SECONDS) as tally:
            await asyncio.sleep(0.2)
            cpu, started = load.cpu_times(processes), time.perf_counter()
            status, answer = await sender.post("/sell", b'{"volume":%d}' % FILLS)
            run = _run_of_one(FILLS, time.perf_counter() - started, load.cpu_since(cpu, processes, FILLS))
    if status != 200 or msgspec.json.decode(answer)["allocated"] != FILLS:
        raise RuntimeError(f"the sell did not fill the book: {answer.decode()}")
    return Sweep(run, before, machine.peak_mebibytes(server.pid), tally)


async def _place_bids(sender: Caller, source: random.Random) -> None:
    orders = [
        {"side": "buy", "username": f"user-{source.randrange(10_000):04}", "volume": 1, "price": source.randint(2, 100)}
        for _ in range(ORDERS)
    ]
    status, answer = await sender.post(BATCH, _encode({"orders": orders}))
    if status != 200:
        raise RuntimeError(f"a batch was refused: {answer.decode()}")


def _cheap_buys(seed: int) -> Iterator[Order]:
    body = b'{"username":"beside-%d","volume":1,"price":1}' % seed
    while True:
        yield "buy", "/buy", body


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _waits(tally: Tally) -> str:
    times = sorted(tally.all_times)
    return (
        f"{len(times)} orders, p50 {callers.percentile(times, 50) * 1000:.0f} ms, "
        f"longest {tally.longest * 1000:.0f} ms, {tally.refused} told to come back"
    )
