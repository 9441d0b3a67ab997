"""The endpoints of the log, as functions that return a request as a value, for both clients.

`topic`, `kind` and `subject` leave out what is something else; several topics or kinds are joined by commas, and a
subject means what is below it too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from marketplace.client.requests import PAGE_SIZE, Call, Listing, query_of
from marketplace.wire import events

PATH = "/api/v1/events"
WAIT_SECONDS = 20
"""Of one long poll: less than a client waits for an answer."""


class UpToNow(Listing[events.Event]):
    """Pages until the head of the log is reached; one may be empty before that."""

    def following(self, page: Any) -> Call[Any] | None:
        return None if page.next >= page.head else _after(self.first, page.next)


class Endless(Listing[events.Event]):
    """Pages without an end: each call waits until there is something."""

    def following(self, page: Any) -> Call[Any] | None:
        return _after(self.first, page.next)


def events_page(
    lane: str = "hours",
    *,
    after: int = 0,
    topic: str | None = None,
    kind: str | None = None,
    subject: str | None = None,
    limit: int = PAGE_SIZE,
    wait_seconds: float = 0,
) -> Call[events.Events]:
    """Read one page; where there is nothing, wait for it. Go on with `after` = `next`. Gone where that was cut."""
    query = query_of(
        lane=lane, after=after, topic=topic, kind=kind, subject=subject, limit=limit, wait_seconds=wait_seconds or None
    )
    return Call("GET", PATH, events.Events, query)


def list_events(
    lane: str = "hours",
    *,
    after: int = 0,
    topic: str | None = None,
    kind: str | None = None,
    subject: str | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[events.Event]:
    """List what happened in a lane after a seq, up to now."""
    return UpToNow(events_page(lane, after=after, topic=topic, kind=kind, subject=subject, limit=page_size))


def follow_events(
    lane: str = "hours",
    *,
    after: int = 0,
    topic: str | None = None,
    kind: str | None = None,
    subject: str | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[events.Event]:
    """List what happens in a lane after a seq, as it happens, without an end."""
    asked = {"topic": topic, "kind": kind, "subject": subject}
    return Endless(events_page(lane, after=after, limit=page_size, wait_seconds=WAIT_SECONDS, **asked))


def _after(call: Call[Any], seq: int) -> Call[Any]:
    return replace(call, query={**call.query, "after": str(seq)})
