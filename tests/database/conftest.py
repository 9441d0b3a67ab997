"""A database with the counters of counters.py in it, and lanes on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from marketplace.database import Database
from tests.database import counters
from tests.database.lanes import Lanes
from tests.services.clock import SettableClock


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """What was logged: kept, not written, since a written stack takes longer than the test."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
async def lanes(database: Database, clock: SettableClock) -> AsyncIterator[Lanes]:
    """Starts lanes of the counters on the test's database; drains them at the end."""
    await counters.create_tables(database)
    opened = Lanes(database, clock)
    yield opened
    await opened.drain()


@pytest.fixture
def books(database: Database, lanes: Lanes) -> counters.Books:
    return counters.Books(database)
