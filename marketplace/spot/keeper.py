"""Looks after one node: what is to start is started, what is to stop is told so, what has ended is noted and cleared.

Nothing is remembered that has to be: each step asks for what should be, looks at what is, and may be done again, by
this process or by the next one that has the node. One thing at a time is done for a lease, and of all that is told of
it only the newest counts.

    starting    take an address, start the container, note that it runs     again until that is noted
    running     look every second; note its end
    evicting    hand the deadline to the backend, which kills by its own clock; look; note its end
    stopping    the same
    ended       see that nothing runs, give the address back; remove the container once its log was kept for a while

A container of this node that no lease has is removed; a lease whose container is gone has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import msgspec
import structlog

from marketplace.database import Database, Lane
from marketplace.foundation import clock, errors
from marketplace.foundation.clock import SECOND, Instant
from marketplace.spot import comparing, connections, duties, launching, lease_addresses
from marketplace.spot.commands import (
    ClaimedNode,
    Heartbeat,
    RecordFailed,
    RecordTry,
)
from marketplace.spot.comparing import Record, compare
from marketplace.spot.compute import Backend, Container, Unavailable
from marketplace.spot.duties import Duty

STARTS_AT_ONCE = 32
BEAT_SECONDS = 5.0
LOOK_SECONDS = 1.0
LOOK_RARELY_SECONDS = 30.0
"""How often a node is looked at where nothing is known to run."""
PAUSE_SECONDS = 1.0
"""Before what has failed is tried again: this, twice, …"""
MOST_PAUSE_SECONDS = 60.0
ADDRESS_TRIES = 5
"""A network without a free address is asked so often before the start has failed."""
KEPT_CONTAINERS = 32
"""Ended ones of a node that are kept for their logs, the newest; a listing asks for each of them."""

log = structlog.get_logger(__name__)


class Means(msgspec.Struct, frozen=True):
    """What keepers of a process have in common."""

    database: Database
    money: Lane
    addresses: Lane
    public_url: str | None
    logs_kept_seconds: float
    note_clean: Callable[[int], object]
    """Told of each lease of which nothing is left."""


class Keeper:
    """One node that this process has claimed; until `good_until`, by the monotonic clock, nobody else has it."""

    def __init__(self, node: ClaimedNode, backend: Backend, means: Means, *, good_until: float) -> None:
        self.node = node
        self.good_until = good_until
        self._backend = backend
        self._means = means
        self._duties: dict[int, Duty] = {}
        self._acts: dict[int, asyncio.Task[None]] = {}
        self._tries: dict[int, int] = {}
        self._seen_at: dict[int, Instant] = {}
        """When a lease's container was last seen running."""
        self._kept: list[tuple[Instant, int]] = []
        """Containers kept for their logs: when they are to be removed, the next one first."""
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._looks: list[asyncio.Task[None]] = []
        self._is_busy = asyncio.Event()
        self._answers = True
        self._is_short = False
        self._name = {"pool": node.pool, "node": node.node}

    def open(self) -> None:
        """Begin to look after it."""
        self._looks = [
            asyncio.create_task(self._beat_on()),
            asyncio.create_task(self._look_on()),
        ]

    def renew(self, good_until: float) -> None:
        """Have it for longer; what was left undone because the time was over is taken up again."""
        was_ours, self.good_until = self._is_ours(), good_until
        if not was_ours:
            for lease_id in self._duties:
                self._wake(lease_id)

    async def close(self) -> None:
        """Let go of it, whatever is under way: who comes next finds it."""
        self.good_until = 0.0
        tasks = [*self._looks, *self._acts.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._backend.close()

    def put(self, duty: Duty) -> None:
        """Take in what a lease has come to."""
        known = self._duties.get(duty.lease_id)
        if known is not None and known.changed_seq > duty.changed_seq:
            return
        if known != duty and not any(lease_id == duty.lease_id for _, lease_id in self._kept):
            self._duties[duty.lease_id] = duty
            self._is_busy.set()
            self._wake(duty.lease_id)

    # ── one thing at a time for a lease ──────────────────────────────────────────────────────────────────────────────

    def _wake(self, lease_id: int) -> None:
        if lease_id not in self._acts and lease_id in self._duties:
            self._acts[lease_id] = asyncio.create_task(self._act(lease_id))

    async def _act(self, lease_id: int) -> None:
        """Do what a lease needs, and again where it has come to need something else meanwhile."""
        done: Duty | None = None
        try:
            while (duty := self._duties.get(lease_id)) is not None and duty is not done and self._is_ours():
                done = duty
                await self._do(duty)
            self._tries.pop(lease_id, None)
        except (Unavailable, errors.Refusal) as trouble:
            log.warning("lease_waits_for_its_node", **self._name, lease_id=lease_id, error=str(trouble))
            self._wake_later(lease_id, self._pause(lease_id))
        except Exception:
            log.exception("lease_not_looked_after", **self._name, lease_id=lease_id)
            self._wake_later(lease_id, self._pause(lease_id))
        finally:
            self._acts.pop(lease_id, None)

    async def _do(self, duty: Duty) -> None:
        if duty.state == "starting":
            await self._start(duty)
        elif duty.state in ("evicting", "stopping"):
            await self._stop(duty)
        elif duty.state == "ended":
            await self._clear(duty)

    def _wake_later(self, lease_id: int, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._wake, lease_id)

    def _pause(self, lease_id: int) -> float:
        tries = self._tries[lease_id] = self._tries.get(lease_id, 0) + 1
        return min(PAUSE_SECONDS * 2.0 ** (tries - 1), MOST_PAUSE_SECONDS)

    def _is_ours(self) -> bool:
        return time.monotonic() < self.good_until

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, duty: Duty) -> None:
        if duty.try_at is not None and (wait := duty.try_at - clock.now()) > 0:
            self._wake_later(duty.lease_id, wait / SECOND)
            return
        async with self._starts:
            if self._duties.get(duty.lease_id) is not duty or not self._is_ours():
                return  # it is to stop by now, say
            try:
                address = await lease_addresses.take(self._means.addresses, duty)
                spec = launching.spec_of(duty, address=address, public_url=self._means.public_url)
                seen = await self._backend.start(spec)
            except (Unavailable, errors.Busy) as trouble:
                await self._try_later(duty, str(trouble))
                return
            except errors.Exhausted as full:
                if duty.attempts < ADDRESS_TRIES:
                    await self._try_later(duty, full.detail)
                else:
                    await self._record(RecordFailed(duty.lease_id, full.detail))
                return
            except (errors.Refusal, ValueError) as wrong:
                await self._record(RecordFailed(duty.lease_id, _sentence(wrong)))
                return
        await self._note_start(duty, seen, address)

    async def _note_start(self, duty: Duty, seen: Container, address: str | None) -> None:
        if seen.state == "failed":
            await self._record(RecordFailed(duty.lease_id, seen.reason or "The node could not start it."))
        elif seen.state != "starting":  # that one is looked at again
            record = comparing.started(duty.lease_id, seen, address)
            if not await self._record(record):
                return
            if self._duties.get(duty.lease_id) is duty:  # the news of it comes later
                noted = msgspec.structs.replace(duty, state="running", started_at=record.started_at, launch=None)
                self._duties[duty.lease_id] = noted
            if seen.state == "exited":
                await self._record(comparing.ended(duty.lease_id, seen))

    async def _try_later(self, duty: Duty, why: str) -> None:
        pause = min(PAUSE_SECONDS * 2.0 ** min(duty.attempts, 10), MOST_PAUSE_SECONDS)
        try_at = clock.now() + round(pause * SECOND)
        log.warning("start_put_off", **self._name, lease_id=duty.lease_id, error=why, seconds=pause)
        await self._means.money.run(RecordTry(duty.lease_id, try_at))
        if self._duties.get(duty.lease_id) is duty:
            self._duties[duty.lease_id] = msgspec.structs.replace(duty, attempts=duty.attempts + 1, try_at=try_at)

    # ── stopping, and what is left ───────────────────────────────────────────────────────────────────────────────────

    async def _stop(self, duty: Duty) -> None:
        assert duty.stop_at is not None
        grace = max(math.ceil((duty.stop_at - clock.now()) / SECOND), 0)
        await self._backend.stop(connections.name_of(duty.lease_id), grace_seconds=grace)

    async def _clear(self, duty: Duty) -> None:
        """See that nothing runs for a lease that has ended, give its address back, and keep its log for a while."""
        name = connections.name_of(duty.lease_id)
        left = await self._backend.inspect(name)
        if left is not None and (left.state != "exited" or duty.started_at is None):
            await self._backend.remove(name)
            left = None
        await lease_addresses.give_back(self._means.addresses, self._means.database, duty)
        del self._duties[duty.lease_id]
        self._seen_at.pop(duty.lease_id, None)
        if left is None:
            self._means.note_clean(duty.lease_id)
        else:
            kept_until = (duty.ended_at or clock.now()) + round(self._means.logs_kept_seconds * SECOND)
            heapq.heappush(self._kept, (kept_until, duty.lease_id))

    async def _forget_logs(self) -> None:
        """Remove the containers whose logs have been kept long enough, or that are too many."""
        while self._kept and (self._kept[0][0] <= clock.now() or len(self._kept) > KEPT_CONTAINERS):
            lease_id = self._kept[0][1]
            await self._backend.remove(connections.name_of(lease_id))
            heapq.heappop(self._kept)
            self._means.note_clean(lease_id)

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _beat_on(self) -> None:
        while True:
            await self._try(self._beat)
            await asyncio.sleep(BEAT_SECONDS)

    async def _look_on(self) -> None:
        while True:
            self._is_busy.clear()
            await self._try(self._look)
            if not self._duties:
                next_removal = (self._kept[0][0] - clock.now()) / SECOND if self._kept else LOOK_RARELY_SECONDS
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(max(next_removal, 0), LOOK_RARELY_SECONDS)):  # as in news
                        await self._is_busy.wait()
            await asyncio.sleep(LOOK_SECONDS)

    async def _try(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do a step, and say what was in its way; the next time is another try."""
        if not self._is_ours():
            return
        try:
            await step()
            self._answers = True
        except (Unavailable, errors.Refusal) as trouble:
            if self._answers:
                log.warning("node_does_not_answer", **self._name, error=str(trouble))
            self._answers = False
        except Exception:
            log.exception("node_not_looked_after", **self._name)

    async def _beat(self) -> None:
        """Give a sign of life, and say where the node has less than the market lets."""
        has = await self._backend.capacity()
        is_short = has.cpu_millis < self.node.cpu_millis or has.memory_mib < self.node.memory_mib
        if is_short and not self._is_short:
            let = {"cpu_millis": self.node.cpu_millis, "memory_mib": self.node.memory_mib}
            log.warning("node_has_less_than_is_let", **self._name, let=let, has=msgspec.structs.asdict(has))
        self._is_short = is_short
        await self._means.money.run(Heartbeat(self.node.pool, self.node.node))

    async def _look(self) -> None:
        """Compare what should be with what is, both ways."""
        expected = [duty for lease_id, duty in self._duties.items() if lease_id not in self._acts]
        now = clock.now()
        found = {connections.lease_of(seen.lease_id): seen for seen in await self._backend.containers()}
        notes = []
        for duty in expected:
            if self._duties.get(duty.lease_id) is not duty:
                continue  # it has come to something else meanwhile
            seen = found.get(duty.lease_id)
            finding = compare(duty, seen, now=now, last_seen_at=self._seen_at.get(duty.lease_id))
            if seen is not None and seen.state == "running":
                self._seen_at[duty.lease_id] = now
            if finding.is_to_act:
                self._wake(duty.lease_id)
            if finding.records:
                notes.append(self._record(*finding.records))
        outcomes = await asyncio.gather(*notes, return_exceptions=True)
        await self._remove_strangers(lease_id for lease_id in found if lease_id is not None)
        await self._forget_logs()
        for failure in (each for each in outcomes if isinstance(each, BaseException)):
            raise failure

    async def _record(self, *records: Record) -> bool:
        """Record what came of a lease, one thing after the other, as long as that is news."""
        for record in records:
            if not await self._means.money.run(record):
                return False
        return True

    async def _remove_strangers(self, found: Iterable[int]) -> None:
        """Remove what no lease of this node has. What was started since the last news has one: the books are asked."""
        kept = {lease_id for _, lease_id in self._kept}
        unknown = {lease_id for lease_id in found if lease_id not in self._duties and lease_id not in kept}
        if not unknown:
            return
        told = await self._means.database.read(duties.read_all, [(self.node.pool, self.node.node)])
        for duty in told.duties:
            self.put(duty)
        for lease_id in sorted(unknown - {duty.lease_id for duty in told.duties}):
            log.warning("container_without_lease_removed", **self._name, lease_id=lease_id)
            await self._backend.remove(connections.name_of(lease_id))


def _sentence(wrong: Exception) -> str:
    return wrong.detail if isinstance(wrong, errors.Refusal) else f"It cannot be started: {wrong}."
