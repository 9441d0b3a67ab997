"""Leases have their addresses from the address pool: one each, given back at the end."""

from __future__ import annotations

import pytest

from marketplace import addresses
from marketplace.foundation import errors
from tests.spot.jobs.town import Town


async def network(town: Town, name: str, cidr: str) -> None:
    await town.service.lanes[addresses.LANE].run(addresses.CreateNetwork(name, cidr))


async def given_out(town: Town, name: str) -> list[tuple[str, str, str | None]]:
    found = await town.service.database.read(addresses.list_assignments, name, after=None, limit=100)
    return [(each.vm_id, each.ip, each.owner) for each in found]


async def test_a_lease_has_an_address_while_it_runs_and_none_after_it(town: Town) -> None:
    await network(town, "cells", "10.1.0.0/24")
    await town.set_pool(network="cells")
    await town.node("n1")
    async with town.working():
        first = await town.bid("ann")
        await town.until(first, "running")
        (lease,) = await town.leases(first)
        assert await given_out(town, "cells") == [(f"lease-{lease.lease_id}", lease.address, "ann")]
        second = await town.bid("bob")
        await town.until(second, "running")
        (other,) = await town.leases(second)
        assert other.address not in (None, lease.address)
        await town.cancel(first)
        await town.cancel(second)
        await town.until(first, "cancelled")
        await town.until(second, "cancelled")

        async def are_back() -> bool:
            return await given_out(town, "cells") == []

        await town.wait_for(are_back, what="both addresses to be back")


async def test_an_address_is_given_back_although_the_pool_has_another_network_by_then(town: Town) -> None:
    await network(town, "cells", "10.1.0.0/24")
    await network(town, "others", "10.2.0.0/24")
    await town.set_pool(network="cells")
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann")
        await town.until(bid_id, "running")
        await town.set_pool(network="others")
        await town.cancel(bid_id)
        await town.until(bid_id, "cancelled")

        async def is_back() -> bool:
            return await given_out(town, "cells") == []

        await town.wait_for(is_back, what="the address to be back")


async def test_a_lease_waits_for_an_address_that_is_free(town: Town) -> None:
    await network(town, "cells", "10.1.0.0/30")  # two hosts, of which one is the gateway
    await town.set_pool(network="cells")
    await town.node("n1")
    async with town.working():
        first = await town.bid("ann")
        await town.until(first, "running")
        second = await town.bid("bob")

        async def was_put_off() -> bool:
            return any(lease.attempts for lease in await town.leases(second))

        await town.wait_for(was_put_off, what="a start to be put off")
        await town.cancel(first)
        await town.until(second, "running")


async def test_without_its_network_nothing_starts_and_nothing_is_billed(town: Town) -> None:
    with pytest.raises(errors.NotFound):
        await town.service.database.read(addresses.find_network, "nowhere")
    await town.set_pool(network="nowhere")
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann")
        row = await town.until(bid_id, "failed")
        assert row.charged_micros == 0
        assert "nowhere" in row.reason
