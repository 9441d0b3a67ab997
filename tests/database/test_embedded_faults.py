"""What can go wrong with a file: somebody else writes, the disk is full, and two lanes want to write at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace.database import Database, Lane, Limits, Log
from marketplace.database.engine import sqlite_file
from marketplace.foundation import errors
from tests.database import counters
from tests.database.counters import Add, Books
from tests.database.lanes import PATIENCE_SECONDS, Lanes, ask, insist, outcomes, until
from tests.services.clock import SettableClock

pytestmark = pytest.mark.parametrize("engine", ["sqlite"])


@pytest.fixture
def somebody(database: Database) -> Iterator[sqlite3.Connection]:
    """A connection of another process to the same file."""
    connection = sqlite3.connect(sqlite_file(database.url), isolation_level=None)
    yield connection
    connection.close()


async def test_who_writes_beside_us_is_waited_for(lanes: Lanes, books: Books, somebody: sqlite3.Connection) -> None:
    lane = await lanes.start()
    somebody.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(lane.run(Add(1)))
    await until(lambda: lane.waiting_orders == 1)
    assert await books.amounts() == []  # a reader is not kept waiting
    somebody.execute("COMMIT")
    assert (await outcomes([task]))[0].seq == 1


async def test_who_writes_beside_us_for_long_makes_us_busy(
    lanes: Lanes, books: Books, somebody: sqlite3.Connection
) -> None:
    lane = await lanes.start(max_waiting_seconds=0.2)
    somebody.execute("BEGIN IMMEDIATE")
    told = await outcomes([asyncio.create_task(lane.run(Add(1)))])
    assert isinstance(told[0], errors.Busy)
    somebody.execute("ROLLBACK")
    # The writer may be waiting inside SQLite still; it comes back to an empty queue.
    await lanes.database.writer.run(lambda _tx: None)
    assert (await insist(lambda: lane.run(Add(2)))).seq == 1
    assert await books.amounts() == [2]


async def test_a_full_disk_is_busy_and_nothing_happened(lanes: Lanes, books: Books, database: Database) -> None:
    lane = await lanes.start()
    await lane.run(Add(1))
    await limit_pages(database, 1)  # that is: no more than there are
    with pytest.raises(errors.Busy):
        await ask(lane, Add(2, note="x" * 1_000_000), "key")
    await limit_pages(database, 1_000_000)
    assert not (await ask(lane, Add(2, note="x" * 1_000_000), "key")).replayed
    assert await books.amounts() == [1, 2]
    await books.check()


async def limit_pages(database: Database, most: int) -> None:
    """Let the writer's file grow to so many pages; there is one writing connection, so this is the one."""
    await database.writer.run(lambda tx: tx.exec_driver_sql(f"PRAGMA max_page_count = {most}"))


async def test_two_lanes_share_one_writer_and_take_turns(
    lanes: Lanes, books: Books, database: Database, clock: SettableClock
) -> None:
    inside: set[str] = set()
    turns: list[str] = []

    def apply(tx: sa.Connection, log: Log, commands: Any, /, *, now: int) -> list[Any]:
        assert not inside, "two transactions at once"
        inside.add(log.lane)
        turns.append(log.lane)
        tx.exec_driver_sql("SELECT 1")  # a moment in which the other one could come between
        inside.clear()
        return counters.apply_adds(tx, log, commands, now=now) if log.lane == counters.LANE else list(commands)

    ours = await lanes.start(handlers={Add: apply}, max_batch=3)
    other = Lane("other", database, {Add: apply}, clock=clock, limits=Limits(max_batch=3))
    await other.start()
    told = await outcomes(asyncio.create_task(lane.run(Add(1))) for lane in [ours, other] * 30)
    await other.drain()
    assert not [each for each in told if isinstance(each, BaseException)]
    assert turns == [counters.LANE, "other"] * 10
    await books.check()


async def test_a_lane_that_is_held_up_does_not_hold_up_the_readers(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        task = asyncio.create_task(lane.run(Add(1)))
        await until(lambda: lane.waiting_orders == 1)
        assert await asyncio.wait_for(books.amounts(), PATIENCE_SECONDS) == []
    await outcomes([task])
    assert await books.amounts() == [1]
