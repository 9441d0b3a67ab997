"""The ends of logs as this process knows them, and who waits there for what comes next.

A log is any numbered run of entries that only grows: a lane's, or one that a module keeps. Each has its tail (tail.py),
opened when somebody first asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from marketplace.events.tail import Numbered, Tail
from marketplace.foundation import errors

Found = TypeVar("Found", bound=Numbered)

MOST_READERS = 5_000


class Ends(Generic[Found]):
    """The tails of logs by name, and their readers. Whoever makes it ends it.

    `open_tail` gets a log's name, and what the tail is to call when it has grown.
    """

    def __init__(self, open_tail: Callable[[str, Callable[[], object]], Tail[Found]]) -> None:
        self.is_closing = False
        self._open_tail = open_tail
        self._tails: dict[str, Tail[Found]] = {}
        self._moved = asyncio.Event()
        self._readers = 0

    def tail(self, name: str) -> Tail[Found]:
        found = self._tails.get(name)
        if found is None:
            found = self._tails[name] = self._open_tail(name, self._announce)
        return found

    def look(self) -> None:
        """There may be something new in any of them."""
        for tail in self._tails.values():
            tail.look()

    def close(self) -> None:
        """Let every reader go, so that the process can end."""
        self.is_closing = True
        self._announce()

    async def end(self) -> None:
        """Close, and wait until nothing of it runs any more."""
        self.close()
        for tail in self._tails.values():
            await tail.end()

    @contextlib.contextmanager
    def watching(self, names: Iterable[str]) -> Iterator[None]:
        """Be a reader of these logs while the body runs. Raises Busy where there are too many."""
        if self._readers >= MOST_READERS:
            raise errors.Busy(f"{MOST_READERS} readers wait for events already; try again in a second.")
        self._readers += 1
        with contextlib.ExitStack() as stack:
            stack.callback(self._leave)
            for name in names:
                stack.enter_context(self.tail(name).watched())
            yield

    async def wait(self, positions: Mapping[str, int], seconds: float) -> bool:
        """Return True once a log has entries after its position; False when the time is over or all is closed."""
        deadline = time.monotonic() + seconds
        while not self.is_closing:
            moved = self._moved
            if any(self.tail(name).last_seq > seq for name, seq in positions.items()):
                return True
            try:
                async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                    await moved.wait()
            except TimeoutError:
                return False
        return False

    def _leave(self) -> None:
        self._readers -= 1

    def _announce(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
