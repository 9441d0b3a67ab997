"""The feed of a process that has the hours market, on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marketplace import events, hours
from marketplace.database import Database, Lane
from marketplace.worker import KINDS
from tests.events.reading import Clerk


@pytest.fixture
async def feed(database: Database, hours_lane: Lane) -> AsyncIterator[events.Feed]:
    """It hears of the lane's commits, as in a server."""
    opened = events.Feed(database, [hours.LANE], KINDS)
    opened.listen(hours_lane)
    yield opened
    await opened.end()


@pytest.fixture
async def deaf_feed(database: Database) -> AsyncIterator[events.Feed]:
    """The feed of another process: no lane tells it anything."""
    opened = events.Feed(database, [hours.LANE], KINDS)
    yield opened
    await opened.end()


@pytest.fixture
def clerk(hours_lane: Lane) -> Clerk:
    return Clerk(hours_lane)
