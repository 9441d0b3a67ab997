from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from marketplace import auctions, ledger
from marketplace.database import Database, money
from tests.auctions.desk import Desk
from tests.services import lane_desk
from tests.services.clock import SettableClock


def opened(
    database: Database, clock: SettableClock, *, starting_credits: int = 0, balances: bool = True
) -> AbstractAsyncContextManager[Desk]:
    """Open a desk on the settable clock. Afterwards the books must balance, where nothing else is said."""
    handlers = {
        **ledger.handlers(starting_credits=starting_credits),
        **auctions.handlers(starting_credits=starting_credits),
    }
    return lane_desk.opened(Desk, database, clock, name=money.LANE, handlers=handlers, balances=balances)


@pytest.fixture
async def desk(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """The default book. Ann has 1 000 units of credits; s1 to s4 have 1 000 hours each, and as many credits."""
    async with opened(database, clock) as one:
        await one.give("ann", 1_000)
        for solver in ("s1", "s2", "s3", "s4"):
            await one.give(solver, 1_000, "hour")
            await one.give(solver, 1_000)
        yield one


@pytest.fixture
async def desk_to_tamper(database: Database, clock: SettableClock) -> AsyncIterator[Desk]:
    """The same for a test that breaks the books."""
    async with opened(database, clock, balances=False) as one:
        await one.give("ann", 1_000)
        await one.give("s1", 1_000, "hour")
        yield one
