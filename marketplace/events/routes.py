"""HTTP of the lanes' logs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.params import FromQuery, QueryParameter

from marketplace import events
from marketplace.http import params
from marketplace.http.resources import database
from marketplace.wire import limits
from marketplace.wire.events import Events

LaneName = Literal["hours", "addresses", "money"]
After = Annotated[int, QueryParameter(ge=0, le=limits.MAX_SEQ, description="the last seq that you have seen")]


@get("/api/v1/events", tags=["events"], opt={"scope": "admin"})
async def list_events(
    request: Request[Any, Any, Any],
    lane: FromQuery[LaneName] = "hours",
    after: After = 0,
    limit: params.PageSize = params.DEFAULT_PAGE,
) -> Events:
    """Read a lane's log, in commit order.

    Its seqs have no gaps: ask again with `after` = `next`, and you miss nothing and see nothing twice.
    """
    found = await database(request).read_one(events.list_events, lane=lane, after=after, limit=limit)
    return Events(found, found[-1].seq if found else after)


HANDLERS = (list_events,)
