"""Sequencers, solvers and owners in processes of their own, killed and frozen at any moment: each order goes one way.

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
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace.auctions.tables import auction_batches, auction_commitments, auction_log, auction_orders
from marketplace.database import Database, open_database
from marketplace.foundation.clock import SECOND
from tests.auctions.conftest import opened
from tests.auctions.desk import Desk
from tests.auctions.hand import STARTING
from tests.services.children import Child
from tests.services.clock import SettableClock
from tests.services.server import clean_environment
from tests.structure.tree import ROOT

BOOK = "storm"
PATIENCE_SECONDS = 90
SETTINGS = {"tick_micros": SECOND // 20, "bidding_window_micros": SECOND // 10, "fulfil_micros": SECOND}


class Cast:
    """The processes of one test."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self.hands: dict[str, Child] = {}

    def start(self, role: str, name: str, *more: str) -> Child:
        line = [sys.executable, "-m", "tests.auctions.hand", self._url, BOOK, role, name, *more]
        log = self._folder / f"{name}.log"
        self.hands[name] = Child(line, log=log, environment=clean_environment(), folder=ROOT)
        return self.hands[name]

    def role_of(self, name: str) -> str:
        return name.rstrip("0123456789")

    def kill(self, name: str) -> None:
        self.hands[name].end(signal.SIGKILL)
        self.start(self.role_of(name), name)

    def freeze(self, name: str, seconds: float) -> None:
        self.hands[name].send(signal.SIGSTOP)
        time.sleep(seconds)
        self.hands[name].send(signal.SIGCONT)

    def end(self) -> None:
        for hand in self.hands.values():
            hand.end(signal.SIGKILL)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Database]:
    database = open_database(postgres_url)
    yield database
    await database.close()


async def open_book(database: Database) -> None:
    async with opened(database, SettableClock()) as desk:
        await desk.open_book(BOOK, grace_micros=SECOND // 4, batch_size=20, bond=5, **SETTINGS)


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
@pytest.mark.parametrize("sequencers", [2, 3])
async def test_sequencers_that_are_killed_and_frozen_do_nothing_twice_and_lose_nothing(
    sequencers: int, postgres_url: str, store: Database, tmp_path: Path, *, is_soak: bool
) -> None:
    await open_book(store)
    cast, dice = Cast(postgres_url, tmp_path), random.Random(sequencers)
    names = [*(f"sequencer{n}" for n in range(sequencers)), "owner1", "solver1", "solver2", "solver3"]
    try:
        for name in names:
            cast.start(cast.role_of(name), name)
        for _ in range(60 if is_soak else 8):
            await wait_for_more(store)
            name = dice.choice(names)
            if dice.random() < 0.5:
                await asyncio.to_thread(cast.kill, name)
            else:
                await asyncio.to_thread(cast.freeze, name, dice.choice((0.1, 0.5, 1)))
        await wait_for_both(store)
    finally:
        cast.end()
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
    """Wait until commitments were kept and others were not."""
    async with asyncio.timeout(PATIENCE_SECONDS):
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


async def test_a_deposit_that_races_the_deadline_is_captured_or_released(
    postgres_url: str, store: Database, tmp_path: Path, *, is_soak: bool
) -> None:
    await open_book(store)
    cast = Cast(postgres_url, tmp_path)
    try:
        for name in ("sequencer1", "sequencer2", "owner1", "solver1", "solver2"):
            cast.start(cast.role_of(name), name)
        await wait_for_both(store, at_least=200 if is_soak else 5)
    finally:
        cast.end()
    await settled(store)


@pytest.mark.slow
async def test_offsets_have_no_holes_whoever_asks_for_what(
    postgres_url: str, store: Database, tmp_path: Path, *, is_soak: bool
) -> None:
    await open_book(store)
    cast = Cast(postgres_url, tmp_path)
    count = "2000" if is_soak else "200"
    seen: list[int] = []
    try:
        crowds = [cast.start("crowd", f"crowd{number}", count) for number in range(2)]
        async with asyncio.timeout(150):
            while any(crowd.is_running for crowd in crowds):
                page = await store.read(entries_after, len(seen))
                seen += page
                assert seen == list(range(len(seen))), "a reader saw an entry before the one that comes before it"
    finally:
        codes = [crowd.process.poll() for crowd in cast.hands.values()]
        cast.end()
    assert codes == [0, 0], [child.read_log() for child in cast.hands.values()]
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
