"""Where the consumers of the logs are: moved by whoever has dealt with something."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from marketplace.database import Log
from marketplace.events import sql
from marketplace.events.errors import CursorMoved
from marketplace.events.model import Advance
from marketplace.foundation.clock import Instant


def apply(tx: sa.Connection, log: Log, commands: Sequence[Advance], /, *, now: Instant) -> list[int | CursorMoved]:
    """Move cursors in arrival order; only forward, and only from where they are."""
    return advance(tx, log, commands, now=now)


def advance(tx: sa.Connection, log: Log, moves: Sequence[Advance], *, now: Instant) -> list[int | CursorMoved]:
    """Move cursors within the caller's transaction, so that what it made of the entries and its cursor are one commit.

    Reads and writes the named consumers once. A refusal is an outcome, and leaves its cursor where it is.
    """
    cursors = sql.read_cursors(tx, {(move.consumer, move.lane) for move in moves})
    moved: dict[sql.Followed, int] = {}
    outcomes: list[int | CursorMoved] = []
    for move in moves:
        name = (move.consumer, move.lane)
        if cursors.get(name) != move.after or move.seq < (move.after or 0):
            outcomes.append(CursorMoved(*name))
        else:
            cursors[name] = moved[name] = move.seq
            outcomes.append(move.seq)
    log.write_later([sql.put_cursors(moved, now=now)])
    log.is_dirty = log.is_dirty or bool(moved)
    return outcomes
