"""The address pool without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from marketplace import addresses
from marketplace.addresses import Allocate, CreateNetwork, Release, ReleaseAddress, Stats, tables
from marketplace.database.engine import sqlite_file
from tests.services.lane_desk import LaneDesk

NETWORK = "default"


class Desk(LaneDesk):
    """Where a test asks for addresses. Whoever changes rows behind the pool's back sets `is_tampered`."""

    OWN = (tables.networks, tables.reserved_ranges, tables.segments, tables.addresses, tables.past_assignments)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

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
