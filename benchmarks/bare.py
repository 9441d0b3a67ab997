"""The lane alone, without HTTP: how much of an order's cost is the market's own, and where it goes."""

from __future__ import annotations

import asyncio
import cProfile
import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvloop

from benchmarks import callers, load, machine
from benchmarks.load import Run
from benchmarks.report import Row
from benchmarks.stage import Stage
from marketplace import hours
from marketplace.database import Lane, open_database
from marketplace.wire import hours as wire

CALLERS = 128


def lane_alone(place: Stage, *, seconds: float, runs: int) -> Row:
    with place.database() as url:
        uvloop.run(run_lane(url, load.WARM_UP_SECONDS))
        found = [_metered(place, url, seconds) for _ in range(runs)]
    cpu = {name: load.median(found, lambda run, n=name: run.cpu[n]) for name in found[0].cpu}  # type: ignore[misc]
    measured = f"{load.median(found, lambda run: run.rate):,.0f} orders/s, {cpu['lane']:.0f} + {cpu['Postgres']:.0f} µs"
    p50 = load.median(found, lambda run: run.p50)
    notes = [f"{CALLERS} tasks, p50 {p50:.1f} ms; CPU µs an order: the lane's process + Postgres"]
    return Row("the lane alone, without HTTP", measured, "–", None, notes)


def _metered(place: Stage, url: str, seconds: float) -> Run:
    postgres_before, own_before = machine.cpu_seconds([place.postgres_pid]), time.process_time()
    run = uvloop.run(run_lane(url, seconds))
    own, theirs = time.process_time() - own_before, machine.cpu_seconds([place.postgres_pid]) - postgres_before
    cpu = {"lane": own / run.orders * 1e6, "Postgres": theirs / run.orders * 1e6}
    return Run(run.orders, run.seconds, run.p50, run.p99, cpu=cpu)


async def run_lane(url: str, seconds: float) -> Run:
    """Let many tasks send orders to one lane for a while."""
    database = open_database(url)
    lane = Lane(hours.LANE, database, hours.handlers())
    await lane.start()
    times: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(_call(lane, number, times, until=started + seconds) for number in range(CALLERS)))
    elapsed = time.perf_counter() - started
    await lane.drain()
    await database.close()
    times.sort()
    return Run(len(times), elapsed, statistics.median(times) * 1000, callers.percentile(times, 99) * 1000)


async def _call(lane: Lane, number: int, times: list[float], *, until: float) -> None:
    # Made beforehand, so that what is measured is the lane and not the making of orders.
    commands = itertools.cycle(list(itertools.islice(_commands(number), 200)))
    while (started := time.perf_counter()) < until:
        await lane.run(next(commands))
        times.append(time.perf_counter() - started)


def _commands(seed: int) -> Iterator[hours.PlaceBid | hours.AddSupply]:
    for kind, _, body in callers.orders(seed):
        if kind == "buy":
            buy = msgspec.json.decode(body, type=wire.Buy)
            yield hours.PlaceBid(hours.DEFAULT_MARKET, str(buy.username), buy.volume, buy.price)
        else:
            yield hours.AddSupply(hours.DEFAULT_MARKET, msgspec.json.decode(body, type=wire.Sell).volume)


def profile_lane(url: str, seconds: float, file: Path) -> None:
    """Write where the time of the lane's process goes."""
    profile = cProfile.Profile()
    profile.runcall(uvloop.run, run_lane(url, seconds))
    profile.dump_stats(file)
