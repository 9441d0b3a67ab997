"""Instants: integers of microseconds since 1970-01-01T00:00:00Z.

Both engines store them as BIGINT, so that one statement means the same on each and arithmetic is exact.
Text appears only at the edges, as RFC 3339 in UTC.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

Instant = int
"""Microseconds since the epoch, UTC."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> Instant:
    """Return this machine's wall clock. It may step back: a lane never lets that show."""
    return time.time_ns() // 1_000


def to_datetime(instant: Instant) -> datetime:
    """Return the instant as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> Instant:
    """Return an aware datetime as an instant, exactly. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, as in 2026-01-31T12:00:00Z")
    return (moment - _EPOCH) // timedelta(microseconds=1)
