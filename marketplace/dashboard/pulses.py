"""What pages hear of a log: that something has happened of what they show, a quarter of a second late at most.

A page need not know what happened, only that it has to look again. So one task for each lane that somebody watches
looks four times a second at what the newest entries are about, however many pages are open. To follow the log as the
API's readers do, each entry in full and as soon as it is there, takes a busy market more than a tenth of its rate.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import structlog

from marketplace import events
from marketplace.database import Database
from marketplace.foundation import errors

LOOK_SECONDS = 0.25
MOST = 10_000
"""Entries that are looked at; where more have come at once, every page looks again."""

log = structlog.get_logger(__name__)


class Pulse:
    """How far a log has come, as far as a page is concerned."""

    def __init__(self) -> None:
        self.seq = 0
        self.is_over = False
        self._moved = asyncio.Event()

    def begin(self, *, shown: int, head: int) -> None:
        """Say what the page shows already, and how far the log was after the watching began."""
        self.seq = max(self.seq, head)
        if self.seq > shown:
            self._moved.set()
        else:
            self._moved.clear()

    def move(self, seq: int) -> None:
        if seq > self.seq:
            self.seq = seq
            self._moved.set()

    def end(self) -> None:
        self.is_over = True
        self._moved.set()

    async def wait(self, seconds: float) -> None:
        """Return when it has moved or ended, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()
        self._moved.clear()


class Pulses:
    """The pulses of this process's open pages, by the lane and by what they want of it."""

    def __init__(self) -> None:
        self._watched: dict[str, dict[events.Wanted, list[Pulse]]] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    @contextlib.contextmanager
    def watching(
        self, database: Database, lane: str, wanted: events.Wanted, *, is_closing: Callable[[], bool]
    ) -> Iterator[Pulse]:
        """Keep a pulse of what comes in a lane from now on. It ends where the log cannot be read, or all is closing."""
        pulse = Pulse()
        watched = self._watched.setdefault(lane, {})
        watched.setdefault(wanted, []).append(pulse)
        if lane not in self._looking:
            self._looking[lane] = asyncio.create_task(self._look(database, lane, is_closing))
        try:
            yield pulse
        finally:
            watched[wanted].remove(pulse)
            if not watched[wanted]:
                del watched[wanted]
            if not watched and (task := self._looking.pop(lane, None)):
                task.cancel()

    async def _look(self, database: Database, lane: str, is_closing: Callable[[], bool]) -> None:
        """Look until nobody watches, who then ends this."""
        watched, seq = self._watched[lane], None
        try:
            while not is_closing():
                seq = await self._look_once(database, lane, seq)
                await asyncio.sleep(LOOK_SECONDS)
        except errors.Refusal as refusal:
            log.info("page_streams_ended", lane=lane, reason=refusal.code)
        finally:
            if self._looking.get(lane) is asyncio.current_task():
                del self._looking[lane]
                for pulse in [pulse for pulses in watched.values() for pulse in pulses]:
                    pulse.end()

    async def _look_once(self, database: Database, lane: str, seq: int | None) -> int:
        """Move the pulses that something was meant for after `seq`; None: all of them. Return how far the log is."""
        watched = self._watched[lane]
        marks = [] if seq is None else await database.read_one(events.read_marks, lane, after=seq, limit=MOST)
        if seq is None or len(marks) == MOST:
            head = dict(await database.read(events.read_heads))[lane]
            _move([pulse for pulses in watched.values() for pulse in pulses], head)
            return head
        if not marks:
            return seq
        head = marks[-1].seq
        for wanted, pulses in watched.items():
            if any(wanted.has(*mark.named) for mark in marks):
                _move(pulses, head)
        return head


def _move(pulses: list[Pulse], seq: int) -> None:
    for pulse in pulses:
        pulse.move(seq)
