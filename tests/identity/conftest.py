from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marketplace import identity
from marketplace.database import Database, money
from tests.identity.desk import Desk
from tests.services import lane_desk
from tests.services.clock import SettableClock


@pytest.fixture
async def desk(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """Identity on the settable clock, without any member. Afterwards the books must balance."""
    async with lane_desk.opened(Desk, database, clock, name=money.LANE, handlers=identity.handlers()) as one:
        yield one
