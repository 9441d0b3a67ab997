"""Every statement by which the address pool decides: what a batch reads, and what it writes.

Offsets are integers above this file and fixed-width text in the tables; only here is the one made of the other. No row
is locked: the lane's turn keeps other writers out, and two keys make a collision impossible for whoever ignores it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from marketplace.addresses import subnets
from marketplace.addresses.model import Assignment, Network
from marketplace.addresses.tables import addresses, networks, past_assignments, reserved_ranges, segments
from marketplace.database import bulk
from marketplace.foundation.clock import Instant

NETWORK_COLUMNS = [networks.c[name] for name in Network.__struct_fields__]
ADDRESS_COLUMNS = list(addresses.c)
"""Those of an Assignment, in its order, and the instant until which the address rests."""
FOREVER: Instant = 2**62

Place = tuple[str, int]
"""A network and an offset in it."""


def to_text(number: int) -> str:
    """Return an offset (or an address as a number) as the tables have it."""
    return f"{number:032x}"


def to_number(text: str) -> int:
    return int(text, 16)


# ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_network, _limit = sa.bindparam("network", type_=sa.Text), sa.bindparam("limit", type_=sa.Integer)
_start = sa.bindparam("start", type_=sa.Text)
_until = sa.bindparam("until", type_=sa.BigInteger)

# Written out and not sent as parameters: a generic plan may use a partial index only if the statement itself says what
# it wants.
is_assigned = addresses.c.vm_id.is_not(None)
is_free = sa.and_(addresses.c.vm_id.is_(None), addresses.c.resting_until.is_(None))
is_resting = addresses.c.resting_until.is_not(None)

_find_networks = bulk.find_in(networks, {"network": "network"}, NETWORK_COLUMNS)
_find_by_vm = bulk.find_in(addresses, {"network": "network", "vm_id": "vm_id"}, ADDRESS_COLUMNS)
_find_by_offset = bulk.find_in(addresses, {"network": "network", "ip_offset": "ip_offset"}, ADDRESS_COLUMNS)


def _find_segments() -> bulk.Bulk:
    """For each given offset the first segment that ends at or above it: if any has the offset, it is that one."""

    def first_end(rows: sa.FromClause) -> Any:
        ends = segments.alias("ends")
        first = sa.select(sa.func.min(ends.c.last_offset))
        return first.where(ends.c.network == rows.c.network, ends.c.last_offset >= rows.c.ip_offset).scalar_subquery()

    def join(rows: sa.FromClause) -> Any:
        is_first = sa.and_(segments.c.network == rows.c.network, segments.c.last_offset == first_end(rows))
        return sa.select(*segments.c).select_from(rows).join(segments, is_first)

    def look_up(rows: sa.FromClause) -> Any:
        at_or_above = sa.and_(segments.c.network == rows.c.network, segments.c.last_offset >= rows.c.ip_offset)
        found = sa.select(*segments.c).where(at_or_above).order_by(segments.c.last_offset).limit(1).lateral("found")
        return sa.select(*found.c).select_from(rows).join(found, sa.true())

    given = {"network": segments.c.network.type, "ip_offset": segments.c.last_offset.type}
    return bulk.Bulk(given, {"postgresql": look_up, "sqlite": join})


_find_segments_at = _find_segments()


def _available() -> sa.CompoundSelect[Any]:
    free = (
        sa.select(addresses.c.ip_offset)
        .where(addresses.c.network == _network, is_free, addresses.c.ip_offset >= _start)
        .order_by(addresses.c.ip_offset)
        .limit(_limit)
        .subquery("free")
    )
    untouched = (
        sa.select(segments.c.last_offset, segments.c.next_offset)
        .where(segments.c.network == _network, segments.c.last_offset >= _start)
        .order_by(segments.c.last_offset)
        .limit(_limit)
        .subquery("untouched")
    )
    rested = (
        sa.select(addresses.c.ip_offset, addresses.c.resting_until)
        .where(addresses.c.network == _network, is_resting, addresses.c.resting_until <= _until)
        .order_by(addresses.c.resting_until, addresses.c.ip_offset)
        .limit(sa.bindparam("rested", type_=sa.Integer))
        .subquery("rested")
    )
    nothing = sa.cast(sa.null(), sa.Text), sa.cast(sa.null(), sa.BigInteger)
    return sa.union_all(
        sa.select(free.c.ip_offset, *nothing),
        sa.select(untouched.c.last_offset, untouched.c.next_offset, nothing[1]),
        sa.select(rested.c.ip_offset, nothing[0], rested.c.resting_until),
    )


_read_available = _available()


class Known(NamedTuple):
    """What is known of one network's addresses that can be given out: segments as last -> next offset; those that came
    back, with their rest."""

    segments: dict[int, int]
    released: dict[int, Instant | None]


def read_networks(tx: sa.Connection, names: Iterable[str]) -> list[Network]:
    """Return those of the named networks that exist."""
    return [to_network(row) for row in _find_networks.fetch(tx, [{"network": name} for name in names])]


_find_first = sa.select(*NETWORK_COLUMNS).order_by(networks.c.seq).limit(1)
_find_overlap = (
    sa.select(*NETWORK_COLUMNS)
    .where(networks.c.version == sa.bindparam("version"), networks.c.base <= sa.bindparam("last"))
    .order_by(networks.c.base.desc())
    .limit(1)
)


def find_first(tx: sa.Connection) -> Network | None:
    """Return the network that was created first."""
    row = tx.execute(_find_first).first()
    return to_network(row) if row else None


def find_overlap(tx: sa.Connection, plan: subnets.Plan) -> Network | None:
    """Return a network that has an address in common with a planned one: none overlap, so the last one to begin."""
    row = tx.execute(_find_overlap, {"version": plan.version, "last": to_text(plan.last)}).first()
    return to_network(row) if row and to_number(row.last) >= plan.base else None


def read_by_vm(tx: sa.Connection, asked: Iterable[tuple[str, str]]) -> list[Assignment]:
    """Return what VMs have, by (network, vm_id)."""
    rows = _find_by_vm.fetch(tx, [{"network": network, "vm_id": vm_id} for network, vm_id in sorted(asked)])
    return [to_assignment(row) for row in rows]


def read_places(tx: sa.Connection, asked: Collection[Place], known: Mapping[str, Known]) -> list[Assignment]:
    """Return the assignments of places; what else is there is added to what is known of each network."""
    given = [{"network": network, "ip_offset": to_text(offset)} for network, offset in sorted(asked)]
    assigned = []
    for row in _find_by_offset.fetch(tx, given):
        if row.vm_id is None:
            known[row.network].released[to_number(row.ip_offset)] = row.resting_until
        else:
            assigned.append(to_assignment(row))
    for row in _find_segments_at.fetch(tx, given):
        known[row.network].segments[to_number(row.last_offset)] = to_number(row.next_offset)
    return assigned


def read_available(
    tx: sa.Connection, network: str, known: Known, *, start: int, limit: int, rested: int, until: Instant
) -> None:
    """Add to what is known the first `limit` segments and free addresses from an offset on, and the longest rested."""
    bound = {"network": network, "start": to_text(start), "limit": limit, "rested": rested, "until": until}
    for key, first, resting_until in tx.execute(_read_available, bound):
        if first is not None:
            known.segments[to_number(key)] = to_number(first)
        else:
            known.released[to_number(key)] = resting_until


def to_network(row: Any) -> Network:
    """Make a network of a row that begins with its columns."""
    network = Network(*row[: len(NETWORK_COLUMNS)])
    network.base, network.last = to_number(row.base), to_number(row.last)
    network.total, network.reserved = int(row.total), int(row.reserved)
    return network


def to_assignment(row: Sequence[Any]) -> Assignment:
    """Make an assignment of an address's columns."""
    network, offset, ip, vm_id, hostname, owner, seq, assigned_at, _ = row
    return Assignment(network, to_number(offset), ip, vm_id, hostname, owner, seq, assigned_at)


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Address(msgspec.Struct, frozen=True):
    """A row of `addresses`."""

    network: str
    ip_offset: str
    ip: str
    vm_id: str | None = None
    hostname: str | None = None
    owner: str | None = None
    seq: int | None = None
    assigned_at: Instant | None = None
    resting_until: Instant | None = None


Released = tuple[Network, int, Instant | None]
"""An address that came back: its network, its offset, and until when it rests."""


class Past(msgspec.Struct, frozen=True):
    """A row of `past_assignments`."""

    network: str
    ip: str
    seq: int
    vm_id: str
    hostname: str | None
    owner: str | None
    assigned_at: Instant
    released_seq: int
    released_at: Instant


_put_networks = bulk.put_into(networks, *Network.__struct_fields__, changing=["assigned", "free", "resting"])
_put_addresses = bulk.put_into(addresses, *_Address.__struct_fields__, changing=_Address.__struct_fields__[3:])
_put_segments = bulk.put_into(segments, *segments.c.keys(), changing=["next_offset"])
_insert_past = bulk.insert_into(past_assignments, *past_assignments.c.keys())
_insert_reserved = bulk.insert_into(reserved_ranges, *reserved_ranges.c.keys())


def _delete_segments() -> bulk.Bulk:
    def build(rows: sa.FromClause) -> Any:
        used_up = sa.select(rows.c.network, rows.c.last_offset)
        return sa.delete(segments).where(sa.tuple_(segments.c.network, segments.c.last_offset).in_(used_up))

    return bulk.Bulk({name: segments.c[name].type for name in ("network", "last_offset")}, build)


_drop_segments = _delete_segments()


def put_networks(changed: Iterable[Network]) -> bulk.Write:
    rows = []
    for network in changed:
        row = msgspec.structs.asdict(network)
        row |= {"base": to_text(network.base), "last": to_text(network.last)}
        rows.append(row | {"total": str(network.total), "reserved": str(network.reserved)})
    return _put_networks, rows


def put_addresses(assigned: Iterable[Assignment], released: Iterable[Released]) -> bulk.Write:
    """Write addresses that somebody has, and those that came back."""
    rows = [
        _Address(a.network, to_text(a.offset), a.ip, a.vm_id, a.hostname, a.owner, a.seq, a.assigned_at)
        for a in assigned
    ]
    rows += [
        _Address(of.network, to_text(offset), subnets.text_of(of.version, of.base + offset), resting_until=until)
        for of, offset, until in released
    ]
    return _put_addresses, rows


def put_segments(changed: Iterable[tuple[str, int, int]]) -> bulk.Write:
    """Write segments, given as network, last and next offset."""
    return _put_segments, [
        {"network": network, "last_offset": to_text(last), "next_offset": to_text(first)}
        for network, last, first in changed
    ]


def drop_segments(used_up: Iterable[Place]) -> bulk.Write:
    """Delete segments, given by their last offsets."""
    return _drop_segments, [{"network": network, "last_offset": to_text(last)} for network, last in used_up]


def insert_past(over: Sequence[Past]) -> bulk.Write:
    return _insert_past, over


def insert_reserved(network: str, ranges: Iterable[tuple[int, int]]) -> bulk.Write:
    return _insert_reserved, [
        {"network": network, "first_offset": to_text(first), "last_offset": to_text(last)} for first, last in ranges
    ]


def delete_network(tx: sa.Connection, network: str) -> None:
    """Delete a network with its reserved ranges, its segments, and the addresses that came back."""
    for table in (addresses, segments, reserved_ranges, networks):
        tx.execute(sa.delete(table).where(table.c.network == network))
