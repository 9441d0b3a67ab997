"""A durable cursor: every entry at least once, in order, whoever dies; the log is kept for it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from marketplace import events
from marketplace.database import Database, Lane
from marketplace.events import Advance, CursorMoved, Entry, Wanted, lookups
from marketplace.hours import PlaceBid
from tests.events.reading import Clerk
from tests.services.children import Child
from tests.services.server import ROOT, clean_environment


class Job:
    """A job that notes what it is given, and may die before it is done."""

    def __init__(self, database: Database, money: Lane, *, wanted: Wanted | None = None, limit: int = 4) -> None:
        self.given: list[int] = []
        self.dies = False
        self._follow = (database, money, "job", "hours", self._handle)
        self._options = {"wanted": wanted or Wanted(), "limit": limit}

    async def run(self) -> None:
        """Follow until there is nothing new."""
        while await events.follow(*self._follow, **self._options):  # type: ignore[arg-type]
            pass

    async def _handle(self, entries: Sequence[Entry]) -> None:
        self.given += [entry.seq for entry in entries]
        if self.dies:
            raise ConnectionError("it was killed")


async def cursor(database: Database) -> int | None:
    return (await database.read(lookups.read_batch, "job", "hours", Wanted(), limit=1))[0]


async def test_a_consumer_is_given_everything_once_and_in_order(
    database: Database, money_lane: Lane, clerk: Clerk
) -> None:
    job = Job(database, money_lane)
    await job.run()
    assert (job.given, await cursor(database)) == ([], 0)
    await clerk.bids(*["u1"] * 10)
    await job.run()
    await clerk.bids("u1")
    await job.run()
    assert (job.given, await cursor(database)) == (list(range(1, 12)), 11)


async def test_what_was_not_finished_is_given_again(database: Database, money_lane: Lane, clerk: Clerk) -> None:
    await clerk.bids(*["u1"] * 6)
    job = Job(database, money_lane)
    job.dies = True
    with pytest.raises(ConnectionError):
        await job.run()
    assert await cursor(database) == 0
    job.dies = False
    await job.run()
    assert job.given == [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]


async def test_a_consumer_passes_over_what_it_does_not_want(database: Database, money_lane: Lane, clerk: Clerk) -> None:
    await clerk.bids("u1")
    await clerk.market("gpu")
    await clerk.bids("u1", "u1")
    job = Job(database, money_lane, wanted=Wanted(kinds=frozenset(["market_created"])))
    await job.run()
    assert (job.given, await cursor(database)) == ([2], 4)


async def test_of_two_processes_one_moves_the_cursor(database: Database, money_lane: Lane, clerk: Clerk) -> None:
    await clerk.bids(*["u1"] * 20)
    jobs = [Job(database, money_lane) for _ in range(3)]
    await asyncio.gather(*(job.run() for job in jobs))
    assert {seq for job in jobs for seq in job.given} == set(range(1, 21))
    assert await cursor(database) == 20


async def test_a_cursor_moves_from_where_it_is_and_only_forward(money_lane: Lane) -> None:
    assert await money_lane.run(Advance("job", "hours", after=None, seq=5)) == 5
    for after, seq in ((None, 6), (4, 6), (6, 7), (5, 4)):
        with pytest.raises(CursorMoved):
            await money_lane.run(Advance("job", "hours", after=after, seq=seq))
    assert await money_lane.run(Advance("job", "hours", after=5, seq=9)) == 9
    assert await money_lane.run(Advance("job", "addresses", after=None, seq=1)) == 1


async def test_moves_of_one_transaction_follow_each_other(money_lane: Lane) -> None:
    moves = [Advance("job", "hours", after, seq) for after, seq in ((None, 1), (1, 2), (1, 3), (2, 4))]
    told = await asyncio.gather(*map(money_lane.run, moves), return_exceptions=True)
    assert [each if isinstance(each, int) else type(each) for each in told] == [1, 2, CursorMoved, 4]


async def test_an_entry_is_read_as_what_was_said(database: Database, clerk: Clerk) -> None:
    await clerk.bids("u1")
    (entry,) = await database.read_one(lookups.read_entries, "hours", first=1, last=9)
    assert entry.read(PlaceBid) == PlaceBid("default", "u1", 1, 1)


ENTRIES = 400


async def test_a_follower_that_is_killed_misses_nothing(
    database: Database, database_url: str, clerk: Clerk, tmp_path: Path, *, is_soak: bool
) -> None:
    """A process that notes each entry on the disk is killed again and again while the log grows."""
    noted = tmp_path / "noted"
    noted.touch()
    command: list[str | Path] = [sys.executable, "-m", "tests.events.follower", database_url, noted]

    async def grow() -> None:
        for _ in range(ENTRIES // 10):
            await clerk.bids(*["u1"] * 10)
            await asyncio.sleep(0.01)

    growing = asyncio.create_task(grow())
    kills = 9 if is_soak else 3
    for kill in range(kills + 1):
        before = len(noted.read_text().split())
        child = Child(command, log=tmp_path / "follower.log", environment=clean_environment(), folder=ROOT)
        wanted = ENTRIES if kill == kills else min(before + 30, ENTRIES)
        async with asyncio.timeout(60):
            while len(set(noted.read_text().split())) < wanted and child.is_running:  # noqa: ASYNC110 (it is another process)
                await asyncio.sleep(0.005)
        await asyncio.to_thread(child.end, signal.SIGKILL)
    await growing
    seqs = [int(seq) for seq in noted.read_text().split()]
    assert set(seqs) == set(range(1, ENTRIES + 1)), (tmp_path / "follower.log").read_text()[-2000:]
    assert [seq for at, seq in enumerate(seqs) if seq > max(seqs[:at], default=0) + 1] == [], "it went past an entry"
