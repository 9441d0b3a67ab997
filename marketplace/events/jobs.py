"""Timed steps of events."""

from __future__ import annotations

import functools
from pathlib import Path

from marketplace.database import Database, Lane
from marketplace.events import retention
from marketplace.foundation.jobs import Job
from marketplace.foundation.settings import Settings

CUT_EVERY_SECONDS = 600


def of_lane(lane: str, settings: Settings) -> list[Job]:
    """Return what is done for every lane's log."""
    if settings.events_kept_days is None:
        return []
    run = functools.partial(_cut_log, kept_days=settings.events_kept_days, archive=settings.events_archive)
    return [Job(f"{lane}.cut_log", every_seconds=CUT_EVERY_SECONDS, run=run)]


async def _cut_log(database: Database, lane: Lane, *, kept_days: int, archive: Path | None) -> int:
    return await retention.cut_log(database, lane, before=retention.days_ago(kept_days), archive=archive)
