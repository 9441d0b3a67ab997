"""Requests that wait for a lane: in arrival order, bounded by orders and by time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from marketplace.database.meters import LaneMeters
from marketplace.foundation import errors

SMALL_BATCH = 32
"""Orders up to which a batch is not worth dividing."""


class Key(NamedTuple):
    """An Idempotency-Key, whose it is, and a hash of the request it came with."""

    caller: str
    key: str
    fingerprint: str


class Answer(NamedTuple):
    """What a caller with an Idempotency-Key is told: stored with the effect, in the same transaction."""

    status: int
    body: bytes
    replayed: bool


Encode = Callable[[Any], tuple[int, bytes]]
"""Turns an outcome, or a refusal, into status and body."""


class Limits(msgspec.Struct, frozen=True):
    """The bounds of a lane. `max_batch` orders may share a transaction; a larger request goes alone."""

    max_batch: int = 1000
    max_waiting_orders: int = 20_000
    max_waiting_seconds: float = 2.0


class Entry:
    """One request on its way through a lane."""

    __slots__ = ("abandoned", "alone", "arrived", "attempts", "command", "encode", "future", "key", "orders")

    def __init__(self, command: Any, *, key: Key | None, encode: Encode | None) -> None:
        self.command = command
        self.key = key
        self.encode = encode
        self.orders: int = getattr(command, "weight", 1)
        self.alone: bool = getattr(command, "alone", False)
        self.arrived = time.monotonic()
        self.attempts = 0
        self.abandoned: errors.Refusal | None = None
        """What an `alone` command was refused with after its writes had begun, all undone."""
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def resolve(self, result: Any) -> None:
        """Tell the caller, if it still listens."""
        if not self.future.done():
            self.future.set_result(result)


class Waiting:
    """The queue in front of a lane. Past its bounds a request is refused at once: nothing happened to it."""

    def __init__(self, limits: Limits, meters: LaneMeters, *, divides: bool) -> None:
        self._limits = limits
        self._divides = divides
        self._meters = meters
        self._entries: deque[Entry] = deque()
        self._arrived = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.orders = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    def oldest_seconds(self) -> float:
        """Return how long the first request has waited, 0 where none does."""
        return time.monotonic() - self._entries[0].arrived if self._entries else 0.0

    def add(self, entry: Entry) -> None:
        """Put a request at the end. Raises Busy past the bounds."""
        if self._entries and self.orders + entry.orders > self._limits.max_waiting_orders:
            self._meters.busy("full")
            raise errors.Busy(f"{self.orders} orders are waiting already; nothing happened, try again in a second.")
        if self.oldest_seconds() > self._limits.max_waiting_seconds:
            self._meters.busy("slow")
            raise errors.Busy("The market is slow to answer right now; nothing happened, try again in a second.")
        self._entries.append(entry)
        self.orders += entry.orders
        self._meters.waiting.set(self.orders)
        self._arrived.set()
        if self._timer is None:
            self._watch_the_first()

    def wake(self) -> None:
        """Let the one who waits for an arrival look again."""
        self._arrived.set()

    async def arrival(self) -> None:
        """Return once something waits, or `wake` was called."""
        await self._arrived.wait()

    def cut(self) -> list[Entry]:
        """Take the next batch, in arrival order; requests whose caller has gone are dropped.

        Where the database works beside this process, and many wait, a quarter of them stays behind: all at once would
        leave nothing to do here until the database has answered, and nothing there until all are told.
        """
        most = self._limits.max_batch
        if self._divides:
            most = min(max(self.orders * 3 // 4, SMALL_BATCH), most)
        batch: list[Entry] = []
        orders = 0
        while self._entries:
            entry = self._entries[0]
            is_wanted = not entry.future.done()
            if is_wanted and batch and (orders + entry.orders > most or entry.alone or batch[-1].alone):
                break
            self._take_first()
            if is_wanted:
                batch.append(entry)
                orders += entry.orders
        if not self._entries:
            self._arrived.clear()
        self._meters.waiting.set(self.orders)
        return batch

    def _take_first(self) -> Entry:
        entry = self._entries.popleft()
        self.orders -= entry.orders
        return entry

    def _watch_the_first(self) -> None:
        delay = self._limits.max_waiting_seconds - self.oldest_seconds()
        self._timer = asyncio.get_running_loop().call_later(max(delay, 0.01), self._refuse_overdue)

    def _refuse_overdue(self) -> None:
        self._timer = None
        while self._entries and self.oldest_seconds() >= self._limits.max_waiting_seconds:
            entry = self._take_first()
            self._meters.busy("overdue")
            entry.resolve(errors.Busy("The market was too slow to answer; nothing happened, try again in a second."))
        if self._entries:
            self._watch_the_first()
        else:
            self._arrived.clear()


class Telling:
    """Tells callers how their requests ended, in order, `at_once` of them in each turn of the event loop.

    Telling many in one turn keeps the loop from the database's next answer until the last of them is served, and the
    database waiting for the loop.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._results: deque[tuple[Entry, Any]] = deque()

    def add(self, entries: Iterable[Entry], results: Iterable[Any]) -> None:
        is_idle = not self._results
        self._results.extend(zip(entries, results, strict=True))
        if is_idle:
            asyncio.get_running_loop().call_soon(self._go_on)

    def finish(self) -> None:
        """Tell everybody now."""
        while self._results:
            self._tell_next()

    def _go_on(self) -> None:
        for _ in range(min(self._at_once, len(self._results))):
            self._tell_next()
        if self._results:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _tell_next(self) -> None:
        entry, result = self._results.popleft()
        entry.resolve(result)
