"""Two servers are killed in a storm of allocations and releases: no address has two owners, and none is lost.

Each VM has one client that remembers what it was told last; an answer that was never heard leaves it not knowing.
"""

from __future__ import annotations

import asyncio
import itertools
import random

import httpx
import pytest
import sqlalchemy as sa

from marketplace import addresses
from marketplace.database import open_database
from tests.conftest import StartServer
from tests.services.server import Server

CLIENTS = 16
VMS = 8
"""VMs of each client."""
UNKNOWN = "?"


class Storm:
    """Clients that allocate and release until they are told to stop; 60 addresses for 128 VMs."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers
        self.has: dict[str, str | None] = {}
        """What each VM has for all that its client knows: an address, None, or UNKNOWN."""
        self.answers = 0
        self.strange: list[str] = []
        self._is_over = False

    async def run(self, kills: int) -> None:
        clients = [asyncio.create_task(self._client(number)) for number in range(CLIENTS)]
        for server in itertools.islice(itertools.cycle(self.servers), kills):
            await self._until(self.answers + 300)
            server.kill()
            await asyncio.to_thread(server.restart)
        await self._until(self.answers + 300)
        self._is_over = True
        await asyncio.gather(*clients)

    async def _until(self, answers: int) -> None:
        async with asyncio.timeout(240):
            while self.answers < answers:  # noqa: ASYNC110 (the clients do it)
                await asyncio.sleep(0.005)

    async def _client(self, number: int) -> None:
        dice = random.Random(number)
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            while not self._is_over:
                vm_id = f"vm-{number}-{dice.randrange(VMS)}"
                server = dice.choice(self.servers)
                before = self.has.get(vm_id)
                self.has[vm_id] = UNKNOWN
                try:
                    self.has[vm_id] = await self._ask(client, server.url, vm_id, before, dice)
                except httpx.HTTPError:
                    await asyncio.sleep(0.02)  # it is dead right now; whether it heard us nobody knows

    async def _ask(
        self, client: httpx.AsyncClient, url: str, vm_id: str, before: str | None, dice: random.Random
    ) -> str | None:
        """Allocate or release; return what the VM has then."""
        if before is not None and dice.random() < 0.5:
            answer = await client.delete(f"{url}/api/v1/ip/release/{vm_id}")
        else:
            answer = await client.post(f"{url}/api/v1/ip/allocate", json={"vm_id": vm_id})
        self.answers += 1
        told = answer.json()
        match answer.status_code:
            case 201 if before in (None, UNKNOWN, told["ip"]):
                return str(told["ip"])
            case 200 if before in (UNKNOWN, told["ip"]):
                return None
            case 404 if before == UNKNOWN:
                return None
            case 503 if "retry-after" in answer.headers:
                return before
            case 503 if before in (None, UNKNOWN):
                return None
        self.strange.append(f"{vm_id} had {before}, was told {answer.status_code} {told}")
        return UNKNOWN


@pytest.mark.slow
async def test_servers_that_are_killed_lose_no_address_and_give_none_twice(
    engine: str, database_url: str, start_server: StartServer, *, is_soak: bool
) -> None:
    flags = ("--network", "10.0.0.0/26", "--no-access-log")
    storm = Storm([start_server(database_url, *flags) for _ in range(2 if engine == "postgres" else 1)])
    await storm.run(kills=30 if is_soak else 4)
    assert storm.strange == []
    held, stats, faults = await read(database_url)
    assert faults == []
    assert stats.allocated + stats.available == 61
    known = {vm_id: ip for vm_id, ip in storm.has.items() if ip != UNKNOWN}
    assert {vm_id: held.get(vm_id) for vm_id in known} == known
    assert len(known) > CLIENTS, "nearly nothing is known, so nearly nothing was proved"


async def read(database_url: str) -> tuple[dict[str, str], addresses.Stats, list[str]]:
    def read_all(tx: sa.Connection) -> tuple[dict[str, str], addresses.Stats, list[str]]:
        rows = addresses.list_assignments(tx, "default", after=None, limit=1000)
        return {row.vm_id: row.ip for row in rows}, addresses.network_stats(tx, "default"), addresses.audit(tx)

    database = open_database(database_url)
    try:
        return await database.report(read_all)
    finally:
        await database.close()
