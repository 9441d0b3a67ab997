"""Timed steps of a module: what `worker` runs on their clocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec


class Job(msgspec.Struct, frozen=True):
    """A step that is run every `every_seconds`, by any number of processes at once: it must be safe to run twice.

    One that watches for something may go on for as long as the process does; it is begun anew when it ends.

    `run(database, lane)` reads from the one and writes through the other, which is the lane of its module.
    """

    name: str
    every_seconds: float
    run: Callable[[Any, Any], Awaitable[object]]
    may_be_cut_short: bool = False
    """Ended in the middle when the process stops; any other step that has begun is finished."""
