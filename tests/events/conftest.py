"""The feed of a process that has the hours market, on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marketplace import events
from marketplace.database import Database, Lane, Limits, money
from marketplace.foundation import clock as wall_clock
from marketplace.worker import KINDS
from tests.events.posting import Post
from tests.events.reading import Clerk
from tests.events.receiver import Receiver
from tests.services.clock import SettableClock


@pytest.fixture
async def feed(database: Database, hours_lane: Lane) -> AsyncIterator[events.Feed]:
    """It hears of the lane's commits, as in a server."""
    opened = events.Feed(database, KINDS)
    opened.listen(hours_lane)
    yield opened
    await opened.end()


@pytest.fixture
async def deaf_feed(database: Database) -> AsyncIterator[events.Feed]:
    """The feed of another process: no lane tells it anything."""
    opened = events.Feed(database, KINDS)
    yield opened
    await opened.end()


@pytest.fixture
def clerk(hours_lane: Lane) -> Clerk:
    return Clerk(hours_lane)


@pytest.fixture
async def money_lane(database: Database, clock: SettableClock) -> AsyncIterator[Lane]:
    """The started lane that has the cursors, on the settable clock."""
    lane = Lane(money.LANE, database, events.handlers(), limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    yield lane
    await lane.drain()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody who is sent webhooks, and takes them."""
    async with Receiver() as opened:
        yield opened


@pytest.fixture
def post(
    database: Database,
    money_lane: Lane,
    receiver: Receiver,
    clock: SettableClock,
    monkeypatch: pytest.MonkeyPatch,
) -> Post:
    """Who calls webhooks, on the settable clock."""
    monkeypatch.setattr(wall_clock, "now", clock)
    return Post(database, money_lane, receiver, clock)
