"""The spot market without HTTP and without containers: commands go to the lane, and what becomes of them is told."""

from __future__ import annotations

import itertools
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace import ledger, spot
from marketplace.database import Database, Lane, log, money
from marketplace.ledger import tables as of_ledger
from marketplace.spot import deciding, tables
from marketplace.spot.records import BidRecord, LeaseRecord
from tests.services import lane_desk
from tests.services.clock import SettableClock
from tests.services.lane_desk import LaneDesk

CREDIT = 1_000_000
UNIT = (1_000, 2_048)
"""Millis of vCPU and MiB of a unit of the pool `default`."""


def opened(
    database: Database, clock: SettableClock, *, balances: bool = True, starting: int = 1_000 * CREDIT
) -> AbstractAsyncContextManager[Desk]:
    """Open a desk; wallets open with 1 000 credits. Afterwards the books must balance, where nothing else is said."""
    handlers = {**ledger.handlers(starting_credits=starting), **spot.handlers(starting_credits=starting)}
    return lane_desk.opened(Desk, database, clock, name=money.LANE, handlers=handlers, balances=balances)


class Desk(LaneDesk):
    """Where a test bids. Prices are credits an hour for a container of one unit, where nothing else is said."""

    OWN = (
        *(tables.pools, tables.nodes, tables.spot_bids, tables.leases, tables.spot_prices, tables.lease_lines),
        *(of_ledger.accounts, of_ledger.transfers, of_ledger.open_holds),
    )

    def __init__(self, lane: Lane, database: Database, clock: SettableClock) -> None:
        super().__init__(lane, database, clock)
        self.projection = spot.Projection(spot.DEFAULT_POOL, clock=clock)
        self._owners = itertools.count(1)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_node(self, node: str, units: int = 1, **more: Any) -> spot.NodeRow:
        given: dict[str, Any] = {
            "pool": spot.DEFAULT_POOL,
            "provider": "pat",
            "backend": "simulated",
            "cpu_millis": units * UNIT[0],
            "memory_mib": units * UNIT[1],
            "owner": f"owner{next(self._owners)}",
        }
        row: spot.NodeRow = await self.run(spot.AddNode(node=node, **(given | more)))
        return row

    def bid(self, username: str, price: float, *, units: float = 1, pool: str = spot.DEFAULT_POOL, **wish: Any) -> Any:
        cpu, memory = round(units * UNIT[0]), round(units * UNIT[1])
        container = spot.Container(image="app:1", cpu_millis=cpu, memory_mib=memory)
        return spot.PlaceBid(pool, username, container, spot.Wish(max_price_micros=round(price * CREDIT), **wish))

    async def place(self, username: str, price: float, **more: Any) -> int:
        placed: spot.Placed = await self.run(self.bid(username, price, **more))
        return placed.bid_id

    # ── what matcher and nodes do ────────────────────────────────────────────────────────────────────────────────────

    async def match(self) -> None:
        """Let the matcher decide all that is to be decided now."""
        while not (await deciding.step(self.projection, self.database, self.lane)).is_done:
            pass

    async def start(self, *bid_ids: int) -> None:
        """Let the containers of these bids run from now on."""
        for bid_id in bid_ids:
            lease = await self.lease_of(bid_id)
            reference, address = f"box{lease.lease_id}", "10.0.0.7"
            assert await self.run(spot.RecordStarted(lease.lease_id, reference, self.clock(), address))

    async def end(self, bid_id: int, exit_code: int | None = 0, **more: Any) -> bool:
        """Let the container of a bid end now."""
        lease = await self.lease_of(bid_id)
        is_new: bool = await self.run(spot.RecordEnded(lease.lease_id, self.clock(), exit_code, **more))
        return is_new

    async def running(self, username: str, price: float, **more: Any) -> int:
        """Place a bid that gets a place at once, and let it run past its minimum runtime."""
        bid_id = await self.place(username, price, **more)
        await self.match()
        await self.start(bid_id)
        self.clock.advance(60)
        return bid_id

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def bid_of(self, bid_id: int) -> BidRecord:
        from marketplace.spot import sql

        (found,) = await self.read(sql.read_bids, [bid_id])
        assert isinstance(found, BidRecord)
        return found

    async def lease_of(self, bid_id: int) -> LeaseRecord:
        """Return the newest lease of a bid."""
        from marketplace.spot import sql

        def newest(tx: sa.Connection) -> int:
            query = sa.select(sa.func.max(tables.leases.c.lease_id)).where(tables.leases.c.bid_id == bid_id)
            return tx.scalar(query) or 0

        (found,) = await self.read(sql.read_leases, [await self.read(newest)])
        assert isinstance(found, LeaseRecord)
        return found

    async def state(self, bid_id: int) -> str:
        return (await self.bid_of(bid_id)).state

    async def has(self, username: str) -> tuple[int, int]:
        """Return what a wallet has, and what of it is available, in micro-credits."""
        found = await self.read(ledger.balance, ledger.wallet(username))
        return (found.balance, found.available) if found else (1_000 * CREDIT, 1_000 * CREDIT)

    async def log(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the kinds and data of the market's entries."""

        def select(tx: sa.Connection) -> list[Any]:
            query = sa.select(log.events).where(log.events.c.topic == spot.TOPIC).order_by(log.events.c.seq)
            return [(row.kind, msgspec.json.decode(row.data)) for row in tx.execute(query)]

        found: list[tuple[str, dict[str, Any]]] = await self.read(select)
        return found

    async def kinds(self) -> list[str]:
        return [kind for kind, _ in await self.log()]

    async def audit(self) -> list[str]:
        return [*await self.read(ledger.audit), *await self.read(spot.audit)]
