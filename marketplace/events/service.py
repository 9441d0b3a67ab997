"""The reads of the lanes' logs."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from marketplace.events import sql
from marketplace.foundation import clock
from marketplace.wire.events import Event

LANES = ("hours", "addresses", "money")


def list_events(tx: sa.Connection, *, lane: str, after: int, limit: int) -> list[Event]:
    """Return what a lane accepted after a seq, in commit order. A single statement."""
    return [
        Event(
            row.lane,
            row.seq,
            clock.to_datetime(row.at),
            row.topic,
            row.kind,
            row.subject,
            row.member,
            msgspec.json.decode(row.data, type=dict),
        )
        for row in sql.select_events(tx, lane=lane, after=after, limit=limit)
    ]
