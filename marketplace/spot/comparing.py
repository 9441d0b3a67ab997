"""What follows from what a backend was seen to run for a lease. Pure.

A lease that runs or is to stop is looked at for its end; one that is to start, for whether it has to be asked again.
What is said may have been said before: the lane passes over that.
"""

from __future__ import annotations

from typing import NamedTuple

from marketplace.foundation import clock
from marketplace.foundation.clock import SECOND, Instant
from marketplace.spot.commands import RecordEnded, RecordFailed, RecordStarted
from marketplace.spot.compute import Container
from marketplace.spot.duties import Duty

MOST_START_SECONDS = 900
"""A container that a node has taken on and does not bring to run for so long has failed to start."""
OVERDUE = 5 * SECOND
"""What runs so long after its deadline is killed once more."""

Record = RecordStarted | RecordFailed | RecordEnded


class Finding(NamedTuple):
    """What is to be recorded, in order, and whether what the lease needs is to be done again."""

    records: tuple[Record, ...] = ()
    is_to_act: bool = False


NOTHING = Finding()


def compare(duty: Duty, seen: Container | None, *, now: Instant, last_seen_at: Instant | None) -> Finding:
    """Say what follows for a lease of what was seen at `now`.

    `last_seen_at` is when its container was last seen running, None for never by this process.
    """
    if duty.state == "matched":
        return NOTHING
    if duty.state == "ended":
        return Finding(is_to_act=True)
    if duty.state == "starting":
        return _of_start(duty, seen, now=now)
    if seen is None:
        # Nobody saw it later than when it was last seen.
        reason = "The node knows no such container any more." if duty.started_at is not None else ""
        ended_at = now if last_seen_at is None else last_seen_at
        return Finding((RecordEnded(duty.lease_id, ended_at, None, reason=reason),))
    # It may be told to stop before anybody has noted that it runs.
    late = (started(duty.lease_id, seen, duty.address),) if duty.started_at is None and seen.started_at else ()
    if seen.state in ("exited", "failed"):
        return Finding((*late, ended(duty.lease_id, seen)))
    return Finding(late, is_to_act=duty.stop_at is not None and duty.stop_at + OVERDUE < now)


def _of_start(duty: Duty, seen: Container | None, *, now: Instant) -> Finding:
    """Ask again for a container that is not there, or is past its start; give one up that does not come to run."""
    if seen is None or seen.state != "starting":
        return Finding(is_to_act=True)
    if duty.start_at is not None and duty.start_at + MOST_START_SECONDS * SECOND < now:
        reason = f"The node did not bring it to run within {MOST_START_SECONDS} s."
        return Finding((RecordFailed(duty.lease_id, reason),))
    return NOTHING


def started(lease_id: int, seen: Container, address: str | None) -> RecordStarted:
    return RecordStarted(lease_id, seen.reference, seen.started_at or clock.now(), address)


def ended(lease_id: int, seen: Container) -> RecordEnded:
    ended_at = seen.finished_at or clock.now()
    return RecordEnded(lease_id, ended_at, seen.exit_code, out_of_memory=seen.out_of_memory, reason=seen.reason)
