"""A spot market that really runs, on the wall clock: lanes, jobs, and nodes that are simulated in a file."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from marketplace import addresses, ledger, spot, worker
from marketplace.database import Lane, money
from marketplace.foundation.settings import Settings
from marketplace.http.resources import Resources
from marketplace.spot import duties, tables
from marketplace.spot.commands import (
    DEFAULT_POOL,
    AddNode,
    CancelBid,
    Container,
    NodeRow,
    PlaceBid,
    Placed,
    SetPool,
    Wish,
)
from marketplace.spot.compute import Backend, Spec, simulated
from marketplace.spot.connections import name_of

CREDIT = 1_000_000
UNIT = (1_000, 2_048)
"""What a unit of the default pool is."""
PATIENCE_SECONDS = 30.0
OPEN = ("submitted", "matched", "starting", "running", "evicting")


class Town:
    """One process of the market. `folder` has the world of its simulated nodes, which other processes may share."""

    def __init__(self, database_url: str, folder: Path, **settings: Any) -> None:
        given = {"max_waiting_seconds": 60, "spot_logs_kept_seconds": 600.0} | settings
        self.world = str(folder / "world.db")
        self.service: Resources = worker.resources(Settings(database_url=database_url, **given))

    @property
    def money(self) -> Lane:
        return self.service.lanes[money.LANE]

    async def open(self) -> None:
        for lane in self.service.lanes.values():
            await lane.start()

    async def close(self) -> None:
        for lane in self.service.lanes.values():
            await lane.drain()
        await self.service.database.close()

    @contextlib.asynccontextmanager
    async def working(self, *names: str) -> AsyncIterator[None]:
        """Run the spot market's jobs while the body does, those named or all."""
        stop = asyncio.Event()
        wanted = [
            (lane, job)
            for lane, job in worker.jobs(self.service)
            if job.name in names or (not names and job.name.startswith("spot."))
        ]
        assert len(wanted) == len(names) or not names
        tasks = [
            asyncio.create_task(worker._repeat(job, self.service.database, self.service.lanes[lane], stop))
            for lane, job in wanted
        ]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def do(self, command: Any) -> Any:
        return await self.money.run(command)

    async def set_pool(self, **changes: Any) -> None:
        await self.do(SetPool(pool=DEFAULT_POOL, **changes))

    async def node(
        self,
        name: str,
        *,
        units: int = 4,
        shape: tuple[int, int] = UNIT,
        backend: str = "simulated",
        **settings: Any,
    ) -> NodeRow:
        """Add a node; the containers of a simulated one do as their commands say."""
        if backend == "simulated":
            settings = {"file": self.world, "fails_percent": 0, "hangs_percent": 0, "exits_percent": 0} | settings
        cpu, memory = shape
        added: NodeRow = await self.do(
            AddNode(
                pool=DEFAULT_POOL,
                node=name,
                provider="op",
                backend=backend,
                cpu_millis=units * cpu,
                memory_mib=units * memory,
                settings=settings,
                owner=secrets.token_hex(8),
            )
        )
        return added

    async def bid(self, username: str = "ann", *fate: str, price: int = 1, units: int = 1, **wish: Any) -> int:
        """Offer so many credits an hour for each unit of a container with this fate; return the bid's id."""
        cpu, memory = UNIT
        container = Container(
            image="any/thing:1", cpu_millis=units * cpu, memory_mib=units * memory, command=("simulate", *fate)
        )
        placed: Placed = await self.do(
            PlaceBid(DEFAULT_POOL, username, container, Wish(max_price_micros=price * units * CREDIT, **wish))
        )
        return placed.bid_id

    async def cancel(self, bid_id: int) -> None:
        await self.do(CancelBid(bid_id))

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def rows(self, query: sa.Select[Any]) -> list[Any]:
        def select(tx: sa.Connection) -> list[Any]:
            return list(tx.execute(query))

        return await self.service.database.read(select)

    async def head(self) -> int:
        return await self.service.database.read_one(duties.read_head)

    async def bid_row(self, bid_id: int) -> Any:
        (row,) = await self.rows(sa.select(tables.spot_bids).where(tables.spot_bids.c.bid_id == bid_id))
        return row

    async def leases(self, bid_id: int | None = None) -> list[Any]:
        query = sa.select(tables.leases).order_by(tables.leases.c.lease_id)
        return await self.rows(query if bid_id is None else query.where(tables.leases.c.bid_id == bid_id))

    async def until(self, bid_id: int, *states: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Return the bid's row once it is in one of these states."""

        async def look() -> Any:
            row = await self.bid_row(bid_id)
            return row if row.state in states else None

        return await self.wait_for(look, seconds=seconds, what=f"bid {bid_id} to be {' or '.join(states)}")

    async def until_clean(self, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until nothing is left to do for leases that have ended."""

        async def look() -> bool:
            return all(row.is_clean for row in await self.leases() if row.state == "ended")

        await self.wait_for(look, seconds=seconds, what="all that has ended to be cleaned up")

    async def wait_for(self, look: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS, what: str) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := await look()):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds:g} s for {what}:\n{await self.story()}")
            await asyncio.sleep(0.02)
        return found

    async def story(self) -> str:
        """Return all bids, leases and nodes, for whoever reads of a failure."""
        lines = []
        for table in (tables.nodes, tables.spot_bids, tables.leases):
            lines += [f"{table.name}: {dict(row._mapping)}" for row in await self.rows(sa.select(table))]
        return "\n".join(lines)

    async def world_of(self, node: str) -> Backend:
        """Return the simulated node itself, as somebody beside the market sees it."""
        (row,) = await self.rows(sa.select(tables.nodes).where(tables.nodes.c.node == node))
        return await simulated.connect(row.owner, {"file": self.world})

    async def running_on(self, node: str) -> list[str]:
        """Return the backend's names of the leases whose containers run or will."""
        world = await self.world_of(node)
        try:
            return [seen.lease_id for seen in await world.containers() if seen.state in ("starting", "running")]
        finally:
            await world.close()

    async def start_stranger(self, node: str, lease_id: int) -> None:
        """Run a container on the node that no lease has."""
        world = await self.world_of(node)
        spec = Spec(lease_id=name_of(lease_id), image="any", cpu_millis=100, memory_mib=16, command=("simulate",))
        await world.start(spec)
        await world.close()

    async def lose(self, node: str, lease_id: int) -> None:
        """Make a container vanish, as when somebody removes it by hand."""
        world = await self.world_of(node)
        await world.remove(name_of(lease_id))
        await world.close()

    async def check(self) -> None:
        """Prove the books: the ledger's, the market's, and that nobody who is over still holds money."""
        database = self.service.database
        assert list(await database.read(ledger.audit)) == []
        assert list(await database.read(spot.audit)) == []
        assert list(await database.read(addresses.audit)) == []
