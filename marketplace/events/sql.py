"""Every SQL statement of this module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.database.log import events

_select_events = (
    sa.select(
        events.c.lane,
        events.c.seq,
        events.c.at,
        events.c.topic,
        events.c.kind,
        events.c.subject,
        events.c.member,
        events.c.data,
    )
    .where(events.c.lane == sa.bindparam("of_lane"), events.c.seq > sa.bindparam("after"))
    .order_by(events.c.seq)
    .limit(sa.bindparam("at_most"))
)


def select_events(tx: sa.Connection, *, lane: str, after: int, limit: int) -> Sequence[Any]:
    """Return a lane's log after a seq, oldest first."""
    return tx.execute(_select_events, {"of_lane": lane, "after": after, "at_most": limit}).all()
