"""What nodes have to do: their leases that are open or not cleaned up. Read by whoever looks after the nodes.

A lease is told of again whenever something about it has changed: both it and its bid are stamped with the entry that
changed them, and the index on the bids' stamps finds what is new in all of a pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from marketplace.database import bulk, log
from marketplace.database.money import LANE
from marketplace.foundation.clock import Instant
from marketplace.spot.commands import STOP_GRACE_SECONDS, Container, LeaseState
from marketplace.spot.tables import leases, nodes, pools, spot_bids


class Launch(msgspec.Struct, frozen=True):
    """What is to be started."""

    container: Container
    grace_seconds: int
    """How long it may at most be given to end."""


class Duty(msgspec.Struct, frozen=True):
    """A lease as its node sees it; `launch` only while it is to start. `changed_seq` orders what is told of a lease."""

    pool: str
    node: str
    lease_id: int
    bid_id: int
    username: str
    state: LeaseState
    notice_secret: str
    address: str | None
    network: str | None
    start_at: Instant | None
    started_at: Instant | None
    stop_at: Instant | None
    ended_at: Instant | None
    attempts: int
    try_at: Instant | None
    changed_seq: int
    launch: Launch | None = None


class Duties(NamedTuple):
    """What there is to do, as of an entry of the log."""

    seq: int
    duties: list[Duty]


class Place(NamedTuple):
    """Where a lease runs: what is needed to ask its backend."""

    username: str
    backend: str
    settings: dict[str, Any]
    owner: str


# Written out: a partial index is used only where the statement itself says so.
_is_not_clean = leases.c.is_clean == sa.literal_column("0")
_COLUMNS = [
    pools.c.network if name == "network" else leases.c[name]
    for name in Duty.__struct_fields__[: Duty.__struct_fields__.index("launch")]
]
_of_pool = sa.and_(pools.c.pool == leases.c.pool)


def _of_nodes(rows: sa.FromClause) -> Any:
    return (
        sa.select(*_COLUMNS)
        .select_from(rows)
        .join(leases, sa.and_(leases.c.pool == rows.c.pool, leases.c.node == rows.c.node, _is_not_clean))
        .join(pools, _of_pool)
        .order_by(leases.c.lease_id)
    )


_list_pools = sa.select(pools.c.pool).order_by(pools.c.pool)
_find_of_nodes = bulk.Bulk({"pool": sa.Text(), "node": sa.Text()}, _of_nodes)
_find_changed = (
    sa.select(*_COLUMNS)
    .select_from(spot_bids)
    .join(leases, sa.and_(leases.c.pool == spot_bids.c.pool, leases.c.bid_id == spot_bids.c.bid_id, _is_not_clean))
    .join(pools, _of_pool)
    .where(spot_bids.c.pool == sa.bindparam("pool", type_=sa.Text))
    .where(spot_bids.c.changed_seq > sa.bindparam("after", type_=sa.BigInteger))
    .where(leases.c.changed_seq > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(leases.c.lease_id)
)
_BID_COLUMNS = [spot_bids.c[name] for name in ("image", "command", "environment", "cpu_millis", "memory_mib")]


def _launches(rows: sa.FromClause) -> Any:
    return (
        sa.select(leases.c.lease_id, *_BID_COLUMNS, pools.c.longest_notice_seconds)
        .select_from(rows)
        .join(leases, leases.c.lease_id == rows.c.lease_id)
        .join(spot_bids, sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id))
        .join(pools, _of_pool)
    )


_find_launches = bulk.Bulk({"lease_id": sa.BigInteger()}, _launches)
_find_place = (
    sa.select(leases.c.username, nodes.c.backend, nodes.c.settings, nodes.c.owner)
    .join(nodes, sa.and_(nodes.c.pool == leases.c.pool, nodes.c.node == leases.c.node))
    .where(leases.c.lease_id == sa.bindparam("lease_id", type_=sa.BigInteger))
)

_words = msgspec.json.Decoder(tuple[str, ...]).decode
_variables = msgspec.json.Decoder(dict[str, str]).decode
_settings = msgspec.json.Decoder(dict[str, Any]).decode


def read_head(tx: sa.Connection) -> int:
    """Return the last seq of the lane. A single statement."""
    return log.read_head(tx, LANE).last_seq


def read_pools(tx: sa.Connection) -> list[str]:
    """Return the names of all pools. A single statement."""
    return list(tx.execute(_list_pools).scalars())


def read_all(tx: sa.Connection, of: Iterable[tuple[str, str]]) -> Duties:
    """Return everything that these (pool, node) pairs have to do: what they have room for, and keep of the past."""
    given = [{"pool": pool, "node": node} for pool, node in sorted(set(of))]
    return Duties(read_head(tx), _with_launches(tx, _find_of_nodes.fetch(tx, given)))


def read_changed(tx: sa.Connection, of_pools: Iterable[str], *, after: int) -> Duties:
    """Return all of these pools that has changed after a seq: no more than what happened since."""
    seq = read_head(tx)
    if seq <= after:
        return Duties(seq, [])
    rows = [row for pool in of_pools for row in tx.execute(_find_changed, {"pool": pool, "after": after})]
    return Duties(seq, _with_launches(tx, rows))


def find_place(tx: sa.Connection, lease_id: int) -> Place | None:
    """Return where a lease runs or ran. A single statement."""
    row = tx.execute(_find_place, {"lease_id": lease_id}).first()
    return None if row is None else Place(row.username, row.backend, _settings(row.settings), row.owner)


def _with_launches(tx: sa.Connection, rows: Sequence[Any]) -> list[Duty]:
    starting = [{"lease_id": row.lease_id} for row in rows if row.state == "starting"]
    launches = {row.lease_id: _to_launch(row) for row in _find_launches.fetch(tx, starting)}
    return [Duty(*(*row, launches.get(row.lease_id))) for row in rows]


def _to_launch(row: Any) -> Launch:
    container = Container(
        image=row.image,
        cpu_millis=row.cpu_millis,
        memory_mib=row.memory_mib,
        command=_words(row.command),
        environment=_variables(row.environment),
    )
    return Launch(container, max(row.longest_notice_seconds, STOP_GRACE_SECONDS))
