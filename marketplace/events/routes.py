"""HTTP of the lanes' logs: pages, a long poll, and a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, cast

from litestar import Request, Response, get
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from marketplace.events import errors
from marketplace.events.feed import STATE, Feed
from marketplace.events.model import LANES, Entry, Page, Wanted
from marketplace.foundation.errors import Refusal
from marketplace.http import callers, params, problems, sse
from marketplace.wire import limits
from marketplace.wire.events import MAX_WAIT_SECONDS, Events, LaneName

HttpRequest = Request[Any, Any, Any]

_LANE = "|".join(LANES)
ALL_LANES = ",".join(LANES)
_SEQ = r"(0|[1-9][0-9]{0,17})"
MAX_SUBJECT = 256

After = Annotated[int, QueryParameter(ge=0, le=limits.MAX_SEQ, description="the last seq that you have seen")]
WaitSeconds = Annotated[
    float,
    QueryParameter(ge=0, le=MAX_WAIT_SECONDS, description="how long to wait for something where there is nothing"),
]
Words = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^[a-z_]+(,[a-z_]+)*$", min_length=1, max_length=512, description="any of these, joined by commas"
    ),
]
Subject = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=MAX_SUBJECT, description="it, or what is below it: default, default/17"),
]
Lanes = Annotated[
    str, QueryParameter(pattern=rf"^({_LANE})(,({_LANE}))*$", max_length=64, description="lanes, joined by commas")
]
Positions = Annotated[
    str | None,
    QueryParameter(
        pattern=rf"^({_LANE}):{_SEQ}(,({_LANE}):{_SEQ})*$",
        max_length=sse.MAX_ID_LENGTH,
        description="the last seq that you have seen of each lane; of a lane that is not named, what comes from now on",
    ),
]


@get(
    "/api/v1/events",
    tags=["events"],
    opt={"refuses": (errors.LogCut, errors.UnknownKind), "scope": "read"},
)
async def list_events(
    request: HttpRequest,
    lane: FromQuery[LaneName] = "hours",
    after: After = 0,
    topic: Words = None,
    kind: Words = None,
    subject: Subject = None,
    limit: params.PageSize = params.DEFAULT_PAGE,
    wait_seconds: WaitSeconds = 0,
) -> Events:
    """Read a lane's log, in commit order, and wait for what comes next if asked to.

    Its seqs have no gaps: ask again with `after` = `next`, and you miss nothing and see nothing twice. You are up to
    date when `next` has reached `head`.
    """
    wanted = _wanted(request, topic=topic, kind=kind, subject=subject)
    page = await feed_of(request).page(lane, wanted, after=after, limit=limit, wait_seconds=wait_seconds)
    return cast(Events, Response(_written(page), media_type="application/json"))


@get(
    "/api/v1/events/stream",
    tags=["events"],
    media_type=sse.MEDIA_TYPE,
    opt={"refuses": (errors.LogCut, errors.UnknownKind), "scope": "read"},
)
async def stream_events(
    request: HttpRequest,
    lanes: Lanes = ALL_LANES,
    after: Positions = None,
    topic: Words = None,
    kind: Words = None,
    subject: Subject = None,
) -> Stream:
    """Follow lanes as server-sent events: each is one entry of a log, its id the position in all of them.

    Who comes back with Last-Event-ID, as browsers do by themselves, goes on behind it. An event `gone` says that the
    log was cut before a reader that is too slow.
    """
    wanted = _wanted(request, topic=topic, kind=kind, subject=subject)
    feed, names = feed_of(request), dict.fromkeys(lanes.split(","))
    given = sse.read_positions(last, field="Last-Event-ID") if (last := sse.last_id(request)) is not None else {}
    given = given or sse.read_positions(after or "", field="after")
    return sse.respond(_frames(feed, await feed.positions(names, given), wanted))


HANDLERS = (list_events, stream_events)


async def _frames(feed: Feed, positions: Mapping[str, int], wanted: Wanted) -> AsyncIterator[bytes]:
    yield sse.BEGINNING
    told = dict(positions)
    try:
        async for found, reached in feed.stream(positions, wanted):
            yield b"".join(_each(found, told)) or sse.HEARTBEAT + sse.frame(reached)
            told |= reached
    except Refusal as refusal:
        # Nothing else can be said any more: the answer has begun. What may be tried again just ends.
        if isinstance(refusal, errors.LogCut):
            yield sse.frame(told, problems.render(refusal).body, event=b"gone")


def _each(found: list[tuple[str, Entry]], told: dict[str, int]) -> list[bytes]:
    """Write entries, each with the position behind it, which `told` then is."""
    frames = []
    for lane, entry in found:
        told[lane] = entry.seq
        frames.append(sse.frame(told, entry.json))
    return frames


def _written(page: Page) -> bytes:
    """Return the page as `wire.events.Events` reads it."""
    items = b",".join(entry.json for entry in page.entries)
    return b'{"items":[%s],"next":%d,"head":%d}' % (items, page.next, page.head)


def _wanted(request: HttpRequest, *, topic: str | None, kind: str | None, subject: str | None) -> Wanted:
    """Return what the caller asks for and may see. Raises UnknownKind."""
    caller, kinds = callers.caller(request), feed_of(request).kinds
    names, topics = _words(kind), _words(topic)
    kinds.check(topics=topics, kinds=names)
    return Wanted(caller.is_admin, caller.username, kinds.public, topics, names, subject)


def _words(text: str | None) -> frozenset[str]:
    return frozenset(text.split(",")) if text else frozenset()


def feed_of(request: HttpRequest) -> Feed:
    return cast(Feed, request.app.state[STATE])
