"""Forgetting what nobody may ask for any more: old answers, commit rows and entries, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from marketplace.database import log
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

ANSWERS_KEPT = 72 * clock.HOUR
COMMITS_KEPT = clock.DAY


class Forget(msgspec.Struct, frozen=True):
    """Delete at most `limit` answers older than 72 h, and as many commit rows older than a day; gives their number."""

    limit: int = 1000


class Cut(msgspec.Struct, frozen=True):
    """Delete at most `limit` of the oldest entries of the log, up to the seq `through`; gives their number.

    The last entry stays. Who may still want to read them, whoever asks for it has to know.
    """

    through: int
    limit: int = 1000


def cut(tx: sa.Connection, book: log.Log, commands: Sequence[Cut], /, *, now: Instant) -> list[int]:
    """Cut the log of the lane that `book` belongs to."""
    gone = [log.cut(tx, book.lane, through=each.through, at=now, limit=each.limit) for each in commands]
    book.is_dirty = book.is_dirty or any(gone)
    return gone


def apply(tx: sa.Connection, book: log.Log, commands: Sequence[Forget], /, *, now: Instant) -> list[int]:
    """Run the upkeep of the lane that `book` belongs to."""
    gone = [
        log.delete_old(
            tx,
            book.lane,
            answered_before=now - ANSWERS_KEPT,
            committed_before=now - COMMITS_KEPT,
            limit=command.limit,
        )
        for command in commands
    ]
    book.is_dirty = book.is_dirty or any(gone)
    return gone
