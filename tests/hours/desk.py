"""The hours market without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

from typing import Any

from marketplace import hours
from marketplace.hours import Allocation, Bid, Market, Supply, tables
from tests.hours.orders import MARKET
from tests.services.lane_desk import LaneDesk


class Desk(LaneDesk):
    """Where a test trades. Whoever changes rows behind the market's back sets `is_tampered`."""

    OWN = (tables.markets, tables.bids, tables.supplies, tables.allocations, tables.allocated_totals)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

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
