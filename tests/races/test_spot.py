"""Two processes on one spot market, everybody at once: who bids, cancels, matches, starts, ends and charges."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any, NamedTuple

import sqlalchemy as sa

from marketplace import ledger, spot
from marketplace.database import Database, Lane, Limits, money, open_database
from marketplace.foundation.errors import Busy
from marketplace.spot import deciding, tables
from marketplace.spot.projection import Projection

CREDIT = 1_000_000
STARTING = 1_000 * CREDIT
POLICY = spot.Policy(minimum_runtime_seconds=0, notice_seconds=1, backoff_seconds=1, max_backoff_seconds=1)


class Process(NamedTuple):
    """What one process has: a lane of its own on the shared database, and how it knows the pool."""

    database: Database
    lane: Lane
    projection: Projection


@contextlib.asynccontextmanager
async def processes(url: str) -> AsyncIterator[list[Process]]:
    """Open two processes; SQLite lets one write, so there they share the database's one writer."""
    handlers = {**ledger.handlers(starting_credits=STARTING), **spot.handlers(starting_credits=STARTING)}
    async with contextlib.AsyncExitStack() as stack:
        opened = [open_database(url) for _ in range(2 if url.startswith("postgres") else 1)]
        both = []
        for number in range(2):
            database = opened[number % len(opened)]
            lane = Lane(money.LANE, database, handlers, limits=Limits(max_waiting_seconds=60))
            await lane.start()
            stack.push_async_callback(lane.drain)
            both.append(Process(database, lane, Projection("race")))
        yield both
        await asyncio.gather(*(one.lane.drain() for one in both))
        for database in opened:
            await database.close()


async def open_pool(process: Process, nodes: int) -> None:
    await process.lane.run(spot.OpenPool(spot.Pool("race", POLICY)))
    for number in range(nodes):
        await process.lane.run(
            spot.AddNode(
                pool="race",
                node=f"n{number}",
                provider="pat",
                backend="simulated",
                cpu_millis=2_000,
                memory_mib=4_096,
                owner=f"o{number}",
            )
        )


def bid(username: str, price: int) -> spot.PlaceBid:
    container = spot.Container(image="app", cpu_millis=1_000, memory_mib=2_048)
    return spot.PlaceBid("race", username, container, spot.Wish(max_price_micros=price, on_eviction="requeue"))


async def rows(database: Database, table: sa.Table, *states: str) -> list[Any]:
    query = sa.select(table).where(table.c.state.in_(states)).order_by(*table.primary_key.columns)
    found: list[Any] = await database.read_one(lambda tx: list(tx.execute(query)))
    return found


class Crowd:
    """Everybody who is there until `done`; each takes turns with the others wherever they wait for the lane."""

    def __init__(self, both: list[Process]) -> None:
        self.both, self.draw, self.done = both, Random(5), False

    async def bids(self, process: Process, count: int) -> None:
        for _ in range(count):
            placed = await process.lane.run(bid(f"u{self.draw.randint(1, 9)}", self.draw.randint(1, 900) * 10_000))
            if self.draw.random() < 0.3:
                await process.lane.run(spot.CancelBid(placed.bid_id))

    async def matches(self, process: Process) -> None:
        while not self.done:
            with contextlib.suppress(Busy):
                await deciding.step(process.projection, process.database, process.lane)
            await asyncio.sleep(0)

    async def runs(self, process: Process) -> None:
        """Start and end containers as two nodes' processes do that both believe to look after all of them."""
        while not self.done:
            for lease in await rows(process.database, tables.leases, "starting", "running", "evicting", "stopping"):
                if lease.state == "starting":
                    await process.lane.run(spot.RecordStarted(lease.lease_id, "box", lease.start_at))
                elif lease.state != "running" or self.draw.random() < 0.2:
                    await process.lane.run(spot.RecordEnded(lease.lease_id, lease.start_at + CREDIT, 0))
            await process.lane.run(spot.Settle())
            await asyncio.sleep(0)


async def test_whoever_comes_in_between_no_place_is_given_twice_and_the_books_agree(database_url: str) -> None:
    async with processes(database_url) as both:
        await open_pool(both[0], 3)
        crowd = Crowd(both)
        others = [asyncio.create_task(work(process)) for process in both for work in (crowd.matches, crowd.runs)]
        await asyncio.gather(*(crowd.bids(process, 60) for process in both))
        await asyncio.sleep(0.5)
        crowd.done = True
        await asyncio.gather(*others)
        faults = await both[0].database.report(lambda tx: [*ledger.audit(tx), *spot.audit(tx)])
        assert faults == []
        states = Counter(one.state for one in await rows(both[0].database, tables.spot_bids, *tables.BID_STATES))
        assert states["cancelled"]
        assert states["completed"] + states["submitted"] >= 10, states


async def test_of_a_cancel_and_a_match_that_come_at_once_either_is_first_and_never_half(database_url: str) -> None:
    async with processes(database_url) as (one, other):
        await open_pool(one, 30)
        outcomes: Counter[str] = Counter()
        for _ in range(25):
            placed = await one.lane.run(bid("ann", CREDIT))
            cancelled, _ = await asyncio.gather(
                other.lane.run(spot.CancelBid(placed.bid_id)), deciding.step(one.projection, one.database, one.lane)
            )
            outcomes[cancelled.state] += 1
            open_leases = await rows(one.database, tables.leases, "starting", "running", "stopping")
            assert [lease.state for lease in open_leases if lease.bid_id == placed.bid_id] == (
                [] if cancelled.state == "cancelled" else ["stopping"]
            )
        assert outcomes.keys() <= {"cancelled", "running"}
        assert await one.database.report(lambda tx: [*ledger.audit(tx), *spot.audit(tx)]) == []


async def test_of_an_end_that_two_report_at_once_one_is_charged(database_url: str) -> None:
    async with processes(database_url) as both:
        await open_pool(both[0], 5)
        bids = [await both[0].lane.run(bid("ann", 3_600 * CREDIT)) for _ in range(10)]
        while not (await deciding.step(both[0].projection, both[0].database, both[0].lane)).is_done:
            pass
        leases = await rows(both[0].database, tables.leases, "starting")
        assert len(leases) == len(bids)
        for lease in leases:
            await both[0].lane.run(spot.RecordStarted(lease.lease_id, "box", lease.start_at))
        ends = [spot.RecordEnded(lease.lease_id, lease.start_at + CREDIT, 0) for lease in leases]
        told = await asyncio.gather(*(process.lane.run(end) for end in ends for process in both))
        assert Counter(told) == {True: 10, False: 10}
        assert await both[0].database.report(lambda tx: [*ledger.audit(tx), *spot.audit(tx)]) == []


async def test_of_an_end_and_an_eviction_that_come_at_once_either_is_first_and_the_room_is_given_once(
    database_url: str,
) -> None:
    async with processes(database_url) as (one, other):
        await open_pool(one, 1)
        await one.lane.run(spot.SetNode(pool="race", node="n0", state="ready"))
        outcomes: Counter[tuple[str, str]] = Counter()
        for turn in range(15):
            # A container of the whole node, and one that pays more: each turn above what was paid before.
            low, high = (whole_node(turn, price) for price in (1, 2))
            placed = await one.lane.run(low)
            await settle(one)
            (lease,) = await rows(one.database, tables.leases, "starting")
            await one.lane.run(spot.RecordStarted(lease.lease_id, "box", lease.start_at))
            await one.lane.run(high)
            ended, _ = await asyncio.gather(
                other.lane.run(spot.RecordEnded(lease.lease_id, lease.start_at, 0)),
                deciding.step(one.projection, one.database, one.lane),
            )
            assert ended is True
            await settle(one)
            bids = await rows(one.database, tables.spot_bids, *tables.BID_STATES)
            outcomes[tuple(bid.state for bid in bids[-2:])] += 1
            (last,) = await rows(one.database, tables.leases, "starting")
            assert last.bid_id == bids[-1].bid_id > placed.bid_id
            await one.lane.run(spot.RecordStarted(last.lease_id, "box", last.start_at))
            await one.lane.run(spot.RecordEnded(last.lease_id, last.start_at, 0))
        assert outcomes.keys() <= {("completed", "starting"), ("evicted", "starting")}
        assert await one.database.report(lambda tx: [*ledger.audit(tx), *spot.audit(tx)]) == []


def whole_node(turn: int, price: int) -> spot.PlaceBid:
    container = spot.Container(image="app", cpu_millis=2_000, memory_mib=4_096)
    return spot.PlaceBid("race", f"m{turn}-{price}", container, spot.Wish(max_price_micros=price * CREDIT))


async def settle(process: Process) -> None:
    """Match until nothing is left to decide."""
    while not (await deciding.step(process.projection, process.database, process.lane)).is_done:
        pass
