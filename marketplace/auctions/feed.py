"""The ends of the books' logs in this process: pages, long polls and streams, by offset.

Readers pull, as those of the lanes' logs do (`events.feed`): out of a ring of the newest entries where that reaches
back far enough, else out of the database.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

import sqlalchemy as sa

from marketplace.auctions import book_log
from marketplace.auctions.book_log import Logged
from marketplace.database import Database, Lane
from marketplace.events import Ends, Tail

CHUNK = 500
HEARTBEAT_SECONDS = 15.0


class LogPage(NamedTuple):
    """Entries of a book's log, up to `next`; `head` is the offset that the next entry will have."""

    entries: list[Logged]
    next: int
    head: int


class BookFeed:
    """The logs of books, for this process. Whoever opens it ends it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ends: Ends[Logged] = Ends(self._open_tail)

    def listen(self, lane: Lane) -> None:
        """Hear of this process's own commits at once."""
        lane.notify(self._ends.look)

    def close(self) -> None:
        """Let every reader go, so that the process can end."""
        self._ends.close()

    async def end(self) -> None:
        """Close, and wait until nothing of it runs any more."""
        await self._ends.end()

    async def head(self, book: str) -> int:
        """Return the offset that a book's next entry will have. Raises UnknownBook."""
        return await self._database.read_one(book_log.read_head, book)

    async def page(self, book: str, *, first: int, limit: int, wait_seconds: float = 0) -> LogPage:
        """Return a book's entries from an offset on; where there are none, wait for them. Raises UnknownBook."""
        page = await self._read(book, first, limit)
        if page.entries or page.next < page.head or not wait_seconds:
            return page
        deadline = time.monotonic() + wait_seconds
        with self._ends.watching([book]):
            while not page.entries and await self._ends.wait({book: page.next - 1}, deadline - time.monotonic()):
                page = await self._read_on(book, page.next, limit)
        return page

    async def stream(self, book: str, *, first: int) -> AsyncGenerator[list[Logged]]:
        """Yield a book's entries from an offset on, as they come; an empty list at the beginning and as a heartbeat.

        Ends when the feed is closed.
        """
        following = first
        with self._ends.watching([book]):
            yield []
            told_at = time.monotonic()
            while not self._ends.is_closing:
                page = await self._read_on(book, following, CHUNK)
                following = page.next
                if page.entries or time.monotonic() - told_at >= HEARTBEAT_SECONDS:
                    yield page.entries
                    told_at = time.monotonic()
                if page.next >= page.head:
                    await self._ends.wait({book: following - 1}, told_at + HEARTBEAT_SECONDS - time.monotonic())

    async def _read_on(self, book: str, first: int, limit: int) -> LogPage:
        """Return what a watching reader gets next."""
        tail = self._ends.tail(book)
        known = tail.after(first - 1)
        if known is None:
            return await self._read(book, first, limit)
        found = known[:limit]
        return LogPage(found, found[-1].seq + 1 if found else first, tail.last_seq + 1)

    async def _read(self, book: str, first: int, limit: int) -> LogPage:
        head, found = await self._database.read(book_log.read_page, book, first=first, limit=limit)
        return LogPage(found, found[-1].seq + 1 if found else first, head)

    def _open_tail(self, book: str, announce: Callable[[], object]) -> Tail[Logged]:
        return Tail(
            f"auctions {book}",
            self._database,
            announce,
            read_last=functools.partial(_read_last, book=book),
            read_new=functools.partial(_read_new, book=book),
            last_seq=-1,
        )


def _read_last(tx: sa.Connection, *, book: str) -> int:
    return book_log.read_head(tx, book) - 1


def _read_new(tx: sa.Connection, after: int, limit: int, *, book: str) -> list[Logged]:
    return book_log.read_entries(tx, book, first=after + 1, limit=limit)
