"""Server-sent events (the WHATWG's `text/event-stream`): how a stream is written, and where its reader was.

A reader that was cut off sends the id of the last thing it heard as Last-Event-ID. The id of ours is a position in each
of several logs, `hours:12,money:7`. A frame with an id and no data tells a position alone: browsers keep it and show
nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from litestar import Request
from litestar.response import Stream

from marketplace.foundation import errors

MEDIA_TYPE = "text/event-stream"
RETRY_MILLISECONDS = 1000
LAST_ID = "last-event-id"
MAX_ID_LENGTH = 512

BEGINNING = b"retry: %d\n" % RETRY_MILLISECONDS
HEARTBEAT = b": still here\n"


def frame(positions: Mapping[str, int], data: bytes | None = None, *, event: bytes | None = None) -> bytes:
    """Write one event; `data` is a line. Without it only the position is told."""
    written = b"id: %s\n" % ",".join(f"{name}:{seq}" for name, seq in positions.items()).encode()
    if event is not None:
        written += b"event: %s\n" % event
    if data is not None:
        written += b"data: %s\n" % data
    return written + b"\n"


def respond(chunks: AsyncIterator[bytes]) -> Stream:
    """Send chunks as they come; whoever is between us and the reader is asked not to hold them back."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(chunks, media_type=MEDIA_TYPE, headers=headers)


def read_positions(text: str, *, field: str) -> dict[str, int]:
    """Read an id of ours. Raises Invalid."""
    positions = {}
    for part in text.split(",") if text else ():
        name, _, seq = part.partition(":")
        if not (name.isascii() and name.isalpha() and seq.isascii() and seq.isdigit() and len(seq) < 19):
            raise errors.Invalid(f"{field} is a position such as hours:12,money:7.", field=field)
        positions[name] = int(seq)
    return positions


def last_id(request: Request[Any, Any, Any]) -> str | None:
    """Return the Last-Event-ID of a reader that comes back. Raises Invalid for one that is too long."""
    text: str | None = request.headers.get(LAST_ID)
    if text is not None and len(text) > MAX_ID_LENGTH:
        raise errors.Invalid("The Last-Event-ID is longer than any of ours.", field="Last-Event-ID")
    return text
