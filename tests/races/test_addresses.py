"""Many ask for addresses at once, over all server processes: nobody gets two, no two get one, and none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import sqlalchemy as sa

from marketplace import addresses
from marketplace.database import open_database
from tests.races.town import Town

FREE = 253
"""Addresses of a /24 with a gateway."""


class Callers:
    """HTTP clients of all servers; requests go to them in turns, so that neighbours reach different processes."""

    def __init__(self, clients: Iterator[httpx.AsyncClient]) -> None:
        self._clients = clients

    async def allocate(self, vm_id: str) -> httpx.Response:
        return await next(self._clients).post("/api/v1/ip/allocate", json={"vm_id": vm_id})

    async def release(self, vm_id: str) -> httpx.Response:
        return await next(self._clients).delete(f"/api/v1/ip/release/{vm_id}")

    async def release_address(self, ip: str) -> httpx.Response:
        return await next(self._clients).delete(f"/api/v1/ip/release-by-ip/{ip}")


@contextlib.asynccontextmanager
async def callers(town: Town) -> AsyncIterator[Callers]:
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60, trust_env=False))
            for url in town.urls
        ]
        yield Callers(itertools.cycle(clients))


async def books(town: Town) -> tuple[addresses.Stats, list[str]]:
    """Return the stats of the default network, and what its audit finds."""

    def read(tx: sa.Connection) -> tuple[addresses.Stats, list[str]]:
        return addresses.network_stats(tx, "default"), addresses.audit(tx)

    database = open_database(town.database_url)
    try:
        return await database.report(read)
    finally:
        await database.close()


async def test_of_300_who_ask_at_once_253_get_an_address_and_the_others_are_told_why(town: Town) -> None:
    async with callers(town) as asking:
        answers = await asyncio.gather(*(asking.allocate(f"vm{n}") for n in range(300)))
        assert Counter(answer.status_code for answer in answers) == {201: FREE, 503: 300 - FREE}
        assert {answer.json()["ip"] for answer in answers if answer.status_code == 201} == {
            f"172.16.0.{n}" for n in range(2, 255)
        }
        for answer in answers:
            assert answer.status_code == 201 or answer.json()["code"] == "addresses.network_exhausted"
            assert "retry-after" not in answer.headers
        (winner, *_) = (answer.json() for answer in answers if answer.status_code == 201)
        again = await asking.allocate(winner["vm_id"])
        assert (again.status_code, again.json()) == (201, winner)
        await asking.release(winner["vm_id"])
        assert (await asking.allocate("late")).json()["ip"] == winner["ip"]
    stats, faults = await books(town)
    assert ((stats.allocated, stats.available), faults) == ((FREE, 0), [])
    assert town.aborts_per_commit() == 0


async def test_a_hundred_requests_of_one_vm_get_one_address(town: Town) -> None:
    async with callers(town) as asking:
        answers = await asyncio.gather(*(asking.allocate("vm1") for _ in range(100)))
    assert {(answer.status_code, answer.json()["ip"]) for answer in answers} == {(201, "172.16.0.2")}
    assert Counter(answer.headers.get("idempotent-replayed") for answer in answers) == {None: 1, "true": 99}
    stats, faults = await books(town)
    assert ((stats.allocated, stats.available), faults) == ((1, FREE - 1), [])


async def test_of_a_release_by_vm_and_one_by_address_one_finds_it(town: Town) -> None:
    async with callers(town) as asking:
        for _ in range(20):
            ip = (await asking.allocate("vm1")).json()["ip"]
            answers = await asyncio.gather(asking.release("vm1"), asking.release_address(ip))
            assert sorted(answer.status_code for answer in answers) == [200, 404]
    stats, faults = await books(town)
    assert (stats.available, faults) == (FREE, [])
