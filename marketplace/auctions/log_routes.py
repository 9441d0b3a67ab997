"""HTTP of the books' logs: pages, a long poll, and a stream, by offset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

from litestar import Request, Response, get
from litestar.params import QueryParameter
from litestar.response import Stream

from marketplace.auctions import errors
from marketplace.auctions.feed import BookFeed, LogPage
from marketplace.foundation.errors import Invalid
from marketplace.http import params, sse
from marketplace.wire import auctions as wire
from marketplace.wire import limits

FEED = "auctions.feed"
"""Where the application's state has the process's BookFeed."""

HttpRequest = Request[Any, Any, Any]

From = Annotated[
    int, QueryParameter(name="from", ge=0, le=limits.MAX_SEQ, description="the first offset that you have not seen")
]
OptionalFrom = Annotated[
    str | None,
    QueryParameter(
        name="from", pattern=r"^(0|[1-9][0-9]{0,17})$", description="the offset to begin with; left out, the next one"
    ),
]
"""Text, of a number: Litestar would take "null" for leaving it out."""
WaitSeconds = Annotated[
    float,
    QueryParameter(ge=0, le=wire.MAX_WAIT_SECONDS, description="how long to wait for something where there is nothing"),
]
MAX_DIGITS = 19


@get(
    "/api/v1/auctions/books/{book:str}/log", tags=["auctions"], opt={"refuses": (errors.UnknownBook,), "scope": "read"}
)
async def read_auction_log(
    request: HttpRequest,
    book: params.Market,
    first: From = 0,
    limit: params.PageSize = params.DEFAULT_PAGE,
    wait_seconds: WaitSeconds = 0,
) -> wire.Entries:
    """Read a book's log, and wait for what comes next if asked to.

    Its offsets have no gaps: ask again with `from` = `next`, and you miss nothing and see nothing twice. It is the same
    for everybody; bids are told without what they say until their round is selected.
    """
    page = await feed_of(request).page(book, first=first, limit=limit, wait_seconds=wait_seconds)
    return cast(wire.Entries, Response(_written(page), media_type="application/json"))


@get(
    "/api/v1/auctions/books/{book:str}/log/stream",
    tags=["auctions"],
    media_type=sse.MEDIA_TYPE,
    opt={"refuses": (errors.UnknownBook,), "scope": "read"},
)
async def stream_auction_log(request: HttpRequest, book: params.Market, first: OptionalFrom = None) -> Stream:
    """Follow a book as server-sent events: each is one entry of its log, its id the offset.

    Without `from` it begins with what comes now. Who comes back with Last-Event-ID, as browsers do by themselves, goes
    on behind it.
    """
    feed = feed_of(request)
    head = await feed.head(book)
    last = _last_offset(request)
    begin = head if first is None else int(first)
    return sse.respond(_frames(feed, book, begin if last is None else last + 1))


HANDLERS = (read_auction_log, stream_auction_log)


async def _frames(feed: BookFeed, book: str, first: int) -> AsyncIterator[bytes]:
    yield sse.BEGINNING
    async for entries in feed.stream(book, first=first):
        yield b"".join(b"id: %d\ndata: %s\n\n" % (one.seq, one.json) for one in entries) or sse.HEARTBEAT


def _written(page: LogPage) -> bytes:
    """Return the page as `wire.auctions.Entries` reads it."""
    items = b",".join(entry.json for entry in page.entries)
    return b'{"items":[%s],"next":%d,"head":%d}' % (items, page.next, page.head)


def _last_offset(request: HttpRequest) -> int | None:
    """Return the offset that a reader who comes back heard last. Raises Invalid."""
    text = sse.last_id(request)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < MAX_DIGITS):
        raise Invalid("The Last-Event-ID is an offset, as 17.", field="Last-Event-ID")
    return int(text)


def feed_of(request: HttpRequest) -> BookFeed:
    return cast(BookFeed, request.app.state[FEED])
