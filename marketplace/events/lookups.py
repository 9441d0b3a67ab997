"""What can be asked of the logs: functions of a read-only `tx`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.events import errors, sql, webhook_sql
from marketplace.events.model import LANES, Entry, Lag, Mark, Page, Wanted
from marketplace.events.webhook_model import CONSUMER, DELIVERIES
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

WINDOW = 50_000
"""Entries that one statement looks at in search of wanted ones."""


class _Written(msgspec.Struct, frozen=True):
    """What `wire.events.Event` reads, its data as it is stored."""

    lane: str
    seq: int
    at: Any
    topic: str
    kind: str
    subject: str
    member: str | None
    data: msgspec.Raw


_encode = msgspec.json.Encoder().encode


def read_page(tx: sa.Connection, lane: str, wanted: Wanted, *, after: int, limit: int) -> Page:
    """Return the wanted ones of the next entries after a seq, in commit order. Raises LogCut.

    Run it in a snapshot. It looks at WINDOW entries at most, so it may find none and yet not have come to the head.
    """
    first, head = sql.read_bounds(tx, lane)
    if after < first - 1:
        raise errors.LogCut(lane, first)
    until = max(after, min(head, after + WINDOW))
    rows = sql.select_events(tx, lane, wanted, after=after, until=until, limit=limit)
    return Page([to_entry(row) for row in rows], rows[-1].seq if len(rows) == limit else until, head)


def read_new(tx: sa.Connection, lane: str, *, after: int, limit: int) -> list[Entry]:
    """Return the entries after a seq. A single statement."""
    return [to_entry(row) for row in sql.select_events(tx, lane, Wanted(), after=after, until=2**62, limit=limit)]


def read_marks(tx: sa.Connection, lane: str, *, after: int, limit: int) -> list[Mark]:
    """Return what the entries after a seq are about, which costs less than reading them. A single statement."""
    return [
        Mark(seq, (topic, kind, subject, member))
        for seq, topic, kind, subject, member in sql.select_marks(tx, lane, after=after, limit=limit)
    ]


def read_bounds(tx: sa.Connection, lanes: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return the first seq that is kept and the last one of each lane, 1 and 0 where there is none."""
    return {lane: sql.read_bounds(tx, lane) for lane in lanes}


def to_entry(row: Any) -> Entry:
    """Make an entry of a row of the log."""
    lane, seq, at, topic, kind, subject, member, data = row
    written = _Written(lane, seq, clock.to_datetime(at), topic, kind, subject, member, msgspec.Raw(data.encode()))
    return Entry(seq, topic, kind, subject, member, _encode(written))


def read_batch(
    tx: sa.Connection, consumer: str, lane: str, wanted: Wanted, *, limit: int
) -> tuple[int | None, int, Page]:
    """Return a consumer's cursor (None: it has not begun), where it goes on from, and the page after that.

    One that has not begun goes on from the oldest entry that is kept; so does one that began just when the log was cut.
    Run it in a snapshot.
    """
    cursor = sql.read_cursors(tx, [(consumer, lane)]).get((consumer, lane))
    after = max(cursor or 0, sql.read_bounds(tx, lane)[0] - 1)
    return cursor, after, read_page(tx, lane, wanted, after=after, limit=limit)


def read_lags(tx: sa.Connection) -> list[Lag]:
    """Return how far each consumer is behind the lane that it follows, and so what is on its way to webhooks.

    That is behind by all entries from the first one on that is not over, for whichever webhook. Run it in a snapshot.
    """
    reached = sql.read_all_cursors(tx)
    for lane in LANES:
        fanned_out, waiting = reached.get((CONSUMER, lane)), webhook_sql.read_first_waiting(tx, lane)
        if fanned_out is not None:
            reached[DELIVERIES, lane] = fanned_out if waiting is None else min(fanned_out, waiting - 1)
    heads = {lane: head for lane, (_, head) in read_bounds(tx, LANES).items()}
    return [
        Lag(consumer, lane, heads[lane] - seq, sql.read_next_at(tx, lane, after=seq) if seq < heads[lane] else None)
        for (consumer, lane), seq in sorted(reached.items())
    ]


def read_removable(tx: sa.Connection, lane: str, *, before: Instant, limit: int) -> tuple[int, int] | None:
    """Return the first and the last seq, of the `limit` oldest, that are older than an instant and needed by nobody.

    The last entry of a lane is never among them. Run it in a snapshot.
    """
    first, head = sql.read_bounds(tx, lane)
    slowest, waiting = sql.read_slowest(tx, lane), webhook_sql.read_first_waiting(tx, lane)
    needed = [head, first + limit, head if slowest is None else slowest + 1, head if waiting is None else waiting]
    last = sql.read_last_older(tx, lane, after=first - 1, until=min(needed) - 1, before=before)
    return None if last is None else (first, last)


def read_entries(tx: sa.Connection, lane: str, *, first: int, last: int) -> list[Entry]:
    """Return all entries from one seq to another. A single statement."""
    rows = sql.select_events(tx, lane, Wanted(), after=first - 1, until=last, limit=last - first + 1)
    return [to_entry(row) for row in rows]
