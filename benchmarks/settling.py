"""A row on the bills of the spot market: 10 000 running leases charged and paid for, on both engines."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from benchmarks import machine, stage
from benchmarks.report import Row
from benchmarks.stage import Stage
from marketplace import ledger, spot
from marketplace.database import Database, Lane, Limits, log, money, open_database
from tests.services.clock import SettableClock

LEASES = 10_000
MEMBERS = 1_000
CHUNK = 500
TARGET_SECONDS = 1.0
CREDIT = 1_000_000
NODE = "large"


class Settled(NamedTuple):
    """A settlement of all leases: seconds of the clock, of CPU (PostgreSQL's included), and of its longest
    transaction."""

    seconds: float
    cpu: float
    longest: float


def leases(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001 - what all rows are asked
    """Settle all leases again and again, ten seconds of theirs later each time; half of the times at a new price."""
    notes, worst = [], 0.0
    for name, opened in (("PostgreSQL", place.database), ("SQLite", place.sqlite)):
        with opened() as url:
            same, other = asyncio.run(_measure(place, url, runs=runs))
            notes += [f"{name}: {_told(same)}; after another price {_told(other)}", f"{name}: {stage.audit(url)}"]
        worst = max(worst, statistics.median(each.seconds for each in same))
    what = f"settlement of {LEASES:,} running leases of {MEMBERS:,} members"
    return Row(what, f"{worst:.2f} s, the slower engine", f"≤ {TARGET_SECONDS:g} s", worst <= TARGET_SECONDS, notes)


def _told(runs: Sequence[Settled]) -> str:
    took, cpu = [each.seconds for each in runs], statistics.median(each.cpu for each in runs)
    longest = max(each.longest for each in runs)
    return (
        f"{statistics.median(took):.2f} s ({min(took):.2f} – {max(took):.2f}), {cpu:.2f} s of CPU, "
        f"the longest transaction {longest * 1e3:.0f} ms"
    )


async def _measure(place: Stage, url: str, *, runs: int) -> tuple[list[Settled], list[Settled]]:
    """Return settlements at the same price, and after another one."""
    clock = SettableClock()
    async with _open(url, clock) as (database, lane):
        await _let_run(database, lane, clock)
        clock.advance(60)
        await _settle(lane)
        took: dict[bool, list[Settled]] = {False: [], True: []}
        for is_other, number in itertools.product((False, True), range(runs)):
            clock.advance(5)
            if is_other:
                await _plan(database, lane, (), price=10_000 + number)
            clock.advance(5)
            before = time.process_time() + machine.cpu_seconds([place.postgres_pid])
            times = await _settle(lane)
            cpu = time.process_time() + machine.cpu_seconds([place.postgres_pid]) - before
            took[is_other].append(Settled(sum(times), cpu, max(times)))
        return took[False], took[True]


@contextlib.asynccontextmanager
async def _open(url: str, clock: SettableClock) -> AsyncIterator[tuple[Database, Lane]]:
    starting = 1_000 * CREDIT
    handlers = {**ledger.handlers(starting_credits=starting), **spot.handlers(starting_credits=starting)}
    database = open_database(url)
    lane = Lane(money.LANE, database, handlers, limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    yield database, lane
    await lane.drain()
    await database.close()


async def _let_run(database: Database, lane: Lane, clock: SettableClock) -> None:
    """Have as many containers run as there are to be, all on one large node."""
    room = spot.AddNode(
        pool=spot.DEFAULT_POOL,
        node=NODE,
        provider="pat",
        backend="simulated",
        cpu_millis=10**9,
        memory_mib=10**9,
        owner="benchmark",
    )
    await lane.run(room)
    for first in range(0, LEASES, 1_000):
        bids = [_bid(number) for number in range(first, first + 1_000)]
        placed = await asyncio.gather(*map(lane.run, bids))
        starts = [spot.PlannedStart(bid.bid_id, NODE, waits=False, secret="s") for bid in placed]
        await _plan(database, lane, starts, price=10_000)
        head = (await database.read(lambda tx: log.read_head(tx, money.LANE))).last_seq
        lease_ids = range(head - len(starts) + 1, head + 1)
        began = (spot.RecordStarted(lease_id, "container", clock()) for lease_id in lease_ids)
        assert all(await asyncio.gather(*map(lane.run, began)))
        clock.advance(0.1)


def _bid(number: int) -> spot.PlaceBid:
    container = spot.Container(image="app:1", cpu_millis=1_000, memory_mib=2_048)
    wish = spot.Wish(max_price_micros=CREDIT + number)
    return spot.PlaceBid(spot.DEFAULT_POOL, f"member-{number % MEMBERS}", container, wish)


async def _plan(database: Database, lane: Lane, starts: Sequence[spot.PlannedStart], *, price: int) -> None:
    head = (await database.read(lambda tx: log.read_head(tx, money.LANE))).last_seq
    plan = spot.ApplyPlan(
        pool=spot.DEFAULT_POOL,
        seq=head,
        starts=tuple(starts),
        evictions=(),
        released=(),
        unit_price_micros=price,
    )
    assert await lane.run(plan)


async def _settle(lane: Lane) -> list[float]:
    """Settle everything that is due, a chunk a transaction; return how long each took."""
    times: list[float] = []
    count = 0
    while True:
        started = time.perf_counter()
        settled = await lane.run(spot.Settle(CHUNK))
        if not settled:
            assert count == LEASES, f"{count} were settled"
            return times
        times.append(time.perf_counter() - started)
        count += settled
