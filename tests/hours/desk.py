"""The hours market without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace import hours
from marketplace.database import Database, Lane, log
from marketplace.foundation.errors import Refusal
from marketplace.hours import Allocation, Bid, Market, Supply, tables
from tests.hours.orders import MARKET
from tests.services import raw
from tests.services.clock import SettableClock


class Desk:
    """Where a test trades. Whoever changes rows behind the market's back sets `is_tampered`."""

    def __init__(self, lane: Lane, database: Database, clock: SettableClock) -> None:
        self.lane = lane
        self.database = database
        self.clock = clock
        self.is_tampered = False

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, command: Any) -> Any:
        return await self.lane.run(command)

    async def bid(self, command: Any) -> Bid:
        """Run a command that answers a bid."""
        outcome = await self.lane.run(command)
        assert isinstance(outcome, Bid)
        return outcome

    async def supply(self, command: Any) -> Supply:
        """Run a command that answers a supply."""
        outcome = await self.lane.run(command)
        assert isinstance(outcome, Supply)
        return outcome

    async def together(self, *commands: Any) -> list[Any]:
        """Submit commands at once, so that they share a transaction; refusals are among the outcomes."""
        return await asyncio.gather(*(self.lane.run(each) for each in commands), return_exceptions=True)

    async def refused(self, command: Any, kind: type[Refusal]) -> Refusal:
        """Expect a refusal that leaves no trace: no row and no seq."""
        before = await self.everything()
        with pytest.raises(kind) as caught:
            await self.lane.run(command)
        assert await self.everything() == before
        assert type(caught.value) is kind
        return caught.value

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self, question: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return await self.database.read(question, *given, **named)

    async def total(self, username: str, *, market: str = MARKET) -> int:
        total: int = await self.read(hours.total_allocated, market, username)
        return total

    async def find_bid(self, bid_id: int, *, market: str = MARKET) -> Bid:
        found: Bid = await self.read(hours.find_bid, market, bid_id)
        return found

    async def find_supply(self, supply_id: int, *, market: str = MARKET) -> Supply:
        found: Supply = await self.read(hours.find_supply, market, supply_id)
        return found

    async def find_market(self, market: str = MARKET) -> Market:
        found: Market = await self.read(hours.find_market, market)
        return found

    async def trades(self) -> list[tuple[int, int, int, int]]:
        """Return every allocation as (bid, supply, volume, price), in order."""
        found: list[Allocation] = await self.read(
            hours.list_allocations, MARKET, username=None, after=None, limit=1_000
        )
        return [(each.bid_id, each.supply_id, each.volume, each.price) for each in found]

    async def audit(self) -> list[str]:
        return list(await self.read(hours.audit))

    async def everything(self) -> Mapping[str, list[Any]]:
        """Return every row that the market has."""

        def select_all(tx: sa.Connection) -> dict[str, list[Any]]:
            own = (tables.markets, tables.bids, tables.supplies, tables.allocations, tables.allocated_totals)
            all_tables = (*own, log.events, log.commits)
            return {
                table.name: [tuple(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
                for table in all_tables
            }

        found: Mapping[str, list[Any]] = await self.read(select_all)
        return found

    async def tamper(self, *statements: str) -> None:
        """Change rows by raw SQL, past the lane."""
        self.is_tampered = True
        await raw.execute(self.database, *statements)
