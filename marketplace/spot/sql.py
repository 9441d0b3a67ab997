"""Every statement by which the spot market decides: what a batch reads, and what it writes.

No row is locked: the lane's turn keeps other writers out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import SECOND, Instant
from marketplace.spot.pricing import Interval
from marketplace.spot.records import BidRecord, LeaseRecord, LineRecord, NodeRecord, PoolRecord, PriceRecord
from marketplace.spot.tables import lease_lines, leases, nodes, pools, spot_bids, spot_prices

NodeKey = tuple[str, str]
"""A pool and a node of it."""

TEXTS = ("image", "command", "environment")
"""Columns of a bid that never change, and are read by nobody who decides."""
BID_COLUMNS = [column for column in spot_bids.c if column.name not in TEXTS]
"""Those of a BidRecord, in its order."""
_NEVER_CHANGE = {
    "pools": {"pool", "unit_cpu_millis", "unit_memory_mib", "opened_at"},
    "nodes": {"pool", "node", "provider", "owner"},
    "spot_bids": {"pool", "bid_id", "username", "cpu_millis", "memory_mib", "submitted_at", *TEXTS},
    "leases": {"pool", "lease_id", "bid_id", "username", "node", "notice_secret", "matched_at", "size", "parts"},
    "spot_prices": {"pool", "from_at"},
}

# ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_now = sa.bindparam("now", type_=sa.BigInteger)
_limit = sa.bindparam("limit", type_=sa.Integer)
_pool = sa.bindparam("pool", type_=sa.Text)
# Written out, as in the conditions of partial indexes: with a parameter in its place they would not be used.
_is_not_clean = leases.c.is_clean == sa.literal_column("0")

_find_pools = bulk.find_in(pools, {"pool": "pool"}, list(pools.c))
_find_nodes = bulk.find_in(nodes, {"pool": "pool", "node": "node"}, list(nodes.c))
_find_bids = bulk.find_in(spot_bids, {"bid_id": "bid_id"}, BID_COLUMNS)
_find_leases = bulk.find_in(leases, {"lease_id": "lease_id"}, list(leases.c))
_find_prices = (
    sa.select(spot_prices.c.from_at, spot_prices.c.to_at, spot_prices.c.unit_price_micros_per_hour)
    .where(spot_prices.c.pool == _pool)
    .where(
        spot_prices.c.from_at
        >= sa.select(sa.func.max(spot_prices.c.from_at))
        .where(spot_prices.c.pool == _pool, spot_prices.c.from_at <= sa.bindparam("since", type_=sa.BigInteger))
        .scalar_subquery()
    )
    .order_by(spot_prices.c.from_at)
)
_find_expiring = (
    sa.select(spot_bids.c.bid_id)
    .where(spot_bids.c.state == sa.literal_column("'submitted'"), spot_bids.c.expires_at <= _now)
    .order_by(spot_bids.c.expires_at, spot_bids.c.bid_id)
    .limit(_limit)
)
_find_overdue = (
    sa.select(leases.c.lease_id)
    .where(leases.c.overdue_at <= _now)
    .order_by(leases.c.overdue_at, leases.c.lease_id)
    .limit(_limit)
)
_open_leases_of_node = (
    sa.select(leases.c.lease_id)
    .where(leases.c.pool == _pool, leases.c.node == sa.bindparam("node"))
    .where(_is_not_clean, leases.c.state != "ended")
    .order_by(leases.c.lease_id)
)
_count_unclean = (
    sa.select(sa.func.count())
    .select_from(leases)
    .where(leases.c.pool == _pool, leases.c.node == sa.bindparam("node"), _is_not_clean)
)
_find_large_nodes = (
    sa.select(nodes.c.node)
    .where(nodes.c.pool == _pool, nodes.c.state == "ready")
    .where(nodes.c.cpu_millis >= sa.bindparam("cpu_millis"), nodes.c.memory_mib >= sa.bindparam("memory_mib"))
    .order_by(nodes.c.node)
    .limit(_limit)
)
_last_sign = sa.func.coalesce(nodes.c.heartbeat_at, nodes.c.added_at)
_find_silent = (
    sa.select(nodes.c.pool, nodes.c.node)
    .where(nodes.c.state != "lost", _last_sign <= sa.bindparam("before", type_=sa.BigInteger))
    .where((nodes.c.cpu_millis > 0) | (nodes.c.memory_mib > 0))
    .order_by(nodes.c.pool, nodes.c.node)
)
_find_claimable = (
    sa.select(*nodes.c)
    .where(sa.or_(nodes.c.claim.is_(None), nodes.c.claim == sa.bindparam("token"), nodes.c.claimed_until <= _now))
    .order_by(nodes.c.pool, nodes.c.node)
    .limit(_limit)
)


def _fetch(statement: bulk.Bulk, tx: sa.Connection, rows: Sequence[Any]) -> Sequence[Any]:
    return statement.fetch(tx, rows)


def read_pools(tx: sa.Connection, names: Iterable[str]) -> list[PoolRecord]:
    """Return those of the named pools that there are."""
    return [PoolRecord(*row) for row in _fetch(_find_pools, tx, [{"pool": name} for name in sorted(names)])]


def read_nodes(tx: sa.Connection, keys: Iterable[NodeKey]) -> list[NodeRecord]:
    given = [{"pool": pool, "node": node} for pool, node in sorted(keys)]
    return [NodeRecord(*row) for row in _fetch(_find_nodes, tx, given)]


def read_bids(tx: sa.Connection, ids: Iterable[int]) -> list[BidRecord]:
    return [BidRecord(*row) for row in _fetch(_find_bids, tx, [{"bid_id": one} for one in sorted(ids)])]


def read_leases(tx: sa.Connection, ids: Iterable[int]) -> list[LeaseRecord]:
    return [LeaseRecord(*row) for row in _fetch(_find_leases, tx, [{"lease_id": one} for one in sorted(ids)])]


def read_prices(tx: sa.Connection, pool: str, *, since: Instant) -> list[Interval]:
    """Return a pool's prices in their order, from the interval in which an instant is."""
    return [Interval(*row) for row in tx.execute(_find_prices, {"pool": pool, "since": since})]


def read_expiring(tx: sa.Connection, *, now: Instant, limit: int) -> list[int]:
    """Return bids that wait and whose time is over, the longest overdue first."""
    return list(tx.execute(_find_expiring, {"now": now, "limit": limit}).scalars())


def read_overdue(tx: sa.Connection, *, now: Instant, limit: int) -> list[int]:
    """Return leases that have run as long as they may."""
    return list(tx.execute(_find_overdue, {"now": now, "limit": limit}).scalars())


def read_open_leases(tx: sa.Connection, key: NodeKey) -> list[int]:
    """Return the leases of a node that have not ended."""
    return list(tx.execute(_open_leases_of_node, {"pool": key[0], "node": key[1]}).scalars())


def count_unclean(tx: sa.Connection, key: NodeKey) -> int:
    """Return how many leases of a node are open, or ended and not cleaned up."""
    return tx.scalar(_count_unclean, {"pool": key[0], "node": key[1]}) or 0


def has_large_node(
    tx: sa.Connection, pool: str, *, cpu_millis: int, memory_mib: int, avoiding: Collection[str]
) -> bool:
    """Tell whether a ready node, none of those to be avoided, is large enough."""
    given = {"pool": pool, "cpu_millis": cpu_millis, "memory_mib": memory_mib, "limit": len(avoiding) + 1}
    return any(node not in avoiding for node in tx.execute(_find_large_nodes, given).scalars())


def read_silent(tx: sa.Connection, *, now: Instant, seconds: int) -> list[NodeKey]:
    """Return nodes of which nothing was heard for so long, and that are not lost yet."""
    return [(row.pool, row.node) for row in tx.execute(_find_silent, {"before": now - seconds * SECOND})]


def read_claimable(tx: sa.Connection, token: str, *, now: Instant, limit: int) -> list[NodeRecord]:
    """Return nodes that are this token's, or nobody's (any more)."""
    found = tx.execute(_find_claimable, {"token": token, "now": now, "limit": limit})
    return [NodeRecord(*row) for row in found]


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _put_into(table: sa.Table) -> bulk.Bulk:
    names = table.c.keys()
    return bulk.put_into(table, *names, changing=[name for name in names if name not in _NEVER_CHANGE[table.name]])


_put_pools, _put_nodes, _put_bids, _put_leases, _put_prices = map(
    _put_into, (pools, nodes, spot_bids, leases, spot_prices)
)
_insert_lines = bulk.insert_into(lease_lines, *lease_lines.c.keys())


def put_pools(rows: Sequence[PoolRecord]) -> bulk.Write:
    return _put_pools, rows


def put_nodes(rows: Sequence[NodeRecord]) -> bulk.Write:
    return _put_nodes, rows


def put_bids(rows: Sequence[BidRecord]) -> bulk.Write:
    """Write bids, new ones with their texts; those of one that was there before stay as they are."""
    return _put_bids, rows


def put_leases(rows: Sequence[LeaseRecord]) -> bulk.Write:
    """Write leases, by their ids: where a bid's has ended and it has a new one, the old one first."""
    return _put_leases, rows


def put_prices(rows: Sequence[PriceRecord]) -> bulk.Write:
    """Write intervals, in their order: the one that ends before the one that begins."""
    return _put_prices, rows


def insert_lines(rows: Sequence[LineRecord]) -> bulk.Write:
    return _insert_lines, rows
