"""Rows of the table of who may call what."""

from __future__ import annotations

from typing import Any, NamedTuple

FORBIDDEN = (403, "forbidden")


class Row(NamedTuple):
    """What a route asks for; a request, about things of bob's; and what ann is told who sends it."""

    scopes: str | None
    path: str
    body: Any = None
    ann: tuple[int, str] | None = None
