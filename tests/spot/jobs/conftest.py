from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.spot.jobs.town import CREDIT, Town


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    """The market on each engine, quick to evict, its jobs not running yet. Afterwards the books are right."""
    opened = Town(database_url, tmp_path)
    await opened.open()
    await opened.set_pool(
        reserve_micros=CREDIT, minimum_runtime_seconds=0, notice_seconds=1, notice_bounds=(0, 600), backoff_seconds=1
    )
    try:
        yield opened
        await opened.check()
    finally:
        await opened.close()
