"""Pages that follow the market: one stream a page, of the parts of it that have changed.

A page is rendered at a position of a lane's log, and its stream begins there, so nothing falls between the two. The log
says when to look again; what is sent is what things are by then, and not what happened: entries that come in a burst
become one repaint, and there are at most four a second. A browser that was cut off comes back with the position it has
seen, and is sent what has changed since.

Parts that all viewers see alike are rendered once for all of them (`Shared`).

A stream tells every few seconds that it lives, so that a page can say when it does not. Who is signed in is asked again
before anything is sent: with a key that is revoked its open pages fall silent within a second.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from typing import NamedTuple, cast

import structlog
from litestar.response import Stream

from marketplace import events
from marketplace.dashboard import pages, visits
from marketplace.dashboard.pages import HttpRequest
from marketplace.dashboard.pulses import Pulse, Pulses
from marketplace.foundation import errors
from marketplace.http import callers, sse
from marketplace.http.resources import database

REPAINT_SECONDS = 0.25
BEAT_SECONDS = 5.0
MUCH_OLDER = 4
"""Times its age at which something is not shown once more."""
MAX_SHARED = 500
SHARED = "dashboard.shared"
"""Where the application's state has what viewers share."""

log = structlog.get_logger(__name__)


class Parts(NamedTuple):
    """The parts of a page that move, by their ids, as of a position of the lane's log."""

    seq: int
    html: Mapping[str, str]


class Watched(NamedTuple):
    """What of a log a page depends on, and how its parts are rendered anew."""

    lane: str
    wanted: events.Wanted
    read: Callable[[int], Awaitable[Parts]]
    """Renders the parts as of a position or a later one."""
    every_seconds: float | None = None
    """How often to look without being told to; None: never."""


# ── what viewers share ───────────────────────────────────────────────────────────────────────────────────────────────


class Made(NamedTuple):
    """Parts that somebody has rendered, when that began, and how long it took."""

    begun_at: float
    seconds: float
    parts: Parts


class Shared:
    """What pages share: the pulses of the logs, and renderings that many look at.

    Each rendering is made by one of them, and not again within `REPAINT_SECONDS`.

    What takes long is made less often, so that no page takes more than a fifth of the time.
    """

    def __init__(self) -> None:
        self.pulses = Pulses()
        self._made: OrderedDict[Hashable, Made] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[Parts]] = {}

    async def get(self, key: Hashable, at_least: int, make: Callable[[], Awaitable[Parts]]) -> Parts:
        """Return parts as of a position or a later one."""
        while True:
            if (made := self._made.get(key)) and made.parts.seq >= at_least:
                return made.parts
            # One that began before the position may show less: then it is made once more.
            await asyncio.shield(self._make_once(key, make))

    async def get_recent(self, key: Hashable, seconds: float, make: Callable[[], Awaitable[Parts]]) -> Parts:
        """Return parts that are about so old: what is a little older is given once more, while it is made anew."""
        made = self._made.get(key)
        if made is None or time.monotonic() - made.begun_at >= MUCH_OLDER * seconds:
            return await asyncio.shield(self._make_once(key, make))
        if time.monotonic() - made.begun_at >= seconds:
            self._make_once(key, make)
        return made.parts

    def _make_once(self, key: Hashable, make: Callable[[], Awaitable[Parts]]) -> asyncio.Task[Parts]:
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(key, make))
            task.add_done_callback(lambda done: self._end(key, done))
        return task

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[Parts]]) -> Parts:
        if made := self._made.get(key):
            pause = max(REPAINT_SECONDS, made.seconds * 5)
            await asyncio.sleep(made.begun_at + pause - time.monotonic())
        begun_at = time.monotonic()
        parts = await make()
        self._made[key] = Made(begun_at, time.monotonic() - begun_at, parts)
        self._made.move_to_end(key)
        if len(self._made) > MAX_SHARED:
            self._made.popitem(last=False)
        return parts

    def _end(self, key: Hashable, done: asyncio.Task[Parts]) -> None:
        del self._making[key]
        if not done.cancelled():
            done.exception()  # whoever waited was told; perhaps nobody did


def shared(request: HttpRequest) -> Shared:
    return cast(Shared, request.app.state[SHARED])


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def respond(request: HttpRequest, watched: Watched) -> Stream:
    """Answer a page's stream. Raises Invalid for a position that is none."""
    given = sse.last_id(request)
    position = sse.read_positions(given or str(request.query_params.get("after", "")), field="after").get(
        watched.lane, 0
    )
    response = sse.respond(_frames(request, watched, position))
    response.headers.update({"x-content-type-options": "nosniff"})
    return response


async def _frames(request: HttpRequest, watched: Watched, position: int) -> AsyncIterator[bytes]:
    feed = cast(events.Feed, request.app.state[events.FEED])
    watching = shared(request).pulses.watching(
        database(request), watched.lane, watched.wanted, is_closing=lambda: feed.is_closing
    )
    try:
        # Watched first and asked for its end then: nothing falls between the two.
        with watching as pulse:
            head = (await feed.positions([watched.lane], {}))[watched.lane]
            seq = min(position, head)
            pulse.begin(shown=seq, head=head)  # whatever came since the page was made, it may matter
            yield sse.BEGINNING + _beat(watched.lane, seq)
            async for chunk in _repaints(request, watched, pulse, seq):
                yield chunk
    except errors.Refusal as refusal:
        # The answer has begun. A browser whose page is of no use any more is told; what may pass just ends.
        if isinstance(refusal, errors.Unauthenticated):
            yield b"event: over\ndata:\n\n"


async def _repaints(request: HttpRequest, watched: Watched, pulse: Pulse, seq: int) -> AsyncIterator[bytes]:
    """Write what has changed, as often as it may be; and in between that we are here. Raises Unauthenticated."""
    painted: dict[str, str] = {}
    while not pulse.is_over:
        await pulse.wait(watched.every_seconds or BEAT_SECONDS)
        await _check(request)
        if pulse.seq <= seq and watched.every_seconds is None:
            yield _beat(watched.lane, seq)
            continue
        parts = await watched.read(pulse.seq)
        changed = {name: html for name, html in parts.html.items() if painted.get(name) != html}
        painted |= changed
        seq = max(seq, parts.seq)
        yield _written(watched.lane, seq, changed) if changed else _beat(watched.lane, seq)
        await asyncio.sleep(REPAINT_SECONDS)


async def _check(request: HttpRequest) -> None:
    """Ask again who looks. Raises Unauthenticated."""
    if visits.has_keys(request):
        found = await visits.caller_of(request)
        if found.key_id != callers.caller(request).key_id:
            raise errors.Unauthenticated("Somebody else has signed in.")


def _beat(lane: str, seq: int) -> bytes:
    """Tell that we are here, and how far the page has come."""
    return sse.frame({lane: seq}, b"", event=b"beat")


def _written(lane: str, seq: int, parts: Mapping[str, str]) -> bytes:
    html = pages.render("parts.html", parts=parts)
    return sse.frame({lane: seq}, " ".join(html.split("\n")).encode())
