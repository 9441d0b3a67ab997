"""What a projection of a pool reads: rows by the entry of the log that changed them last."""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.spot.records import OPEN_BID_STATES
from marketplace.spot.tables import leases, nodes, spot_bids, spot_prices

_pool = sa.bindparam("pool", type_=sa.Text)
_after = sa.bindparam("after", type_=sa.BigInteger)

_price = sa.select(spot_prices.c.unit_price_micros_per_hour).where(
    spot_prices.c.pool == _pool, spot_prices.c.to_at.is_(None)
)
_nodes = (
    sa.select(nodes.c.node, nodes.c.cpu_millis, nodes.c.memory_mib, nodes.c.state)
    .where(nodes.c.pool == _pool, nodes.c.changed_seq > _after)
    .order_by(nodes.c.changed_seq, nodes.c.node)
)
_bids = (
    sa.select(
        spot_bids.c.bid_id,
        spot_bids.c.queue_seq,
        spot_bids.c.cpu_millis,
        spot_bids.c.memory_mib,
        spot_bids.c.max_price_micros_per_hour,
        spot_bids.c.notice_seconds,
        spot_bids.c.avoids,
        spot_bids.c.state,
        spot_bids.c.not_before,
        leases.c.node,
        leases.c.state.label("lease_state"),
        leases.c.started_at,
        leases.c.for_bid,
    )
    .outerjoin(leases, sa.and_(leases.c.pool == spot_bids.c.pool, leases.c.lease_id == spot_bids.c.lease_id))
    .where(spot_bids.c.pool == _pool)
)
_changed_bids = _bids.where(spot_bids.c.changed_seq > _after).order_by(spot_bids.c.changed_seq, spot_bids.c.bid_id)
# As literals: the partial index of open bids is known by them.
_is_open = sa.text(f"spot_bids.state IN {OPEN_BID_STATES}")
_open_bids = _bids.where(_is_open).order_by(spot_bids.c.bid_id)


def read_price(tx: sa.Connection, pool: str) -> int:
    """Return what a unit costs, 0 where no price was ever set."""
    return tx.scalar(_price, {"pool": pool}) or 0


def read_changed_nodes(tx: sa.Connection, pool: str, *, after: int) -> list[sa.Row[tuple[str, int, int, str]]]:
    """Return the nodes that an entry later than `after` has changed."""
    return list(tx.execute(_nodes, {"pool": pool, "after": after}))


def read_open_bids(tx: sa.Connection, pool: str) -> list[sa.Row[tuple[object, ...]]]:
    """Return all open bids, with their open leases."""
    return list(tx.execute(_open_bids, {"pool": pool}))


def read_changed_bids(tx: sa.Connection, pool: str, *, after: int) -> list[sa.Row[tuple[object, ...]]]:
    """Return the bids, open or over, that an entry later than `after` has changed, with their open leases."""
    return list(tx.execute(_changed_bids, {"pool": pool, "after": after}))
