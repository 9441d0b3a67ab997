"""What the spot market shows of pools, their nodes and prices: functions of a read-only `tx`.

Lists are keyset pages in a total order, stable while rows are added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.foundation.clock import Instant
from marketplace.spot import errors
from marketplace.spot.commands import NodeState, Pool
from marketplace.spot.pricing import Interval
from marketplace.spot.records import PoolRecord
from marketplace.spot.tables import leases, nodes, pools, spot_bids, spot_prices

MAX_INTERVALS = 100_000
"""How many changes of a price one look back goes over at most."""

_pool, _name = sa.bindparam("pool", type_=sa.Text), sa.bindparam("name", type_=sa.Text)

# ── pools and nodes ──────────────────────────────────────────────────────────────────────────────────────────────────


class NodeUse(msgspec.Struct, frozen=True):
    """A node, and what its leases have that run, start or leave; what is only reserved is not counted."""

    pool: str
    node: str
    provider: str
    backend: str
    cpu_millis: int
    memory_mib: int
    state: NodeState
    heartbeat_at: Instant | None
    added_at: Instant
    used_cpu_millis: int
    used_memory_mib: int
    leases: int


_find_pool = sa.select(*pools.c).where(pools.c.pool == _pool)
_is_there = sa.or_(nodes.c.cpu_millis > 0, nodes.c.memory_mib > 0)
"""A node that was taken out keeps its row, with no room."""


def _used(column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    """Sum something over the leases that have room on a node."""
    return (
        sa.select(sa.cast(sa.func.coalesce(sa.func.sum(column), 0), sa.BigInteger))
        .select_from(leases)
        .join(spot_bids, sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id))
        .where(leases.c.pool == nodes.c.pool, leases.c.node == nodes.c.node, leases.c.is_clean == 0)
        .where(leases.c.state.in_(("starting", "running", "evicting", "stopping")))
        .scalar_subquery()
    )


_nodes = sa.select(
    *(nodes.c[name] for name in NodeUse.__struct_fields__[:9]),
    _used(spot_bids.c.cpu_millis),
    _used(spot_bids.c.memory_mib),
    _used(sa.literal(1)),
).where(nodes.c.pool == _pool, _is_there)
_find_node = _nodes.where(nodes.c.node == _name)


def find_pool(tx: sa.Connection, pool: str) -> Pool:
    """Return a pool. A single statement. Raises UnknownPool."""
    row = tx.execute(_find_pool, {"pool": pool}).first()
    if row is None:
        raise errors.UnknownPool(pool)
    return PoolRecord(*row).told()


def list_pools(tx: sa.Connection, *, after: str | None, limit: int) -> list[Pool]:
    """Return pools by name. A single statement."""
    query = sa.select(*pools.c).order_by(pools.c.pool).limit(limit)
    if after is not None:
        query = query.where(pools.c.pool > after)
    return [PoolRecord(*row).told() for row in tx.execute(query)]


def find_node(tx: sa.Connection, pool: str, node: str) -> NodeUse:
    """Return a node. A single statement. Raises UnknownNode."""
    row: Any = tx.execute(_find_node, {"pool": pool, "name": node}).first()
    if row is None:
        raise errors.UnknownNode(pool, node)
    return NodeUse(*row)


def list_nodes(tx: sa.Connection, pool: str, *, after: str | None, limit: int) -> list[NodeUse]:
    """Return a pool's nodes by name. Raises UnknownPool."""
    find_pool(tx, pool)
    query = _nodes.order_by(nodes.c.node).limit(limit)
    if after is not None:
        query = query.where(nodes.c.node > after)
    rows: Iterable[Any] = tx.execute(query, {"pool": pool})
    return [NodeUse(*row) for row in rows]


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_INTERVAL = [spot_prices.c.from_at, spot_prices.c.to_at, spot_prices.c.unit_price_micros_per_hour]
_current_price = sa.select(*_INTERVAL).where(spot_prices.c.pool == _pool, spot_prices.c.to_at.is_(None))
_since, _until = sa.bindparam("since", type_=sa.BigInteger), sa.bindparam("until", type_=sa.BigInteger)
_ends_at = sa.func.coalesce(spot_prices.c.to_at, _until)
_lies_between = sa.and_(spot_prices.c.pool == _pool, spot_prices.c.from_at < _until, _ends_at > _since)
_prices_between = sa.select(*_INTERVAL).where(_lies_between).order_by(spot_prices.c.from_at.desc()).limit(MAX_INTERVALS)
_lasted = (
    sa.select(
        spot_prices.c.unit_price_micros_per_hour,
        sa.cast(
            sa.func.sum(
                sa.case((_ends_at > _until, _until), else_=_ends_at)
                - sa.case((spot_prices.c.from_at < _since, _since), else_=spot_prices.c.from_at)
            ),
            sa.BigInteger,
        ),
    )
    .where(_lies_between)
    .group_by(spot_prices.c.unit_price_micros_per_hour)
    .order_by(spot_prices.c.unit_price_micros_per_hour)
)


def current_price(tx: sa.Connection, pool: str) -> Interval:
    """Return what a unit costs now. A single statement. Raises UnknownPool."""
    row = tx.execute(_current_price, {"pool": pool}).first()
    if row is None:
        raise errors.UnknownPool(pool)
    return Interval(*row)


def list_prices(tx: sa.Connection, pool: str, *, before: Instant | None, limit: int) -> list[Interval]:
    """Return what a unit cost, from the newest price on, before one that began at an instant. Raises UnknownPool."""
    find_pool(tx, pool)
    query = sa.select(*_INTERVAL).where(spot_prices.c.pool == pool)
    query = query.order_by(spot_prices.c.from_at.desc()).limit(limit)
    if before is not None:
        query = query.where(spot_prices.c.from_at < before)
    return [Interval(*row) for row in tx.execute(query)]


def prices_between(tx: sa.Connection, pool: str, *, since: Instant, until: Instant) -> list[Interval]:
    """Return what a unit cost between two instants, oldest first, the newest MAX_INTERVALS. Raises UnknownPool."""
    find_pool(tx, pool)
    rows = tx.execute(_prices_between, {"pool": pool, "since": since, "until": until}).fetchall()
    return [Interval(*row) for row in reversed(rows)]


def price_durations(tx: sa.Connection, pool: str, *, since: Instant, until: Instant) -> list[tuple[int, int]]:
    """Return for how long a unit had each of its prices between two instants, cheapest first. Raises UnknownPool."""
    find_pool(tx, pool)
    return [(price, lasted) for price, lasted in tx.execute(_lasted, {"pool": pool, "since": since, "until": until})]


# ── use ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Use(msgspec.Struct, frozen=True):
    """What the nodes of a pool that are ready have, what leases have of it, and how many bids there are.

    `value_micros` is what those that start or run would pay an hour at most.
    """

    nodes: int
    cpu_millis: int
    memory_mib: int
    used_cpu_millis: int
    used_memory_mib: int
    running: int
    leaving: int
    value_micros: int
    waiting: int


def _sum(column: sa.ColumnElement[Any], *where: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    counted = sa.case((sa.and_(*where), column), else_=0) if where else column
    return sa.cast(sa.func.coalesce(sa.func.sum(counted), 0), sa.BigInteger)


_ready = (
    sa.select(
        sa.func.count().label("nodes"), _sum(nodes.c.cpu_millis).label("cpu"), _sum(nodes.c.memory_mib).label("mib")
    )
    .where(nodes.c.pool == _pool, nodes.c.state == "ready")
    .subquery("ready")
)
_stays = leases.c.state.in_(("starting", "running"))
_leaves = leases.c.state.in_(("evicting", "stopping"))
_placed = (
    sa.select(
        _sum(spot_bids.c.cpu_millis).label("cpu"),
        _sum(spot_bids.c.memory_mib).label("mib"),
        _sum(sa.literal(1), _stays).label("running"),
        _sum(sa.literal(1), _leaves).label("leaving"),
        _sum(leases.c.max_price_micros_per_hour, _stays).label("value"),
    )
    .select_from(nodes)
    .join(leases, sa.and_(leases.c.pool == nodes.c.pool, leases.c.node == nodes.c.node, leases.c.is_clean == 0))
    .join(spot_bids, sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id))
    .where(nodes.c.pool == _pool, nodes.c.state == "ready", sa.or_(_stays, _leaves))
    .subquery("placed")
)
_waiting = (
    sa.select(sa.func.count())
    .select_from(spot_bids)
    .where(spot_bids.c.pool == _pool, spot_bids.c.state == "submitted")
    .scalar_subquery()
)
_read_use = sa.select(_ready, _placed, _waiting).select_from(_ready.join(_placed, sa.true()))


def read_use(tx: sa.Connection, pool: str) -> Use:
    """Return how much of a pool is used. A single statement; for a pool that is not there it is nothing."""
    return Use(*tx.execute(_read_use, {"pool": pool}).one())
