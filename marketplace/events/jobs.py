"""Timed steps of events: logs cut, entries put on their way to webhooks, webhooks called, old deliveries forgotten."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client import Counter

from marketplace.database import Database, Lane
from marketplace.events import retention, sending, webhook_lookups
from marketplace.events.errors import CursorMoved
from marketplace.events.model import LANES, Entry, Kinds
from marketplace.events.webhook_model import (
    Attempt,
    Claim,
    Claimed,
    DropPending,
    FanOut,
    ForgetDeliveries,
    Record,
)
from marketplace.foundation import clock, ids
from marketplace.foundation.jobs import Job
from marketplace.foundation.settings import Settings

DELIVERIES = Counter(
    "marketplace_webhook_attempts_total", "Attempts to deliver, by what became of the delivery", ["outcome"]
)

CUT_EVERY_SECONDS = 600
FORGET_EVERY_SECONDS = 60
LOOK_EVERY_SECONDS = 0.5
CHUNK = 1000
CALLS_AT_ONCE = 64
CALLS_OF_ONE = 16
"""Of one webhook at once: one that hangs keeps nobody else from being called."""
PAUSE_SECONDS = 0.05


def of_lane(lane: str, settings: Settings) -> list[Job]:
    """Return what is done for every lane's log."""
    days, archive = settings.events_kept_days, settings.events_archive
    if days is None:
        return []

    async def run(database: Database, of: Lane) -> int:
        return await _cut_log(database, of, kept_days=days, archive=archive)

    return [Job(f"{lane}.cut_log", every_seconds=CUT_EVERY_SECONDS, run=run)]


async def _cut_log(database: Database, lane: Lane, *, kept_days: int, archive: Path | None) -> int:
    return await retention.cut_log(database, lane, before=retention.days_ago(kept_days), archive=archive)


def of_webhooks(settings: Settings, kinds: Kinds) -> list[Job]:
    """Return what is done for webhooks, in the lane `money`."""

    async def fan(database: Database, lane: Lane) -> int:
        return await fan_out(database, lane, public=kinds.public)

    async def call(database: Database, lane: Lane) -> int:
        return await deliver(database, lane, settings)

    async def forget(database: Database, lane: Lane) -> int:
        return await clean_up(database, lane, kept_days=settings.deliveries_kept_days)

    return [
        Job("webhooks.fan_out", every_seconds=LOOK_EVERY_SECONDS, run=fan),
        Job("webhooks.deliver", every_seconds=LOOK_EVERY_SECONDS, run=call, may_be_cut_short=True),
        Job("webhooks.clean_up", every_seconds=FORGET_EVERY_SECONDS, run=forget),
    ]


# ── putting on their way ─────────────────────────────────────────────────────────────────────────────────────────────


async def fan_out(database: Database, lane: Lane, *, public: frozenset[str]) -> int:
    """Put what happened since the last time on its way to the webhooks that want it; return how many deliveries."""
    count = 0
    for followed in LANES:
        while passing := await database.read(webhook_lookups.read_passing, followed, limit=CHUNK):
            cursor, entries = passing
            if not entries:
                break
            try:
                count += await lane.run(FanOut(followed, cursor, entries[-1].seq, tuple(entries), public))
            except CursorMoved:
                break  # another process does it
    return count


async def clean_up(database: Database, lane: Lane, *, kept_days: int) -> int:
    """Give up deliveries to nobody, and forget those that have been over for long; return how many."""
    count = 0
    while await database.read_one(webhook_lookups.has_useless):
        count += await lane.run(DropPending(CHUNK))
    before = clock.now() - kept_days * clock.DAY
    while await database.read_one(webhook_lookups.has_old, before=before):
        count += await lane.run(ForgetDeliveries(before, CHUNK))
    return count


# ── calling ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def deliver(database: Database, lane: Lane, settings: Settings) -> int:
    """Call webhooks until nothing is due; return how many attempts were made.

    Cut short, it leaves what it has claimed to whoever comes when the lease is over.
    """
    if not await database.read_one(webhook_lookups.has_due, now=clock.now()):
        return 0
    async with sending.courier(
        allowed=settings.webhook_allowed_hosts,
        timeout_seconds=settings.webhook_timeout_seconds,
        connections=CALLS_AT_ONCE,
    ) as courier:
        calls = _Calls(database, lane, courier, settings)
        try:
            return await calls.run()
        finally:
            await calls.cancel()


class _Calls:
    """Calls under way. Each ends in time, and its outcome is recorded together with those that ended meanwhile."""

    def __init__(self, database: Database, lane: Lane, courier: sending.Courier, settings: Settings) -> None:
        self._database = database
        self._lane = lane
        self._courier = courier
        self._scale = settings.webhook_retry_scale
        # Whoever is slow has answered by then, and been recorded.
        self._lease_seconds = 2 * settings.webhook_timeout_seconds + 2
        self._token = ids.new_token()
        self._under_way: dict[asyncio.Task[Attempt], int] = {}

    async def run(self) -> int:
        """Claim, call and record until there is nothing left; return how many attempts were made."""
        count = 0
        while True:
            await self._begin()
            if not self._under_way:
                return count
            done, _ = await asyncio.wait(self._under_way, timeout=PAUSE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if done:
                await self._record(done)
                count += len(done)

    async def cancel(self) -> None:
        """End the calls that are left."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _begin(self) -> None:
        """Claim what is due, as far as there is room for it, and call."""
        room = CALLS_AT_ONCE - len(self._under_way)
        if not room or not await self._database.read_one(webhook_lookups.has_due, now=clock.now()):
            return
        busy = [*self._under_way.values()]
        full = tuple(sorted({each for each in busy if busy.count(each) >= CALLS_OF_ONE}))
        command = Claim(self._token, room, CALLS_OF_ONE, self._lease_seconds, except_for=full)
        claimed: list[Claimed] = await self._lane.run(command)
        messages = await self._database.read(webhook_lookups.read_messages, [(each.lane, each.seq) for each in claimed])
        for each in claimed:
            task = asyncio.create_task(self._call(each, messages.get((each.lane, each.seq))))
            self._under_way[task] = each.webhook_id

    async def _call(self, claimed: Claimed, message: tuple[int, Entry] | None) -> Attempt:
        began = clock.now()
        if message is None:  # the log is kept for what is pending: only raw SQL takes an entry away
            reply = sending.Reply(None, "the entry is no longer in the log", 0)
        else:
            at, entry = message
            reply = await self._courier.send(claimed, sending.payload(entry, at))
        place = claimed.webhook_id, claimed.lane, claimed.seq, claimed.attempt
        return Attempt(*place, began, reply.duration_micros, reply.status, reply.error)

    async def _record(self, done: set[asyncio.Task[Attempt]]) -> None:
        attempts = tuple(task.result() for task in done)
        states = await self._lane.run(Record(self._token, attempts, self._scale))
        for task in done:
            del self._under_way[task]
        for state in states.values():
            DELIVERIES.labels("tried_again" if state == "pending" else state).inc()
