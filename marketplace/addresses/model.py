"""The words of the address pool.

An `offset` is an address minus the first address of its network: a Python int of any size, so that an IPv6 network is
nothing special. Addresses as text (`ip`, `gateway`, `cidr`) are canonical. Instants are microseconds since the epoch.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind

Allocation = Literal["lowest", "random"]

FIRST_HOST = "first"
"""As a gateway: the first host of the network, where it has one to spare (not /31, /32, /127, /128)."""

MAX_BATCH = 1_000
"""VMs that one AllocateMany, ReleaseMany or ReleaseOrphans may name."""
MAX_LIVE = 100_000
"""VMs that one reconciliation may name."""
MAX_RESERVED = 1_000
"""Ranges that one network may reserve."""

# ── things ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Network(msgspec.Struct):
    """A network with its counts, of which total == assigned + reserved + resting + free + never used, always.

    `total` are its hosts: all addresses but the IPv4 network and broadcast address (the IPv6 subnet-router anycast).
    `reserved` are those of them that are never given out: the gateway and the reserved ranges.
    """

    network: str
    seq: int
    cidr: str
    gateway: str | None
    allocation: Allocation
    reuse_delay_seconds: int
    version: int
    base: int
    last: int
    total: int
    reserved: int
    assigned: int
    free: int
    resting: int
    created_at: Instant

    @property
    def size(self) -> int:
        return self.last - self.base + 1

    @property
    def never_used(self) -> int:
        return self.total - self.reserved - self.assigned - self.free - self.resting


class Assignment(msgspec.Struct, frozen=True):
    """An address that somebody has. `seq` is the command that gave it out."""

    network: str
    offset: int
    ip: str
    vm_id: str
    hostname: str | None
    owner: str | None
    seq: int
    assigned_at: Instant


class Assigned(msgspec.Struct, frozen=True):
    """An assignment and its network; `created` where this very command gave it out, and not an earlier one."""

    assignment: Assignment
    network: Network
    created: bool = False


class Stats(msgspec.Struct, frozen=True):
    """total == allocated + reserved + resting + available, exact at any size."""

    network: str
    cidr: str
    gateway: str | None
    total: int
    allocated: int
    reserved: int
    resting: int
    available: int


# ── commands of the lane ─────────────────────────────────────────────────────────────────────────────────────────────


class CreateNetwork(msgspec.Struct, frozen=True):
    """Make a network. Outcome: Network.

    `cidr` in any spelling without host bits (a three-octet prefix means /24); `gateway` an address, None for none, or
    FIRST_HOST; `reserved` addresses, ranges as `10.0.0.5-10.0.0.9`, or CIDRs, all inside the network.
    """

    network: str
    cidr: str
    gateway: str | None = FIRST_HOST
    reserved: tuple[str, ...] = ()
    allocation: Allocation = "lowest"
    reuse_delay_seconds: int = 0


class EnsureNetwork(msgspec.Struct, frozen=True):
    """See to it that a network exists when a server starts. Outcome: the Network that is this process's default.

    A stored network of this CIDR is left as it is; a `gateway` that is said and is another than the stored one is
    refused. A new one is called `default` if it is the first, else by its CIDR. With `only_if_none` nothing is made
    where there is any network, and the first created is the outcome.
    """

    cidr: str
    gateway: str | None = FIRST_HOST
    only_if_none: bool = False


class DeleteNetwork(msgspec.Struct, frozen=True):
    """Forget a network to which nothing is assigned; its history stays. Outcome: Network, as it was."""

    network: str


class Allocate(msgspec.Struct, frozen=True):
    """Give a VM an address, or tell which one it has. Outcome: Assigned.

    A `hostname` replaces a stored one, None leaves it; `ip` asks for that address, in any spelling; `owner` is the
    caller.
    """

    network: str
    vm_id: str
    hostname: str | None = None
    ip: str | None = None
    owner: str | None = None


class AllocateMany(msgspec.Struct, frozen=True):
    """All or none. Outcome: a tuple of Assigned; refused as the first one at fault is, with its `index`."""

    requests: tuple[Allocate, ...]

    @property
    def weight(self) -> int:
        return len(self.requests)

    @property
    def alone(self) -> bool:
        """It is undone by rolling back, so it shares its transaction with nobody."""
        return True


class Release(msgspec.Struct, frozen=True):
    """Take a VM's address back. Outcome: Assigned, as it was."""

    network: str
    vm_id: str


class ReleaseAddress(msgspec.Struct, frozen=True):
    """Take an address back from whoever has it; `ip` in any spelling. Outcome: Assigned, as it was."""

    network: str
    ip: str


class ReleaseMany(msgspec.Struct, frozen=True):
    """All or none. Outcome: a tuple of Assigned; refused as the first one at fault is, with its `index`."""

    network: str
    vm_ids: tuple[str, ...]

    @property
    def weight(self) -> int:
        return len(self.vm_ids)

    @property
    def alone(self) -> bool:
        return True


class ReleaseOrphans(msgspec.Struct, frozen=True):
    """Take back the addresses of those (vm_id, seq) that are still assigned so. Outcome: a tuple of Assigned.

    The seq tells an orphan that was seen from a VM of the same name that came since: that one is left alone.
    """

    network: str
    orphans: tuple[tuple[str, int], ...]

    @property
    def weight(self) -> int:
        return len(self.orphans)


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class AddressAssigned(msgspec.Struct, frozen=True, tag="address_assigned"):
    network: str
    ip: str
    vm_id: str
    hostname: str | None
    owner: str | None


class AddressReleased(msgspec.Struct, frozen=True, tag="address_released"):
    network: str
    ip: str
    vm_id: str


class HostnameChanged(msgspec.Struct, frozen=True, tag="hostname_changed"):
    network: str
    ip: str
    vm_id: str
    hostname: str


class NetworkCreated(msgspec.Struct, frozen=True, tag="network_created"):
    """`reserved` as pairs of first and last address."""

    network: str
    cidr: str
    gateway: str | None
    reserved: tuple[tuple[str, str], ...]
    allocation: Allocation
    reuse_delay_seconds: int


class NetworkDeleted(msgspec.Struct, frozen=True, tag="network_deleted"):
    network: str


Event = AddressAssigned | AddressReleased | HostnameChanged | NetworkCreated | NetworkDeleted
"""What an entry of the log says. What happened, and not the command: a random address cannot be drawn again."""

TOPIC = "addresses"

KINDS = (
    Kind(TOPIC, AddressAssigned, "an address given out"),
    Kind(TOPIC, AddressReleased, "an address given back"),
    Kind(TOPIC, HostnameChanged, "a VM that has an address gave another hostname"),
    Kind(TOPIC, NetworkCreated, "addresses to give out", is_public=True),
    Kind(TOPIC, NetworkDeleted, "a network that is no longer given out", is_public=True),
)
