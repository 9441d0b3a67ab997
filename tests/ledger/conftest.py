from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from marketplace import ledger
from marketplace.database import Database, money
from tests.ledger import house
from tests.ledger.desk import Desk
from tests.services import lane_desk
from tests.services.clock import SettableClock


def opened(
    database: Database, clock: SettableClock, *, starting_credits: int = 0, balances: bool = True
) -> AbstractAsyncContextManager[Desk]:
    """Open a desk on the settable clock. Afterwards the books must balance, where nothing else is said."""
    handlers = {
        **ledger.handlers(starting_credits=starting_credits),
        **house.handlers(starting_credits=starting_credits),
    }
    return lane_desk.opened(Desk, database, clock, name=money.LANE, handlers=handlers, balances=balances)


@pytest.fixture
async def desk(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """The ledger, prepaid: wallets open with nothing in them."""
    async with opened(database, clock) as one:
        yield one


@pytest.fixture
async def generous(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """The ledger, where wallets open with 1 000 micro-credits."""
    async with opened(database, clock, starting_credits=1_000) as one:
        yield one


@pytest.fixture
async def desk_to_tamper(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """The ledger for a test that breaks its books."""
    async with opened(database, clock, balances=False) as one:
        yield one
