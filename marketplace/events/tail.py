"""The newest entries of a log, read while somebody waits for more.

One task a log and a process reads what is new: at once after a commit of this process, and every POLL_SECONDS for the
commits of others. Without anybody who waits it does not run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import sqlalchemy as sa
import structlog

from marketplace.database import Database

POLL_SECONDS = 0.025
PAUSE_SECONDS = 0.01
"""Between two reads of a busy log: what comes meanwhile comes together."""
TROUBLE_SECONDS = 0.5
CHUNK = 1000
RING = 8192

log = structlog.get_logger(__name__)


class Numbered(Protocol):
    """An entry of a log; its number is one more than that of the entry before."""

    @property
    def seq(self) -> int: ...


Found = TypeVar("Found", bound=Numbered)


class Tail(Generic[Found]):
    """A ring of a log's newest entries: those of the seqs up to `last_seq`, without a gap.

    `announce` is called whenever `last_seq` has grown. `read_last(tx)` returns the last seq that there is;
    `read_new(tx, after, limit)` the entries after one, in a single statement.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        announce: Callable[[], object],
        *,
        read_last: Callable[[sa.Connection], int],
        read_new: Callable[[sa.Connection, int, int], list[Found]],
        last_seq: int = 0,
    ) -> None:
        self.last_seq = last_seq
        self._name = name
        self._database = database
        self._announce = announce
        self._read_last = read_last
        self._read_new = read_new
        self._ring: deque[Found] = deque(maxlen=RING)
        self._news = asyncio.Event()
        self._watchers = 0
        self._reader: asyncio.Task[None] | None = None

    def look(self) -> None:
        """There may be something new: a transaction of this process has committed."""
        self._news.set()

    def after(self, seq: int) -> list[Found] | None:
        """Return the entries after a seq, in order; None where the ring does not reach back so far."""
        if seq < self.last_seq - len(self._ring):
            return None
        newer = list(itertools.takewhile(lambda entry: entry.seq > seq, reversed(self._ring)))
        newer.reverse()
        return newer

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Keep the ring filled while the body runs."""
        self._watchers += 1
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read(), name=f"tail {self._name}")
        try:
            yield
        finally:
            self._watchers -= 1
            self._news.set()

    async def end(self) -> None:
        """Wait for the last read to end; nobody may watch any more."""
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        self._ring.clear()
        has_begun = False
        while self._watchers:
            self._news.clear()
            try:
                if not has_begun:
                    await self._begin()
                    has_begun = True
                pause = await self._catch_up()
            except Exception as error:  # noqa: BLE001 (the database may be away: who waits goes on waiting)
                log.warning("tail_failed", log=self._name, error=repr(error))
                await asyncio.sleep(TROUBLE_SECONDS)
                continue
            if pause:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause)

    async def _begin(self) -> None:
        """Start at the end of the log: whoever is further back reads the database until there."""
        self.last_seq = max(self.last_seq, await self._database.read(self._read_last))
        self._announce()

    async def _catch_up(self) -> float:
        """Read what is new; return how long to wait for more."""
        found = await self._database.read_one(self._read_new, self.last_seq, CHUNK)
        if not found:
            return POLL_SECONDS
        self._ring.extend(found)
        self.last_seq = found[-1].seq
        self._announce()
        if len(found) == CHUNK:
            return 0
        await asyncio.sleep(PAUSE_SECONDS)
        return POLL_SECONDS
