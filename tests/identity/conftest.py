from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marketplace import identity
from marketplace.database import Database, Lane, Limits, money
from tests.identity.desk import Desk
from tests.services.clock import SettableClock


@pytest.fixture
async def desk(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """Identity on the settable clock, without any member. Afterwards the books must balance."""
    lane = Lane(money.LANE, database, identity.handlers(), limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    opened = Desk(lane, database, clock)
    yield opened
    await lane.drain()
    assert opened.is_tampered or await opened.audit() == []
