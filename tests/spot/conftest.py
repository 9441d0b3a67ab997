from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from marketplace.database import Database
from tests.services import docker, postgres
from tests.services.clock import SettableClock
from tests.spot.desk import Desk, opened


@pytest.fixture
async def desk(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """The spot market on the settable clock. Afterwards its books must balance."""
    async with opened(database, clock) as one:
        yield one


@pytest.fixture
async def desk_to_tamper(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """The spot market for a test that breaks its books."""
    async with opened(database, clock, balances=False) as one:
        yield one


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker.Engine]:
    """A real Docker Engine, one a test process."""
    try:
        with docker.running() as engine:
            yield engine
    except docker.NoEngine as missing:
        postgres.unavailable(str(missing))
