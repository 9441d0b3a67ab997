"""The ends of the logs as this process knows them, for readers who wait for what comes next.

A reader has a position and pulls: out of the ring of the newest entries (tail.py) where that reaches back far enough,
else out of the database. Nobody has a queue, so a slow reader costs nobody anything: the writer never knows of readers.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

import sqlalchemy as sa

from marketplace.database import Database, Lane
from marketplace.events import lookups
from marketplace.events.ends import Ends
from marketplace.events.errors import LogCut
from marketplace.events.model import Entry, Kinds, Page, Wanted
from marketplace.events.tail import Tail

STATE = "events.feed"
"""Where the application's state has the process's Feed."""
CHUNK = 1000
WINDOWS = 20
"""How often one request searches on, WINDOW entries each, before it tells its reader how far it has come."""
HEARTBEAT_SECONDS = 15.0


class Feed:
    """The logs of lanes, for this process. Whoever opens it ends it."""

    def __init__(self, database: Database, kinds: Kinds) -> None:
        self.kinds = kinds
        self._database = database
        self._ends: Ends[Entry] = Ends(self._open_tail)

    def listen(self, lane: Lane) -> None:
        """Hear of this process's own commits at once."""
        lane.notify(self._ends.tail(lane.name).look)

    @property
    def is_closing(self) -> bool:
        return self._ends.is_closing

    def close(self) -> None:
        """Let every reader go, so that the process can end."""
        self._ends.close()

    async def end(self) -> None:
        """Close, and wait until nothing of it runs any more."""
        await self._ends.end()

    async def positions(self, lanes: Iterable[str], given: Mapping[str, int]) -> dict[str, int]:
        """Return where a reader of these lanes begins: at the given positions, and now where none is. Raises LogCut."""
        bounds = await self._database.read(lookups.read_bounds, list(lanes))
        for lane, (first, _) in bounds.items():
            if given.get(lane, first) < first - 1:
                raise LogCut(lane, first)
        return {lane: given.get(lane, last) for lane, (_, last) in bounds.items()}

    async def page(self, lane: str, wanted: Wanted, *, after: int, limit: int, wait_seconds: float = 0) -> Page:
        """Return what comes after a seq; where that is nothing, wait for it. Raises LogCut."""
        page = await self._search(lane, wanted, after=after, limit=limit)
        deadline = time.monotonic() + wait_seconds
        if page.entries or page.next < page.head or not wait_seconds:
            return page
        with self._ends.watching([lane]):
            while not page.entries and await self._ends.wait({lane: page.next}, deadline - time.monotonic()):
                page = await self._read_on(lane, wanted, after=page.next, limit=limit)
        return page

    async def stream(
        self, positions: Mapping[str, int], wanted: Wanted
    ) -> AsyncGenerator[tuple[list[tuple[str, Entry]], dict[str, int]]]:
        """Yield (lane, entry) pairs as they come, with the positions reached; nothing but those as a heartbeat.

        Ends when the feed is closed. Raises LogCut where the reader is so slow that the log was cut before it.
        """
        reached = dict(positions)
        with self._ends.watching(reached):
            yield [], dict(reached)
            told_at = time.monotonic()
            while not self._ends.is_closing:
                pages = [
                    (lane, await self._read_on(lane, wanted, after=seq, limit=CHUNK)) for lane, seq in reached.items()
                ]
                reached = {lane: page.next for lane, page in pages}
                found = [(lane, entry) for lane, page in pages for entry in page.entries]
                if found or time.monotonic() - told_at >= HEARTBEAT_SECONDS:
                    yield found, dict(reached)
                    told_at = time.monotonic()
                if all(page.next >= page.head for _, page in pages):
                    await self._ends.wait(reached, told_at + HEARTBEAT_SECONDS - time.monotonic())

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_on(self, lane: str, wanted: Wanted, *, after: int, limit: int) -> Page:
        """Return what a watching reader gets next."""
        known = self._ends.tail(lane).after(after)
        if known is None:
            return await self._search(lane, wanted, after=after, limit=limit)
        found = [each for each in known if wanted.has(each.topic, each.kind, each.subject, each.member)][:limit]
        last = self._ends.tail(lane).last_seq
        return Page(found, found[-1].seq if len(found) == limit else max(after, last), last)

    async def _search(self, lane: str, wanted: Wanted, *, after: int, limit: int) -> Page:
        """Read the database, and read on while nothing that is wanted was found."""
        page = Page([], after, after + 1)
        for _ in range(WINDOWS):
            page = await self._database.read(lookups.read_page, lane, wanted, after=page.next, limit=limit)
            if page.entries or page.next >= page.head:
                break
        return page

    def _open_tail(self, lane: str, announce: Callable[[], object]) -> Tail[Entry]:
        return Tail(
            lane,
            self._database,
            announce,
            read_last=functools.partial(_read_last, lane=lane),
            read_new=functools.partial(_read_new, lane=lane),
        )


def _read_last(tx: sa.Connection, *, lane: str) -> int:
    return lookups.read_bounds(tx, [lane])[lane][1]


def _read_new(tx: sa.Connection, after: int, limit: int, *, lane: str) -> list[Entry]:
    return lookups.read_new(tx, lane, after=after, limit=limit)
