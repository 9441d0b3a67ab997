"""Jobs that go on until the process stops are ended with it, whatever they do with the request to end."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from marketplace import worker
from marketplace.database import Database, Lane
from marketplace.foundation.jobs import Job
from marketplace.foundation.settings import Settings


@pytest.mark.parametrize("deaf_times", [0, 1, 2])
async def test_a_job_that_misses_that_it_is_to_end_is_told_again(
    deaf_times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CANCEL_AGAIN_SECONDS", 0.01)
    begun, missed = asyncio.Event(), 0

    async def run(_database: Database, _lane: Lane) -> None:
        nonlocal missed
        begun.set()
        while missed < deaf_times:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
            missed += 1
        await asyncio.sleep(30)

    service = worker.resources(Settings(database_url=f"sqlite:///{tmp_path}/m.db"))
    stop = asyncio.Event()
    job = Job("test.deaf", every_seconds=60, run=run, may_be_cut_short=True)
    running = asyncio.create_task(worker.run_jobs(service, stop=stop, these=[("money", job)]))
    await begun.wait()
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert missed == deaf_times
    await service.database.close()
