"""Sequencers, solvers and owners in processes of their own, killed and frozen at any moment: each order goes one way.

On SQLite, whose file has one process, that one plays all parts, is killed, and goes on with what it has left.

Deposits race the end of their commitments all the while. Afterwards every log can be computed again, every order has
had one commitment at a time, and each deposit was either captured or released: the audits say so.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa

from marketplace.auctions.tables import (
    auction_batches,
    auction_commitments,
    auction_deposits,
    auction_log,
    auction_orders,
)
from marketplace.database import Database, open_database
from marketplace.foundation.clock import SECOND
from marketplace.ledger.tables import transfers
from tests.auctions.conftest import opened
from tests.auctions.desk import Desk
from tests.auctions.hand import STARTING
from tests.services.children import Child
from tests.services.clock import SettableClock
from tests.services.server import clean_environment
from tests.structure.tree import ROOT

BOOK = "storm"
PATIENCE_SECONDS = 90
SOAK_SECONDS_EACH = 2
SETTINGS = {
    "tick_micros": SECOND // 20,
    "bidding_window_micros": SECOND // 10,
    "fulfil_micros": SECOND,
    "grace_micros": SECOND // 4,
    "batch_size": 20,
    "bond": 5,
}


class Cast:
    """The processes of one test. Use it as a context manager: it ends them.

    Several share a Postgres; a file has one process at a time, which plays all parts.
    """

    def __init__(self, url: str, folder: Path, *, seed: int = 0) -> None:
        self._url, self._folder, self._seed = url, folder, seed
        self.dice = random.Random(seed)
        self.hands: dict[str, Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self.hands.values():
            hand.end(signal.SIGKILL)

    def enter(self, *names: str) -> None:
        """Start processes, each in the role that its name begins with."""
        for name in names if self._url.startswith("postgresql") else ("market1",):
            self.start(name)

    def start(self, name: str, *more: object) -> Child:
        words = (self._url, BOOK, name.rstrip("0123456789"), name, self._seed, *more)
        line = [sys.executable, "-m", "tests.auctions.hand", *map(str, words)]
        log = self._folder / f"{name}.log"
        self.hands[name] = Child(line, log=log, environment=clean_environment(), folder=ROOT)
        return self.hands[name]

    def disturb(self) -> None:
        """Kill one of them and start it again, or freeze it for a while."""
        name = self.dice.choice(sorted(self.hands))
        if self.dice.random() < 0.5:
            self.hands[name].end(signal.SIGKILL)
            self.start(name)
            return
        self.hands[name].send(signal.SIGSTOP)
        time.sleep(self.dice.choice((0.1, 0.5, 1)))
        self.hands[name].send(signal.SIGCONT)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url)
    yield database
    await database.close()


async def open_book(database: Database, **more: int) -> None:
    async with opened(database, SettableClock()) as desk:
        await desk.open_book(BOOK, **SETTINGS | more)


async def settled(database: Database) -> Desk:
    """Tick far in the future until nothing is under way any more; the audits find nothing then, and on the way out."""
    clock = SettableClock(time.time_ns() // 1_000)
    async with opened(database, clock, starting_credits=STARTING) as desk:
        for _ in range(3):
            clock.advance(60)
            while (await desk.tick(book=BOOK, sequencer="last")).more:
                pass
        assert await desk.audit() == []
    return desk


async def counted(database: Database) -> dict[str, int]:
    """Return how many commitments are in which state."""
    state = auction_commitments.c.state
    query = sa.select(state, sa.func.count()).where(auction_commitments.c.book == BOOK).group_by(state)
    found: list[Any] = await database.read(lambda tx: list(tx.execute(query)))
    return {row[0]: row[1] for row in found}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "sequencers"), [("sqlite", 1), ("postgres", 2), ("postgres", 3)], indirect=["engine"]
)
async def test_sequencers_that_are_killed_and_frozen_do_nothing_twice_and_lose_nothing(
    sequencers: int, database_url: str, store: Database, tmp_path: Path
) -> None:
    await storm(database_url, store, tmp_path, sequencers=sequencers, disturbances=8, seed=sequencers)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize(
    ("engine", "sequencers"), [("sqlite", 1), ("postgres", 2), ("postgres", 3)], indirect=["engine"]
)
async def test_sequencers_that_are_killed_and_frozen_for_long_do_nothing_twice_and_lose_nothing(
    sequencers: int, seed: int, database_url: str, store: Database, tmp_path: Path
) -> None:
    await storm(database_url, store, tmp_path, sequencers=sequencers, disturbances=60, seed=seed)


async def storm(url: str, store: Database, folder: Path, *, sequencers: int, disturbances: int, seed: int) -> None:
    """Play an auction while its processes are killed and frozen, and look at what it has left."""
    await open_book(store)
    with Cast(url, folder, seed=seed) as cast:
        cast.enter(*(f"sequencer{n}" for n in range(sequencers)), "owner1", "solver1", "solver2", "solver3")
        for _ in range(disturbances):
            await wait_for_more(store)
            await asyncio.to_thread(cast.disturb)
        await wait_for_both(store)
    await settled(store)
    assert (await counted(store)).get("live", 0) == 0
    assert await store.read(moments_with_two_commitments) == []


async def wait_for_more(database: Database, entries: int = 20) -> None:
    """Wait until so many entries have come to the log."""
    wanted = len(await database.read(entries_after, 0)) + entries
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(await database.read(entries_after, 0)) < wanted:  # noqa: ASYNC110 (other processes do it)
            await asyncio.sleep(0.05)


async def wait_for_both(database: Database, at_least: int = 1) -> None:
    """Wait until so many commitments were kept and as many others were not."""
    async with asyncio.timeout(PATIENCE_SECONDS + SOAK_SECONDS_EACH * at_least):
        while True:
            states = await counted(database)
            if min(states.get("filled", 0), states.get("failed", 0)) >= at_least:
                return
            await asyncio.sleep(0.05)


def moments_with_two_commitments(tx: sa.Connection) -> list[Any]:
    """Return commitments of one order that were live at the same time."""
    one, other = auction_commitments.alias("one"), auction_commitments.alias("other")
    same = sa.and_(one.c.book == other.c.book, one.c.order_id == other.c.order_id)
    query = (
        sa.select(one.c.order_id)
        .join(other, sa.and_(same, one.c.commitment_id < other.c.commitment_id))
        .where(sa.or_(one.c.ended_at.is_(None), one.c.ended_at > other.c.created_at))
    )
    return list(tx.execute(query).scalars())


@pytest.mark.slow
async def test_a_deposit_that_races_the_deadline_is_captured_or_released(
    database_url: str, store: Database, tmp_path: Path
) -> None:
    await race_the_deadline(database_url, store, tmp_path, at_least=5, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_deposits_that_race_deadlines_for_long_are_captured_or_released(
    seed: int, database_url: str, store: Database, tmp_path: Path
) -> None:
    await race_the_deadline(database_url, store, tmp_path, at_least=200, seed=seed)


async def race_the_deadline(url: str, store: Database, folder: Path, *, at_least: int, seed: int) -> None:
    """Let solvers deliver at the very end, until so many commitments were kept, and as many were not."""
    await open_book(store, fulfil_micros=SECOND // 2)
    with Cast(url, folder, seed=seed) as cast:
        cast.enter("sequencer1", "sequencer2", "owner1", "solver1", "solver2")
        await wait_for_both(store, at_least)
    desk = await settled(store)
    ends = await desk.read(ends_of_deposits)
    assert {(kind, state) for kind, state, _ in ends} == {("capture", "filled"), ("release", "failed")}
    assert {count for _, _, count in ends} == {1}, "each deposit ends once"


def ends_of_deposits(tx: sa.Connection) -> list[Any]:
    """Return by what the holds of deposits have ended, with the state of their commitments, and how often."""
    hold = sa.and_(transfers.c.hold_id == auction_deposits.c.hold_id)
    of = (
        auction_deposits.c.book == auction_commitments.c.book,
        auction_deposits.c.commitment_id == auction_commitments.c.commitment_id,
    )
    query = (
        sa.select(transfers.c.kind, auction_commitments.c.state, sa.func.count())
        .select_from(auction_deposits.join(auction_commitments, sa.and_(*of)).outerjoin(transfers, hold))
        .where(auction_deposits.c.book == BOOK)
        .group_by(auction_deposits.c.hold_id, transfers.c.kind, auction_commitments.c.state)
    )
    return [tuple(row) for row in tx.execute(query)]


# ── offsets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
async def test_offsets_have_no_holes_whoever_asks_for_what(database_url: str, store: Database, tmp_path: Path) -> None:
    await crowd(database_url, store, tmp_path, count=200, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_offsets_have_no_holes_whoever_asks_for_what_for_long(
    seed: int, database_url: str, store: Database, tmp_path: Path
) -> None:
    await crowd(database_url, store, tmp_path, count=2_000, seed=seed)


async def crowd(url: str, store: Database, folder: Path, *, count: int, seed: int) -> None:
    """Let sixteen clients send so many requests each, in two processes or, to a file, in one, and read the log on."""
    await open_book(store)
    seen: list[int] = []
    with Cast(url, folder, seed=seed) as cast:
        shares = {"crowd1": 8, "crowd2": 8} if store.is_postgres else {"crowd1": 16}
        crowds = [cast.start(name, clients, count) for name, clients in shares.items()]
        async with asyncio.timeout(count * 0.75):
            while any(each.is_running for each in crowds):
                await asyncio.sleep(0.01)  # of two cores it would take one
                seen += await store.read(entries_after, len(seen))
                assert seen == list(range(len(seen))), "a reader saw an entry before the one that comes before it"
        assert [each.process.poll() for each in crowds] == [0] * len(crowds), [each.read_log() for each in crowds]
    seen += await store.read(entries_after, len(seen))
    assert seen == list(range(len(seen)))
    assert len(seen) > 200
    desk = await settled(store)
    batches = await desk.rows(auction_batches, book=BOOK)
    kinds = [row.kind for row in await desk.rows(auction_log, book=BOOK)]
    for batch in batches:
        last = batch.first_offset + batch.orders
        assert kinds[batch.first_offset : last + 1] == [*["OrderAdded"] * batch.orders, "BatchCreated"]
    assert len({(batch.sequencer, batch.batch_number) for batch in batches}) == len(batches)
    assert sum(batch.orders for batch in batches) == len(await announced(desk))


def entries_after(tx: sa.Connection, count: int) -> list[int]:
    query = sa.select(auction_log.c.log_offset).where(auction_log.c.book == BOOK, auction_log.c.log_offset >= count)
    return list(tx.execute(query.order_by(auction_log.c.log_offset)).scalars())


async def announced(desk: Desk) -> list[Any]:
    return [row for row in await desk.rows(auction_orders, book=BOOK) if row.added_at is not None]
