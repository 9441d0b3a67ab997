"""When a delivery that failed is tried again: the schedule of Standard Webhooks.

At once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, each counted from the failure before it:
10 tries over 75 hours and 35 minutes. Then it has failed for good, and only a replay delivers it.
"""

from __future__ import annotations

MINUTE, HOUR = 60, 3_600

DELAYS_SECONDS = (5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
TRIES = len(DELAYS_SECONDS) + 1


def delay_seconds(tries: int, *, scale: float = 1.0) -> float | None:
    """Return how long to wait after this many failed tries, None where that was the last one."""
    return DELAYS_SECONDS[tries - 1] * scale if tries < TRIES else None


def is_success(status: int | None) -> bool:
    """Tell whether a receiver took it: a redirection is no success, and is not followed."""
    return status is not None and 200 <= status < 300
