"""Whose key it is: from the database, a moment old at most, and asked for once by all who wait."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
import sqlalchemy as sa

from marketplace import identity
from marketplace.database import Database
from marketplace.foundation.clock import HOUR, SECOND, Instant
from marketplace.foundation.errors import Busy, Unauthenticated
from marketplace.http.callers import Caller
from marketplace.identity import Authentication, RevokeKey, recent
from tests.identity.desk import Desk
from tests.services.clock import NEW_YEAR

P = ParamSpec("P")
T = TypeVar("T")


class Watched(Database):
    """The database of a test, whose reads are counted and may take their time."""

    def __init__(self, of: Database) -> None:
        super().__init__(of.url, writer=of.writer, snapshots=of.snapshots, statements=of.statements)
        self.reads = 0
        self.on_read: Callable[[], Any] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()

    async def read_one(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.reads += 1
        found = await super().read_one(fn, *args, **kwargs)
        await self.gate.wait()
        self.on_read()
        return found


class Process:
    """What one server process knows of keys, on a stopwatch that moves only when a test says so."""

    def __init__(self, desk: Desk) -> None:
        self.database = Watched(desk.database)
        self.seconds = 0.0
        self.ask = Authentication(self.database, clock=desk.clock, monotonic=lambda: self.seconds)

    async def refusal(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.ask(token)
        return caught.value.detail


@pytest.fixture
def process(desk: Desk) -> Process:
    return Process(desk)


async def test_a_key_tells_its_member_and_its_scopes(desk: Desk, process: Process) -> None:
    made = await desk.key("read", "trade", expires_at=NEW_YEAR + HOUR)
    expected = Caller("ann", frozenset(("read", "trade")), made.key.key_id, NEW_YEAR + HOUR)
    assert await process.ask(made.token) == expected


async def test_every_way_to_be_nobody_is_refused(desk: Desk, process: Process) -> None:
    made, other = await desk.key(), await desk.key()
    wrong = made.token[:-64] + other.token[-64:]
    assert "is none" in await process.refusal("mk_1")
    assert await process.refusal(wrong) == await process.refusal(identity.make_key().token) == "Nobody has this key."


async def test_why_a_key_is_of_no_use_is_told_to_its_owner_alone(desk: Desk, process: Process) -> None:
    revoked, expired = await desk.key(), await desk.key(expires_at=NEW_YEAR + SECOND)
    await desk.run(RevokeKey(revoked.key.key_id))
    desk.clock.advance(1)
    assert await process.refusal(revoked.token) == "The key was revoked at 2026-01-01T00:00:00Z; use another one."
    assert await process.refusal(expired.token) == "The key expired at 2026-01-01T00:00:01Z; use another one."
    for made in (revoked, expired):
        assert await process.refusal(made.token[:-64] + "0" * 64) == "Nobody has this key."


async def test_a_revocation_is_felt_by_every_process_within_a_second(desk: Desk) -> None:
    processes = [Process(desk) for _ in range(3)]
    made = await desk.key()
    for late, process in enumerate(processes):
        process.seconds = late * 0.3
        await process.ask(made.token)
    await desk.run(RevokeKey(made.key.key_id))
    for process in processes:
        process.seconds += 0.999
        assert "revoked" in await process.refusal(made.token)


async def test_expiry_is_felt_at_once(desk: Desk, process: Process) -> None:
    made = await desk.key(expires_at=NEW_YEAR + SECOND)
    desk.clock.instant = NEW_YEAR + SECOND - 1
    await process.ask(made.token)
    desk.clock.instant += 1
    assert "expired" in await process.refusal(made.token)
    assert process.database.reads == 1


async def test_a_key_is_read_once_in_half_a_second(desk: Desk, process: Process) -> None:
    made = await desk.key()
    for hundredths in range(100):
        process.seconds = hundredths / 100
        await process.ask(made.token)
    assert process.database.reads == 2


async def test_a_key_that_there_is_not_is_remembered_too(process: Process) -> None:
    token = identity.make_key().token
    for _ in range(10):
        await process.refusal(token)
    assert process.database.reads == 1


async def test_whoever_asks_at_once_waits_for_one_read(desk: Desk, process: Process) -> None:
    made = await desk.key()
    found = await asyncio.gather(*(process.ask(made.token) for _ in range(50)))
    assert len({one.username for one in found}) == 1
    assert process.database.reads == 1


async def test_one_who_goes_away_leaves_the_read_to_the_others(desk: Desk, process: Process) -> None:
    made = await desk.key()
    process.database.gate.clear()
    first, second = (asyncio.create_task(process.ask(made.token)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    process.database.gate.set()
    assert (await second).username == "ann"
    assert process.database.reads == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_took_a_second_to_read_is_read_again(desk: Desk, process: Process) -> None:
    made = await desk.key()
    slow = iter([1.0, 0.0])

    def read() -> None:
        process.seconds += next(slow)

    process.database.on_read = read
    assert (await process.ask(made.token)).username == "ann"
    assert process.database.reads == 2


async def test_a_database_that_is_always_slow_lets_nobody_in(desk: Desk, process: Process) -> None:
    made = await desk.key()

    def read() -> None:
        process.seconds += 1.0

    process.database.on_read = read
    with pytest.raises(Busy):
        await process.ask(made.token)
    assert process.database.reads == recent.MAX_READS


async def test_a_read_that_fails_is_told_to_all_who_wait_and_not_remembered(desk: Desk, process: Process) -> None:
    made = await desk.key()

    def fail() -> None:
        raise Busy("away")

    process.database.on_read = fail
    outcomes = await asyncio.gather(*(process.ask(made.token) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [Busy] * 3
    process.database.on_read = lambda: None
    assert (await process.ask(made.token)).username == "ann"
    gc.collect()  # an error that nobody took would be told now


async def test_no_more_is_remembered_than_fits(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MAX_REMEMBERED", 10)
    tokens = [identity.make_key().token for _ in range(11)]
    for token in tokens:
        await process.refusal(token)
    await process.refusal(tokens[-1])
    assert process.database.reads == 11
    await process.refusal(tokens[0])
    assert process.database.reads == 12


# ── uses ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_use_is_given_to_be_noted_once_a_minute(desk: Desk, process: Process) -> None:
    made = await desk.key()
    noted = []
    for _ in range(130):
        await process.ask(made.token)
        if command := process.ask.take_uses():
            noted.append(await desk.run(command))
        desk.clock.advance(1)
        process.seconds += 1
    assert noted == [1, 1, 1]


async def test_the_latest_uses_are_noted_when_the_server_stops(desk: Desk, process: Process) -> None:
    made, unused = await desk.key(), await desk.key()
    await process.ask(made.token)
    await process.refusal(unused.token[:-64] + "0" * 64)
    stop = asyncio.Event()
    noting = asyncio.create_task(process.ask.note_uses(desk.lane, stop=stop))
    stop.set()
    await noting
    assert (await desk.stored(made.key.key_id)).last_used_at == NEW_YEAR
    assert (await desk.stored(unused.key.key_id)).last_used_at is None


async def test_nothing_is_noted_where_nothing_was_used(process: Process) -> None:
    assert process.ask.take_uses() is None


# ── what it costs ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_check_costs_less_than_50_microseconds(desk: Desk) -> None:
    """CPU time, the best of some runs, of a key that is remembered: what every request pays."""
    clock: Callable[[], Instant] = desk.clock
    ask = Authentication(desk.database, clock=clock, monotonic=lambda: 0.0)
    made = await desk.key()
    await ask(made.token)
    best = min([await _seconds_of(ask, made.token) for _ in range(20)])
    assert best < 50e-6, f"{best * 1e6:.1f} µs"


async def _seconds_of(ask: Authentication, token: str, times: int = 200) -> float:
    begun = time.process_time()
    for _ in range(times):
        await ask(token)
    return (time.process_time() - begun) / times
