"""Timed steps of the hours market."""

from __future__ import annotations

import asyncio

from marketplace.database import Database, Lane
from marketplace.foundation import clock
from marketplace.foundation.errors import Refusal
from marketplace.foundation.jobs import Job
from marketplace.hours import lookups
from marketplace.hours.model import ExpireBid

CHUNK = 500


async def expire_bids(database: Database, lane: Lane) -> int:
    """Close the open bids whose time has come, a chunk a transaction; return how many.

    Matching passes an expired bid over from its instant on: this only says so in the books. Whoever is faster, a cancel
    or another worker, wins; the other finds the bid closed.
    """
    count = 0
    while due := await database.read_one(lookups.list_due_bids, now=clock.now(), limit=CHUNK):
        outcomes = await asyncio.gather(
            *(lane.run(ExpireBid(market, bid_id)) for market, bid_id in due), return_exceptions=True
        )
        for failure in (each for each in outcomes if isinstance(each, Exception)):
            if not isinstance(failure, Refusal) or not failure.storable:
                raise failure
        count += len(due)
    return count


JOBS = (Job("hours.expire_bids", every_seconds=1, run=expire_bids),)
