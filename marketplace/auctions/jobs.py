"""The sequencer's clock: a Tick for each book whenever its next tick has come.

Time is cut into ticks from the epoch on, so that several sequencers tick at the same moments; what a tick does is
judged by the lane's own clock and by what is stored. One that was paused finds nothing to do that was done meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

from marketplace.auctions import counts, lookups
from marketplace.auctions.model import Book, Tick, Ticked
from marketplace.database import Database, Lane
from marketplace.foundation import clock as clocks
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal
from marketplace.foundation.jobs import Job

LOOK_SECONDS = 0.05
BOOKS_SECONDS = 0.25
"""How long a list of the books is used again; a new book has its first tick that much later at most."""
PAUSE_SECONDS = 0.5
"""After a tick that was refused: the lane is busy, or the database away."""
MOST_BOOKS = 1000


class Sequencer:
    """Ticks for all books, by one name. `look` is called many times a second; `told` hears what each tick did."""

    def __init__(
        self,
        name: str | None = None,
        *,
        told: Callable[[str, Ticked], object] | None = None,
        clock: Callable[[], Instant] = clocks.now,
    ) -> None:
        self.name = name or f"{socket.gethostname()[:64]}-{os.getpid()}"
        self._told = told
        self._clock = clock
        self._books: list[Book] = []
        self._read_at = -BOOKS_SECONDS
        self._pausing_until = 0.0
        self._ticked: dict[str, int] = {}

    async def look(self, database: Database, lane: Lane) -> int:
        """Tick the books whose tick has come; return how many orders that moved.

        While the database is away it looks less often; what fell due meanwhile is done afterwards.
        """
        if time.monotonic() < self._pausing_until:
            return 0
        try:
            await self._read_books(database)
        except Refusal:
            self._pause()
            return 0
        now = self._clock()
        due = [book for book in self._books if self._ticked.get(book.book) != now // book.tick_micros]
        return sum(await asyncio.gather(*[self._tick(lane, book, now) for book in due]))

    async def _read_books(self, database: Database) -> None:
        if time.monotonic() - self._read_at >= BOOKS_SECONDS:
            self._books = await database.read_one(lookups.list_books, after=None, limit=MOST_BOOKS)
            self._read_at = time.monotonic()

    async def _tick(self, lane: Lane, book: Book, now: Instant) -> int:
        """Send ticks until there is nothing more to do: each is a chunk, and others get in between."""
        moved, has_more = 0, True
        while has_more:
            began = time.perf_counter()
            try:
                ticked: Ticked = await lane.run(Tick(book.book, self.name))
            except Refusal as refusal:
                counts.TICKS.labels(book.book, refusal.code).inc()
                self._pause()
                return moved
            counts.note_tick(book.book, ticked, seconds=time.perf_counter() - began)
            if self._told:
                self._told(book.book, ticked)
            moved += ticked.added + ticked.selected + ticked.filled + ticked.failed + ticked.expired
            has_more = ticked.more
        self._ticked[book.book] = now // book.tick_micros
        return moved

    def _pause(self) -> None:
        self._pausing_until = time.monotonic() + PAUSE_SECONDS


def jobs(sequencer: Sequencer | None = None) -> tuple[Job, ...]:
    """Return the timed steps of auctions."""
    return (Job("auctions.tick", every_seconds=LOOK_SECONDS, run=(sequencer or Sequencer()).look),)
