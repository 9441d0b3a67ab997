"""Addresses of leases: taken before a start, given back at the end, each in a transaction of the other lane.

The VM that has a lease's address is called by the lease, so that both may be asked for again and again.
"""

from __future__ import annotations

from marketplace import addresses
from marketplace.database import Database, Lane
from marketplace.foundation import errors
from marketplace.spot.duties import Duty

MOST_NETWORKS = 1_000


def vm_of(lease_id: int) -> str:
    """Return the name under which a lease has its address."""
    return f"lease-{lease_id}"


async def take(lane: Lane, duty: Duty) -> str | None:
    """Return the lease's address, the same however often it is asked for; None where its pool has no network.

    Raises what the pool of addresses refuses: Exhausted, or that there is no such network.
    """
    if duty.network is None:
        return None
    command = addresses.Allocate(duty.network, vm_of(duty.lease_id), owner=duty.username)
    given: addresses.Assigned = await lane.run(command)
    return given.assignment.ip


async def give_back(lane: Lane, database: Database, duty: Duty) -> None:
    """Give a lease's address back, wherever it has one: its pool may have had another network when it was taken."""
    if duty.network is not None and await _release(lane, duty.network, duty.lease_id):
        return
    if duty.address is not None:
        listed = await database.read_one(addresses.list_networks, after=None, limit=MOST_NETWORKS)
        for other in listed:
            if other.network != duty.network and await _release(lane, other.network, duty.lease_id):
                return


async def _release(lane: Lane, network: str, lease_id: int) -> bool:
    """Return whether the lease had an address there."""
    try:
        await lane.run(addresses.Release(network, vm_of(lease_id)))
    except errors.NotFound:
        return False
    return True
