"""The endpoints of the address pool, as functions that return a request as a value, for both clients.

`network` is a network's name; left out, it is the server's default one. What gives out or takes back takes an
`idempotency_key`; one is drawn where none is given, so that a try after a lost answer never takes back an address that
has become somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from msgspec import UNSET, UnsetType

from marketplace.client.requests import PAGE_SIZE, Call, Listing, create, delete, query_of
from marketplace.wire import addresses

IP = "/api/v1/ip"
NETWORKS = "/api/v1/networks"
ROWS = 10_000


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def allocate_ip(
    vm_id: str,
    *,
    hostname: str | None = None,
    network: str | None = None,
    ip: str | None = None,
    owner: str | None = None,
    idempotency_key: str | None = None,
) -> Call[addresses.Assignment]:
    """Give a VM an address, or `ip` itself; one that has an address gets the same again.

    Unavailable, not to be tried again, where the network is exhausted; Conflict where `ip` is taken.
    """
    body = addresses.Allocate(vm_id, hostname, network, ip, owner)
    return create(f"{IP}/allocate", body, addresses.Assignment, key=idempotency_key)


def allocate_ips(
    requests: Sequence[addresses.AllocateEach], *, idempotency_key: str | None = None
) -> Call[addresses.Allocated]:
    """Give up to 1 000 VMs an address each, all or none."""
    body = addresses.AllocateMany(list(requests))
    return create(f"{IP}/allocate:batch", body, addresses.Allocated, key=idempotency_key)


def release_ip(
    vm_id: str, *, network: str | None = None, idempotency_key: str | None = None
) -> Call[addresses.Assignment]:
    """Take back the address of a VM. NotFound where it has none."""
    path = f"{IP}/release/{quote(vm_id, safe='')}"
    return delete(path, addresses.Assignment, key=idempotency_key, network=network)


def release_address(
    ip: str, *, network: str | None = None, idempotency_key: str | None = None
) -> Call[addresses.Assignment]:
    """Take back an address from whoever has it. NotFound where nobody does."""
    path = f"{IP}/release-by-ip/{quote(ip, safe='')}"
    return delete(path, addresses.Assignment, key=idempotency_key, network=network)


def release_ips(
    vm_ids: Iterable[str], *, network: str | None = None, idempotency_key: str | None = None
) -> Call[addresses.Released]:
    """Take back the addresses of up to 1 000 VMs, all or none."""
    body = addresses.ReleaseMany(list(vm_ids), network)
    return create(f"{IP}/release:batch", body, addresses.Released, key=idempotency_key)


def assigned_ip(vm_id: str, *, network: str | None = None) -> Call[addresses.Assignment]:
    """Read which address a VM has. NotFound where it has none."""
    return Call("GET", f"{IP}/{quote(vm_id, safe='')}", addresses.Assignment, query_of(network=network))


def assigned_ips(*, network: str | None = None, page_size: int = ROWS) -> Listing[addresses.Assignment]:
    """List who has which address, by address."""
    query = query_of(network=network, limit=page_size)
    return Listing(Call("GET", f"{IP}/allocations", addresses.Assignment, query, is_linked=True))


def ip_stats(*, network: str | None = None) -> Call[addresses.Stats]:
    """Count a network's addresses: total = allocated + reserved + resting + available."""
    return Call("GET", f"{IP}/stats", addresses.Stats, query_of(network=network))


def reconcile_ips(
    vm_ids: Iterable[str],
    *,
    grace_seconds: int = 3600,
    apply: bool = False,
    network: str | None = None,
    idempotency_key: str | None = None,
) -> Call[addresses.Reconciled]:
    """Find the addresses of VMs that are not among these live ones, and release them with `apply`.

    1 000 at a time: while the answer says `more`, call again.
    """
    body = addresses.Reconcile(list(vm_ids), grace_seconds, apply, network)
    return create(f"{IP}/reconcile", body, addresses.Reconciled, key=idempotency_key)


# ── networks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def networks(*, page_size: int = PAGE_SIZE) -> Listing[addresses.Network]:
    """List the networks by name."""
    return Listing(Call("GET", NETWORKS, addresses.Networks, query_of(limit=page_size)))


def network(name: str) -> Call[addresses.Network]:
    """Read one network."""
    return Call("GET", _network(name), addresses.Network)


def reserved_ranges(name: str) -> Call[addresses.ReservedRanges]:
    """Read which ranges of a network its owner reserved."""
    return Call("GET", f"{_network(name)}/reserved", addresses.ReservedRanges)


def create_network(
    name: str,
    cidr: str,
    *,
    gateway: str | UnsetType | None = UNSET,
    reserved: Sequence[str] = (),
    allocation: addresses.Allocation = "lowest",
    reuse_delay_seconds: int = 0,
    idempotency_key: str | None = None,
) -> Call[addresses.Network]:
    """Create a network. Its gateway is the first host where none is given, and None for none.

    `reserved` are addresses, ranges such as `10.0.0.5-10.0.0.9`, or CIDRs inside it.
    """
    body = addresses.NewNetwork(name, cidr, gateway, list(reserved), allocation, reuse_delay_seconds)
    return create(NETWORKS, body, addresses.Network, key=idempotency_key)


def delete_network(name: str, *, idempotency_key: str | None = None) -> Call[addresses.Network]:
    """Delete a network to which nothing is assigned. Conflict where something is."""
    return delete(_network(name), addresses.Network, key=idempotency_key)


def _network(name: str) -> str:
    return f"{NETWORKS}/{quote(name, safe='')}"
