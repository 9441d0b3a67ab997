"""What can be asked of the address pool: functions of a read-only `tx`, run by `database.read` or `read_one`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from marketplace.addresses.model import Assigned, Assignment, Network, Stats
from marketplace.foundation.clock import Instant


def default_network(tx: sa.Connection) -> Network | None:
    """Return the network that was created first, None where there is none."""
    raise NotImplementedError


def find_network(tx: sa.Connection, network: str) -> Network:
    """Return a network. Raises UnknownNetwork."""
    raise NotImplementedError


def list_networks(tx: sa.Connection, *, after: str | None, limit: int) -> list[Network]:
    """Return networks by name."""
    raise NotImplementedError


def list_reserved(tx: sa.Connection, network: str) -> list[tuple[str, str]]:
    """Return a network's reserved ranges as first and last address, in order. Raises UnknownNetwork."""
    raise NotImplementedError


def network_stats(tx: sa.Connection, network: str) -> Stats:
    """Return the counts of a network. Raises UnknownNetwork."""
    raise NotImplementedError


def list_stats(tx: sa.Connection, *, after: str | None, limit: int) -> list[Stats]:
    """Return the counts of networks, by name."""
    raise NotImplementedError


def find_assignment(tx: sa.Connection, network: str, vm_id: str) -> Assigned:
    """Return what a VM has. A single statement. Raises NotAssigned, UnknownNetwork."""
    raise NotImplementedError


def find_address(tx: sa.Connection, network: str, ip: str) -> Assigned:
    """Return who has an address. Raises AddressNotAssigned, AddressOutside, BadAddress, UnknownNetwork."""
    raise NotImplementedError


def list_assignments(tx: sa.Connection, network: str, *, after: int | None, limit: int) -> Sequence[Assignment]:
    """Return assignments in the order of their offsets, after one. Raises UnknownNetwork."""
    raise NotImplementedError


def list_orphans(
    tx: sa.Connection, network: str, *, live: Collection[str], assigned_before: Instant, limit: int
) -> Sequence[Assignment]:
    """Return assignments made up to an instant to VMs that are not among the live ones, in the order of their seqs."""
    raise NotImplementedError
