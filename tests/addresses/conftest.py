from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from marketplace import addresses
from marketplace.database import Database, Lane, Limits
from marketplace.foundation import clock as wall_clock
from tests.addresses.desk import Desk
from tests.services.clock import SettableClock


@pytest.fixture
async def addresses_lane(database: Database, clock: SettableClock) -> AsyncIterator[Lane]:
    """The started lane of the address pool, on the settable clock, its random addresses the same every time."""
    handlers = addresses.handlers(random.Random(7))
    # Patient: on a machine that is busy with other tests a transaction may take seconds.
    lane = Lane(addresses.LANE, database, handlers, limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    yield lane
    await lane.drain()


@pytest.fixture
async def desk(
    database: Database, addresses_lane: Lane, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """The address pool on the settable clock, without any network. Afterwards the books must balance."""
    monkeypatch.setattr(wall_clock, "now", clock)
    opened = Desk(addresses_lane, database, clock)
    yield opened
    assert opened.is_tampered or await opened.audit() == []
