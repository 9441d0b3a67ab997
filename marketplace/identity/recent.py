"""What the database said a moment ago, for those who ask the same thing on every request.

What was read is good for half a second, so that a change is felt within one second by every process, with nobody being
told. Whoever asks for the same name meanwhile waits for the same read. What is not there is remembered too, and no more
than `MAX_REMEMBERED` in all.

Why a read that took long does not count: it shows things as they were when the read began.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from marketplace.foundation import errors

Found = TypeVar("Found")

FRESH_SECONDS = 0.5
"""How long what was read is used again."""
GOOD_SECONDS = 1.0
"""How old it may be by the time it has arrived."""
MAX_REMEMBERED = 10_000
MAX_READS = 3


class Known(NamedTuple, Generic[Found]):
    """What the database said, and the monotonic second at which it was asked."""

    asked_at: float
    found: Found


class Recent(Generic[Found]):
    """Answers by name, less than a second old; `read` asks the database for one."""

    def __init__(
        self, read: Callable[[str], Awaitable[Found]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = read
        self._monotonic = monotonic
        self._known: OrderedDict[str, Known[Found]] = OrderedDict()
        self._reads: dict[str, asyncio.Task[Known[Found]]] = {}

    async def get(self, name: str) -> Found:
        """Return what the database says. Raises Busy where it is too slow to say it in time."""
        known = self._known.get(name)
        if known is not None and self._monotonic() - known.asked_at < FRESH_SECONDS:
            return known.found
        for _ in range(MAX_READS):
            read = self._reads.get(name)
            if read is None:
                read = self._reads[name] = asyncio.create_task(self._read(name))
                read.add_done_callback(lambda done: self._forget_read(name, done))
            # A caller that goes away takes nothing from the others that wait.
            known = await asyncio.shield(read)
            if self._monotonic() - known.asked_at < GOOD_SECONDS:
                return known.found
        raise errors.Busy("The database is too slow to tell whose key it is; nothing happened, try again in a second.")

    def forget(self, name: str) -> None:
        """Ask the database anew the next time."""
        self._known.pop(name, None)

    async def _read(self, name: str) -> Known[Found]:
        asked_at = self._monotonic()
        known = self._known[name] = Known(asked_at, await self._ask(name))
        self._known.move_to_end(name)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _forget_read(self, name: str, done: asyncio.Task[Known[Found]]) -> None:
        del self._reads[name]
        if not done.cancelled():
            done.exception()  # whoever waited was told; perhaps nobody did
