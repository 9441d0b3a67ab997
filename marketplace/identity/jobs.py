"""Timed steps of identity."""

from __future__ import annotations

from marketplace.database import Database, Lane
from marketplace.foundation import clock
from marketplace.foundation.jobs import Job
from marketplace.identity import lookups
from marketplace.identity.model import ForgetSessions


async def forget_sessions(database: Database, lane: Lane) -> int:
    """Delete the sessions that are over, a chunk a transaction; return how many."""
    count = 0
    while await database.read_one(lookups.has_old_session, now=clock.now()):
        gone = await lane.run(ForgetSessions())
        if not gone:  # the lane's clock is behind ours, or another worker was faster
            break
        count += gone
    return count


JOBS = (Job("identity.forget_sessions", every_seconds=600, run=forget_sessions),)
