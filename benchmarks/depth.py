"""Row on the depth of the book: what an order costs with a million open bids, against ten thousand."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import callers, load, stage
from benchmarks.callers import Tally
from benchmarks.load import Run
from benchmarks.report import Row
from benchmarks.stage import BenchmarkServer, Stage
from tests.services import postgres

SHALLOW, DEEP = 10_000, 1_000_000
TARGETS = {1_000: 1.2, 1_000_000: 1.5}
"""By the number of price levels: how many times as long an order may take."""
CONNECTIONS = 4
AT = 1_767_225_600_000_000

# The bids and their log as if somebody had placed them one by one in a single transaction: the audit proves it.
# 7919 is prime, so that prices are spread over all levels without a pattern that an index would profit from.
FILL = (
    """INSERT INTO events (lane, seq, at, topic, kind, subject, member, data)
    SELECT 'hours', n, {at}, 'hours', 'bid_placed', 'default/' || n, 'user-' || lpad((n % 10000)::text, 4, '0'),
        format('{{"type":"bid_placed","market":"default","username":"user-%s","volume":5,"price":%s}}',
            lpad((n % 10000)::text, 4, '0'), 1 + n * 7919 % {levels})
    FROM generate_series(1::bigint, {bids}) AS n""",
    """INSERT INTO bids (
        market, bid_id, seq, username, volume, remaining, price, time_in_force, state, placed_at, expires_at
    )
    SELECT 'default', n, n, 'user-' || lpad((n % 10000)::text, 4, '0'), 5, 5, 1 + n * 7919 % {levels}, 'gtc', 'open',
        {at}, NULL
    FROM generate_series(1::bigint, {bids}) AS n""",
    "INSERT INTO commits (lane, last_seq, token, count, at) VALUES ('hours', {bids}, 'filled', {bids}, {at})",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",
)


@dataclass(frozen=True)
class Timed(Run):
    """A load of which the times are known by kind of order, in milliseconds."""

    buy: float = 0.0
    sell: float = 0.0

    def mean(self, kind: str) -> float:
        return self.buy if kind == "buy" else self.sell


def open_bids(place: Stage, *, seconds: float, runs: int) -> Row:
    notes: list[str] = []
    measured: list[str] = []
    is_met = True
    for levels, target in TARGETS.items():
        results = _compare(place, levels, seconds=min(seconds, 4.0), runs=runs)
        ratios = {kind: _slower(results, kind) for kind in ("buy", "sell")}
        worst = max(ratios.values())
        is_met = is_met and worst <= target
        measured.append(f"{worst:.2f} × at {levels:,} levels")
        notes += _notes(results, levels, ratios)
    target_text = "≤ " + ", ".join(f"{target:g} × at {levels:,}" for levels, target in TARGETS.items())
    return Row(
        "`/buy` and `/sell` with 1 000 000 open bids against 10 000", ", ".join(measured), target_text, is_met, notes
    )


def _compare(place: Stage, levels: int, *, seconds: float, runs: int) -> Mapping[str, Sequence[Timed]]:
    with contextlib.ExitStack() as stack:
        sides = {}
        for bids in (SHALLOW, DEEP):
            server = stack.enter_context(_filled(place, bids, levels))
            sides[f"{bids:,} bids"] = functools.partial(_run, place, server, levels, seconds)
            _run(place, server, levels, load.WARM_UP_SECONDS)
        return load.alternate(sides, runs=runs)


@contextlib.contextmanager
def _filled(place: Stage, bids: int, levels: int) -> Iterator[BenchmarkServer]:
    with place.database() as url:
        for statement in FILL:
            postgres.execute(url, statement.format(bids=bids, levels=levels, at=AT))
        if bids == SHALLOW:
            stage.audit(url)  # the same statements filled both; replaying a million entries would take minutes
        with place.server(url) as server:
            yield server


def _run(place: Stage, server: BenchmarkServer, levels: int, seconds: float) -> Timed:
    tallies: list[Tally] = []
    prices: Callable[[random.Random], int] = lambda source: source.randint(1, levels)  # noqa: E731

    def call() -> Run:
        tallies.append(asyncio.run(_call(server.url, prices, seconds)))
        times = sorted(tallies[0].all_times)
        p50, p99 = (callers.percentile(times, percent) * 1000 for percent in (50, 99))
        return Run(len(times), seconds, p50, p99, refused=tallies[0].refused)

    run = load.metered(call, {"server": [server.pid], "Postgres": [place.postgres_pid]})
    buy, sell = (statistics.fmean(tallies[0].times[kind]) * 1000 for kind in ("buy", "sell"))
    return Timed(run.orders, run.seconds, run.p50, run.p99, run.refused, cpu=run.cpu, buy=buy, sell=sell)


async def _call(url: str, prices: Callable[[random.Random], int], seconds: float) -> Tally:
    tally, started = Tally(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            source = callers.orders(random.randrange(2**32), prices=prices)
            until = lambda: time.perf_counter() - started > seconds  # noqa: E731
            group.create_task(callers.call(url, source, tally, until=until))
    return tally


def _slower(results: Mapping[str, Sequence[Timed]], kind: str) -> float:
    shallow, deep = results.values()
    return statistics.median(one.mean(kind) / other.mean(kind) for one, other in zip(deep, shallow, strict=True))


def _notes(results: Mapping[str, Sequence[Timed]], levels: int, ratios: Mapping[str, float]) -> list[str]:
    ratio_text = ", ".join(f"{kind} {ratio:.2f} ×" for kind, ratio in ratios.items())
    lines = [f"{levels:,} price levels: mean time of a {ratio_text}"]
    for name, runs in results.items():
        mean = {kind: statistics.median(run.mean(kind) for run in runs) for kind in ("buy", "sell")}
        cpu = " · ".join(f"{part} {load.median(runs, lambda run, p=part: run.cpu[p]):.0f}" for part in runs[0].cpu)  # type: ignore[misc]
        lines.append(f"  {name:>14}: buy {mean['buy']:.2f} ms, sell {mean['sell']:.2f} ms, CPU µs an order: {cpu}")
        if refused := sum(run.refused for run in runs):
            lines.append(f"  ERRORS {refused}")
    return lines
