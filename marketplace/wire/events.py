"""The lanes' logs: what goes over the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

LaneName = Literal["hours", "addresses", "money"]

MAX_WAIT_SECONDS = 60


class Event(Struct, frozen=True):
    """One accepted command. Within a lane `seq` is dense, gap-free and in commit order."""

    lane: str
    seq: int
    at: datetime
    topic: str
    kind: str
    subject: str
    member: str | None
    data: dict[str, Any]


class Events(Struct, frozen=True):
    """`next` is the `after` of the next call; `head` is the lane's last seq: whoever has reached it is up to date.

    `next` passes over entries that are not asked for or not to be seen, so a page may be empty and not the last one.
    """

    items: list[Event]
    next: int
    head: int
