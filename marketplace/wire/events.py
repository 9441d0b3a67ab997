"""The lanes' logs: what goes over the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct


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
    """`next` is the `after` of the next call: the seq of the last item, or the given `after` where there was none."""

    items: list[Event]
    next: int
