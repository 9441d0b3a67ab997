"""What can be asked of the address pool: functions of a read-only `tx`, run by `database.read` or `read_one`.

Lists are keyset pages in a total order, stable while rows are added.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from marketplace.addresses import errors, sql, subnets
from marketplace.addresses.book import offset_of
from marketplace.addresses.model import Assigned, Assignment, Network, Stats
from marketplace.addresses.tables import addresses, networks, reserved_ranges
from marketplace.database import bulk
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

_network, _limit = sa.bindparam("network", type_=sa.Text), sa.bindparam("limit", type_=sa.Integer)

# ── networks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_find_network = sa.select(*sql.NETWORK_COLUMNS).where(networks.c.network == _network)

_list_reserved = (
    sa.select(reserved_ranges.c.first_offset, reserved_ranges.c.last_offset)
    .where(reserved_ranges.c.network == _network)
    .order_by(reserved_ranges.c.first_offset)
)


def default_network(tx: sa.Connection) -> Network | None:
    """Return the network that was created first, None where there is none. A single statement."""
    return sql.find_first(tx)


def find_network(tx: sa.Connection, network: str) -> Network:
    """Return a network. A single statement. Raises UnknownNetwork."""
    row = tx.execute(_find_network, {"network": network}).first()
    if row is None:
        raise errors.UnknownNetwork(network)
    return sql.to_network(row)


def list_networks(tx: sa.Connection, *, after: str | None, limit: int) -> list[Network]:
    """Return networks by name."""
    query = sa.select(*sql.NETWORK_COLUMNS).order_by(networks.c.network).limit(limit)
    if after is not None:
        query = query.where(networks.c.network > after)
    return [sql.to_network(row) for row in tx.execute(query)]


def list_reserved(tx: sa.Connection, network: str) -> list[tuple[str, str]]:
    """Return a network's reserved ranges as first and last address, in order. Raises UnknownNetwork."""
    of = find_network(tx, network)
    rows = tx.execute(_list_reserved, {"network": network})

    def text(offset: str) -> str:
        return subnets.text_of(of.version, of.base + sql.to_number(offset))

    return [(text(first), text(last)) for first, last in rows]


# ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

# Those whose rest is over become free when the next address is given out; they count as available from that instant.
_due = (
    sa.select(sa.func.count())
    .where(addresses.c.network == networks.c.network, sql.is_resting)
    .where(addresses.c.resting_until <= sa.bindparam("now", type_=sa.BigInteger))
    .scalar_subquery()
    .label("due")
)
_list_stats = sa.select(*sql.NETWORK_COLUMNS, _due).order_by(networks.c.network)
_network_stats = _list_stats.where(networks.c.network == _network)


def network_stats(tx: sa.Connection, network: str) -> Stats:
    """Return the counts of a network. A single statement. Raises UnknownNetwork."""
    row = tx.execute(_network_stats, {"network": network, "now": clock.now()}).first()
    if row is None:
        raise errors.UnknownNetwork(network)
    return _stats(row)


def list_stats(tx: sa.Connection, *, after: str | None, limit: int) -> list[Stats]:
    """Return the counts of networks, by name. A single statement."""
    query = _list_stats.limit(limit)
    if after is not None:
        query = query.where(networks.c.network > after)
    return [_stats(row) for row in tx.execute(query, {"now": clock.now()})]


def _stats(row: Any) -> Stats:
    of = sql.to_network(row)
    return Stats(
        of.network,
        of.cidr,
        of.gateway,
        total=of.total,
        allocated=of.assigned,
        reserved=of.reserved,
        resting=of.resting - row.due,
        available=of.never_used + of.free + row.due,
    )


# ── who has what ─────────────────────────────────────────────────────────────────────────────────────────────────────

_find_assignment = (
    sa.select(*sql.NETWORK_COLUMNS, *sql.ADDRESS_COLUMNS)
    .join(addresses, addresses.c.network == networks.c.network)
    .where(networks.c.network == _network)
)
_find_by_vm = _find_assignment.where(addresses.c.vm_id == sa.bindparam("vm_id"))
_find_by_offset = _find_assignment.where(addresses.c.ip_offset == sa.bindparam("ip_offset"), sql.is_assigned)
_list_assignments = (
    sa.select(*sql.ADDRESS_COLUMNS)
    .where(addresses.c.network == _network, sql.is_assigned)
    .order_by(addresses.c.ip_offset)
).limit(_limit)


def find_assignment(tx: sa.Connection, network: str, vm_id: str) -> Assigned:
    """Return what a VM has. A single statement where it has something. Raises NotAssigned, UnknownNetwork."""
    row = tx.execute(_find_by_vm, {"network": network, "vm_id": vm_id}).first()
    if row is None:
        find_network(tx, network)
        raise errors.NotAssigned(network, vm_id)
    return _assigned(row)


def find_address(tx: sa.Connection, network: str, ip: str) -> Assigned:
    """Return who has an address. Raises AddressNotAssigned, AddressOutside, BadAddress, UnknownNetwork."""
    offset = offset_of(find_network(tx, network), ip)
    if not isinstance(offset, int):
        raise offset
    row = tx.execute(_find_by_offset, {"network": network, "ip_offset": sql.to_text(offset)}).first()
    if row is None:
        raise errors.AddressNotAssigned(network, ip)
    return _assigned(row)


def _assigned(row: Any) -> Assigned:
    return Assigned(sql.to_assignment(row[len(sql.NETWORK_COLUMNS) :]), sql.to_network(row))


def list_assignments(
    tx: sa.Connection, network: str, *, owner: str | None = None, after: int | None, limit: int
) -> list[Assignment]:
    """Return assignments, of one owner or of all, in the order of their offsets, after one. Raises UnknownNetwork."""
    find_network(tx, network)
    query = _list_assignments
    if owner is not None:
        query = query.where(addresses.c.owner == owner)
    if after is not None:
        query = query.where(addresses.c.ip_offset > sql.to_text(after))
    return [sql.to_assignment(row) for row in tx.execute(query, {"network": network, "limit": limit})]


_find_by_hostname = (
    sa.select(*sql.ADDRESS_COLUMNS)
    .where(addresses.c.network == _network, addresses.c.hostname.is_not(None))
    .where(sa.func.lower(addresses.c.hostname) == sa.bindparam("hostname", type_=sa.Text))
    .order_by(addresses.c.ip_offset)
    .limit(_limit)
)


def find_hostname(tx: sa.Connection, network: str, hostname: str, *, limit: int) -> list[Assignment]:
    """Return assignments whose VM gave a hostname, in whatever case, by their offsets. A single statement."""
    bound = {"network": network, "hostname": hostname.lower(), "limit": limit}
    return [sql.to_assignment(row) for row in tx.execute(_find_by_hostname, bound)]


def _orphans(live: sa.FromClause, *more: sa.ColumnElement[bool]) -> Any:
    return (
        sa.select(*sql.ADDRESS_COLUMNS)
        .where(addresses.c.network == _network, sql.is_assigned, *more)
        .where(addresses.c.assigned_at <= sa.bindparam("before", type_=sa.BigInteger))
        .where(addresses.c.vm_id.not_in(sa.select(live.c.vm_id)))
        .order_by(addresses.c.ip_offset)
        .limit(_limit)
    )


_list_orphans = bulk.Bulk({"vm_id": sa.Text()}, _orphans)
_list_own_orphans = bulk.Bulk(
    {"vm_id": sa.Text()}, lambda live: _orphans(live, addresses.c.owner == sa.bindparam("owner", type_=sa.Text))
)


def list_orphans(
    tx: sa.Connection,
    network: str,
    *,
    owner: str | None = None,
    live: Collection[str],
    assigned_before: Instant,
    limit: int,
) -> list[Assignment]:
    """Return assignments made up to an instant whose VMs are not among the live ones, in the order of their offsets.

    Those of one owner, or of all. Raises UnknownNetwork.
    """
    find_network(tx, network)
    # Nobody is called "": where no VM is live, the statement still has a row to be sent for.
    given = [{"vm_id": vm_id} for vm_id in {"", *live}]
    bound = {"network": network, "before": assigned_before, "limit": limit}
    if owner is None:
        rows = _list_orphans.fetch(tx, given, **bound)
    else:
        rows = _list_own_orphans.fetch(tx, given, **bound, owner=owner)
    return [sql.to_assignment(row) for row in rows]
