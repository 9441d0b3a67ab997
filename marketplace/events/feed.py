"""The ends of the logs as this process knows them, for readers who wait for what comes next.

A reader has a position and pulls: out of the ring of the newest entries (tail.py) where that reaches back far enough,
else out of the database. Nobody has a queue, so a slow reader costs nobody anything: the writer never knows of readers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping

from marketplace.database import Database, Lane
from marketplace.events import lookups
from marketplace.events.errors import LogCut
from marketplace.events.model import Entry, Kinds, Page, Wanted
from marketplace.events.tail import Tail
from marketplace.foundation import errors

STATE = "events.feed"
"""Where the application's state has the process's Feed."""
CHUNK = 1000
MOST_READERS = 5_000
WINDOWS = 20
"""How often one request searches on, WINDOW entries each, before it tells its reader how far it has come."""
HEARTBEAT_SECONDS = 15.0


class Feed:
    """The logs of lanes, for this process. Whoever opens it ends it."""

    def __init__(self, database: Database, lanes: Iterable[str], kinds: Kinds) -> None:
        self.kinds = kinds
        self.is_closing = False
        self._database = database
        self._moved = asyncio.Event()
        self._readers = 0
        self._tails = {name: Tail(name, database, self._announce) for name in lanes}

    def listen(self, lane: Lane) -> None:
        """Hear of this process's own commits at once."""
        lane.notify(self._tails[lane.name].look)

    def close(self) -> None:
        """Let every reader go, so that the process can end."""
        self.is_closing = True
        self._announce()

    async def end(self) -> None:
        """Close, and wait until nothing of it runs any more."""
        self.close()
        for tail in self._tails.values():
            await tail.end()

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
        with self._watching([lane]):
            while not page.entries and await self._wait({lane: page.next}, deadline - time.monotonic()):
                page = await self._read_on(lane, wanted, after=page.next, limit=limit)
        return page

    async def stream(
        self, positions: Mapping[str, int], wanted: Wanted
    ) -> AsyncGenerator[tuple[list[tuple[str, Entry]], dict[str, int]]]:
        """Yield (lane, entry) pairs as they come, with the positions reached; nothing but those as a heartbeat.

        Ends when the feed is closed. Raises LogCut where the reader is so slow that the log was cut before it.
        """
        reached = dict(positions)
        with self._watching(reached):
            yield [], dict(reached)
            told_at = time.monotonic()
            while not self.is_closing:
                pages = [
                    (lane, await self._read_on(lane, wanted, after=seq, limit=CHUNK)) for lane, seq in reached.items()
                ]
                reached = {lane: page.next for lane, page in pages}
                found = [(lane, entry) for lane, page in pages for entry in page.entries]
                if found or time.monotonic() - told_at >= HEARTBEAT_SECONDS:
                    yield found, dict(reached)
                    told_at = time.monotonic()
                if all(page.next >= page.head for _, page in pages):
                    await self._wait(reached, told_at + HEARTBEAT_SECONDS - time.monotonic())

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_on(self, lane: str, wanted: Wanted, *, after: int, limit: int) -> Page:
        """Return what a watching reader gets next."""
        known = self._tails[lane].after(after)
        if known is None:
            return await self._search(lane, wanted, after=after, limit=limit)
        found = [each for each in known if wanted.has(each.topic, each.kind, each.subject, each.member)][:limit]
        last = self._tails[lane].last_seq
        return Page(found, found[-1].seq if len(found) == limit else max(after, last), last)

    async def _search(self, lane: str, wanted: Wanted, *, after: int, limit: int) -> Page:
        """Read the database, and read on while nothing that is wanted was found."""
        page = Page([], after, after + 1)
        for _ in range(WINDOWS):
            page = await self._database.read(lookups.read_page, lane, wanted, after=page.next, limit=limit)
            if page.entries or page.next >= page.head:
                break
        return page

    # ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _watching(self, lanes: Iterable[str]) -> Iterator[None]:
        if self._readers >= MOST_READERS:
            raise errors.Busy(f"{MOST_READERS} readers wait for events already; try again in a second.")
        self._readers += 1
        with contextlib.ExitStack() as stack:
            stack.callback(self._leave)
            for lane in lanes:
                stack.enter_context(self._tails[lane].watched())
            yield

    def _leave(self) -> None:
        self._readers -= 1

    async def _wait(self, positions: Mapping[str, int], seconds: float) -> bool:
        """Return True once a lane has entries after its position; False when the time is over or the feed closes."""
        deadline = time.monotonic() + seconds
        while not self.is_closing:
            moved = self._moved
            if any(self._tails[lane].last_seq > seq for lane, seq in positions.items()):
                return True
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                    await moved.wait()
            except TimeoutError:
                return False
        return False

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
