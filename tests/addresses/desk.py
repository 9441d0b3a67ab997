"""The address pool without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace import addresses
from marketplace.addresses import Allocate, CreateNetwork, Release, ReleaseAddress, Stats, tables
from marketplace.database import Database, Lane, log
from marketplace.database.engine import sqlite_file
from marketplace.foundation.errors import Refusal
from tests.services import raw
from tests.services.clock import SettableClock

NETWORK = "default"


class Desk:
    """Where a test asks for addresses. Whoever changes rows behind the pool's back sets `is_tampered`."""

    def __init__(self, lane: Lane, database: Database, clock: SettableClock) -> None:
        self.lane = lane
        self.database = database
        self.clock = clock
        self.is_tampered = False

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, command: Any) -> Any:
        return await self.lane.run(command)

    async def network(self, cidr: str = "172.16.0.0/24", *, network: str = NETWORK, **more: Any) -> addresses.Network:
        made: addresses.Network = await self.lane.run(CreateNetwork(network, cidr, **more))
        return made

    async def allocate(self, *vm_ids: str, network: str = NETWORK, **more: Any) -> list[str]:
        """Give VMs an address each, one after the other; return the addresses."""
        return [(await self.run(Allocate(network, vm_id, **more))).assignment.ip for vm_id in vm_ids]

    async def release(self, *vm_ids: str, network: str = NETWORK) -> list[str]:
        return [(await self.run(Release(network, vm_id))).assignment.ip for vm_id in vm_ids]

    async def release_address(self, ip: str, *, network: str = NETWORK) -> str:
        """Take an address back; return who had it."""
        ended: addresses.Assigned = await self.run(ReleaseAddress(network, ip))
        return ended.assignment.vm_id

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

    async def look(self, question: Callable[..., Any], *given: Any) -> Any:
        """Do as `read`; on SQLite without the thread that it is usually read in, for who reads thousands of times."""
        if self.database.is_postgres:
            return await self.read(question, *given)
        engine = sa.create_engine(f"sqlite:///{sqlite_file(self.database.url)}", poolclass=sa.NullPool)
        with engine.connect() as tx:
            return question(tx, *given)

    async def stats(self, network: str = NETWORK) -> Stats:
        found: Stats = await self.read(addresses.network_stats, network)
        return found

    async def holders(self, network: str = NETWORK) -> dict[str, str]:
        """Return who has what: vm_id by ip, in the order of the addresses."""
        found = await self.read(addresses.list_assignments, network, after=None, limit=100_000)
        return {each.ip: each.vm_id for each in found}

    async def audit(self) -> list[str]:
        return list(await self.read(addresses.audit))

    async def everything(self) -> Mapping[str, list[Any]]:
        """Return every row that the pool has."""

        def select_all(tx: sa.Connection) -> dict[str, list[Any]]:
            own = (tables.networks, tables.reserved_ranges, tables.segments, tables.addresses, tables.past_assignments)
            return {
                table.name: [tuple(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
                for table in (*own, log.events, log.commits)
            }

        found: Mapping[str, list[Any]] = await self.read(select_all)
        return found

    async def tamper(self, *statements: str) -> None:
        """Change rows by raw SQL, past the lane."""
        self.is_tampered = True
        await raw.execute(self.database, *statements)
