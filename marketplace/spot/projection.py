"""A stand-in until the engine's comes: built anew each time."""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.spot.model import Lease, Node
from marketplace.spot.placement import State
from marketplace.spot.records import BidRecord, LeaseRecord, NodeRecord, PoolRecord
from marketplace.spot.sql import BID_COLUMNS
from marketplace.spot.tables import leases, nodes, pools, spot_bids


class Projection:
    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.state: State

    def catch_up(self, tx: sa.Connection) -> None:
        pool = PoolRecord(*tx.execute(sa.select(*pools.c).where(pools.c.pool == self.pool)).one())
        state = State(pool.policy())
        for row in tx.execute(sa.select(*nodes.c).where(nodes.c.pool == self.pool)):
            one = NodeRecord(*row)
            state.put_node(Node(one.node, one.cpu_millis, one.memory_mib, one.state == "ready"))
        bids = {
            row.bid_id: BidRecord(*row)
            for row in tx.execute(
                sa.select(*BID_COLUMNS).where(spot_bids.c.pool == self.pool, spot_bids.c.ended_at.is_(None))
            )
        }
        for row in tx.execute(sa.select(*leases.c).where(leases.c.pool == self.pool, leases.c.ended_at.is_(None))):
            lease = LeaseRecord(*row)
            kinds = {"matched": "waiting", "starting": "running", "running": "running"}
            kind = kinds.get(lease.state, "leaving")
            state.put_lease(Lease(bids[lease.bid_id].as_placed(), lease.node, kind, lease.started_at, lease.for_bid))  # type: ignore[arg-type]
        for bid in bids.values():
            if bid.state == "submitted":
                state.put_bid(bid.as_placed())
        self.state = state
