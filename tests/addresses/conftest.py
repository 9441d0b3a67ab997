from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marketplace.database import Database, Lane
from marketplace.foundation import clock as wall_clock
from tests.addresses.desk import Desk
from tests.services.clock import SettableClock


@pytest.fixture
async def desk(
    database: Database, addresses_lane: Lane, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """The address pool on the settable clock, without any network. Afterwards the books must balance."""
    monkeypatch.setattr(wall_clock, "now", clock)
    opened = Desk(addresses_lane, database, clock)
    yield opened
    assert opened.is_tampered or await opened.audit() == []


@pytest.fixture
async def lan(desk: Desk) -> Desk:
    """The network 172.16.0.0/24 with the gateway .1."""
    await desk.network()
    return desk
