"""Timed steps of the ledger."""

from __future__ import annotations

import structlog

from marketplace.database import Database, Lane
from marketplace.foundation import clock
from marketplace.foundation.jobs import Job
from marketplace.ledger import lookups
from marketplace.ledger.audit import quick
from marketplace.ledger.model import ExpireHolds, NoteAudit

log = structlog.get_logger(__name__)


async def expire_holds(database: Database, lane: Lane) -> int:
    """End the holds whose time has come, a chunk a transaction; return how many."""
    count = 0
    while await database.read_one(lookups.has_due_holds, now=clock.now()):
        ended = await lane.run(ExpireHolds())
        if not ended:  # the lane's clock is behind ours, or another worker was faster
            break
        count += ended
    return count


async def audit_books(database: Database, lane: Lane) -> int:
    """Run the quick audit, and leave its outcome where the metrics of every process find it."""
    faults = await database.report(quick)
    for fault in faults:
        log.error("ledger_invariant_violated", fault=fault)
    await lane.run(NoteAudit(len(faults)))
    return len(faults)


JOBS = (
    Job("ledger.expire_holds", every_seconds=1, run=expire_holds),
    Job("ledger.audit", every_seconds=60, run=audit_books),
)
