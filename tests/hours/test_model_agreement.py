"""Random days on the market end as the simple model says: every row, every answer, every seq.

A day is a list of batches, each submitted at once, so that its commands share transactions. Chunks of one and two
offers make matching read on, write and forget in the middle of a batch, which ordinary chunks do only on huge books.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

import hypothesis
import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from marketplace import hours
from marketplace.database import Database, Lane, log
from marketplace.foundation.errors import Refusal
from marketplace.hours import book, tables
from tests.hours.days import On, days, throw
from tests.hours.simple_market import Refused, SimpleMarkets
from tests.services import raw
from tests.services.clock import NEW_YEAR, SettableClock

pytestmark = pytest.mark.property

EXAMPLES = max(150, hypothesis.settings().max_examples)

chunks = st.sampled_from([(64, 4096), (1, 1), (1, 2), (2, 2), (1, 4)])


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(day=days, chunk=chunks)
async def test_a_random_day_ends_as_the_simple_model_says(
    database: Database, hours_lane: Lane, clock: SettableClock, day: list[tuple[int, list[Any]]], chunk: tuple[int, int]
) -> None:
    simple = await begin_anew(database, clock)
    with chunks_of(*chunk):
        for seconds, batch in day:
            simple.set_clock(clock.advance(seconds))
            await run_both(hours_lane, simple, batch)
    await compare(database, simple)
    event(f"{min(len(simple.allocations) // 5 * 5, 20)} allocations or more")


@pytest.mark.parametrize("seed", range(8))
async def test_a_long_busy_day_ends_as_the_simple_model_says(
    database: Database, hours_lane: Lane, clock: SettableClock, seed: int, *, is_soak: bool
) -> None:
    for number in range(100 if is_soak else 1):
        simple = await begin_anew(database, clock)
        dice = random.Random(f"{seed} {number}")
        with chunks_of(dice.choice([1, 1, 2, 64]), dice.choice([1, 2, 3, 4096])):
            for _ in range(30):
                simple.set_clock(clock.advance(dice.randint(-1, 4)))
                await run_both(hours_lane, simple, [throw(dice, clock()) for _ in range(dice.randint(1, 20))])
        await compare(database, simple)
        assert len(simple.allocations) > 50, "a day on which nothing happens proves nothing"


@contextmanager
def chunks_of(first: int, largest: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book, "FIRST_CHUNK", first)
        patch.setattr(book, "LARGEST_CHUNK", largest)
        yield


# ── both at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def run_both(lane: Lane, simple: SimpleMarkets, batch: list[Any]) -> None:
    """Run a batch in the model, one after the other, and in the lane, all at once; every answer must be the same."""
    concrete, expected = [], []
    for command in batch:
        chosen = resolve(command, simple)
        if chosen is not None:
            concrete.append(chosen)
            expected.append(simple.run(chosen))
    outcomes = await asyncio.gather(*(lane.run(command) for command in concrete), return_exceptions=True)
    for command, outcome, wanted in zip(concrete, outcomes, expected, strict=True):
        assert plain(outcome) == wanted, f"{command} answered {outcome}"


def resolve(command: Any, simple: SimpleMarkets) -> Any:
    """Fill in the id that a change is about; it may have been given out in the same batch."""
    if not isinstance(command, On):
        return command
    things: list[Any] = list(simple.bids if command.is_bid else simple.supplies)
    if not things:
        return None
    thing = things[max(len(things) - 1 - command.back, 0)]
    return command.make(thing.market, thing.bid_id if command.is_bid else thing.supply_id)


def plain(outcome: Any) -> Any:
    """Say what a caller is told in the model's terms."""
    if isinstance(outcome, tuple):
        return [plain(each) for each in outcome]
    if isinstance(outcome, Refusal):
        numbers: list[Any] = [outcome.extra.get(name) for name in ("available", "allocated", "index")]
        return Refused(outcome.code, next((number for number in numbers if number is not None), None))
    if isinstance(outcome, BaseException):
        raise outcome
    return msgspec.structs.astuple(outcome)


# ── the tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def begin_anew(database: Database, clock: SettableClock) -> SimpleMarkets:
    """Empty the tables of the lane and set the clock; the market `default` is there from the start."""

    def empty(tx: sa.Connection) -> None:
        own = (tables.allocations, tables.allocated_totals, tables.bids, tables.supplies, tables.markets)
        for table in (*own, log.events, log.commits):
            tx.execute(sa.delete(table))
        tx.execute(sa.insert(tables.markets).values(market="default", state="open", created_at=NEW_YEAR))

    await raw.write(database, empty)
    clock.instant = NEW_YEAR
    return SimpleMarkets(markets={"default": ("open", NEW_YEAR)})


async def compare(database: Database, simple: SimpleMarkets) -> None:
    """Compare every row, and have the books prove themselves."""

    def read(tx: sa.Connection) -> None:
        assert rows(tx, tables.bids) == sorted(map(astuple, simple.bids), key=lambda row: row[:2])
        assert rows(tx, tables.supplies) == sorted(map(astuple, simple.supplies), key=lambda row: row[:2])
        assert rows(tx, tables.allocations) == sorted(simple.allocations)
        totals = {(market, username): volume for market, username, volume in rows(tx, tables.allocated_totals)}
        assert totals == simple.totals()
        assert rows(tx, tables.markets) == sorted((name, *rest) for name, rest in simple.markets.items())
        seqs = tx.execute(sa.select(log.events.c.seq).order_by(log.events.c.seq)).scalars()
        assert list(seqs) == list(range(1, simple.seq + 1))
        assert log.read_head(tx, hours.LANE).last_seq == simple.seq
        assert hours.audit(tx) == []

    await database.read(read)


def rows(tx: sa.Connection, table: sa.Table) -> list[tuple[Any, ...]]:
    """Return all rows of a table, in the order of its key."""
    return [tuple(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
