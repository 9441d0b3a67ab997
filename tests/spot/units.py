"""Pools and bids counted in units of 1 vCPU with 2 GiB, for tests that are about the rule."""

from __future__ import annotations

from marketplace.foundation.clock import SECOND
from marketplace.spot.model import Bid, Lease, Node, Plan, Policy
from tests.spot.pool import Pool

LONG_AGO = -3_600 * SECOND
POLICY = Policy(unit_cpu_millis=1_000, unit_memory_mib=2_048)


def pool_of(*units: int, policy: Policy = POLICY) -> Pool:
    """Make a pool with nodes a, b, c … of so many units."""
    pool = Pool(policy)
    for name, size in zip("abcd", units, strict=False):
        pool.put_node(Node(name, size * 1_000, size * 2_048))
    return pool


def bid(pool: Pool, units: int, unit_price: int) -> int:
    return pool.place(units * 1_000, units * 2_048, units * unit_price)


def runs(pool: Pool, node: str, units: int, unit_price: int, *, started_at: int | None = LONG_AGO) -> int:
    """Let a lease run on a node; return its bid's id."""
    pool.last_id += 1
    container = Bid(pool.last_id, pool.last_id, units * 1_000, units * 2_048, units * unit_price)
    pool.put_lease(Lease(container, node, started_at=started_at))
    return pool.last_id


def placed(plan: Plan) -> dict[int, tuple[str, set[int]]]:
    return {start.bid.bid_id: (start.node, set(start.waits_for)) for start in plan.starts}


def victims(plan: Plan) -> list[int]:
    return [eviction.lease.bid.bid_id for eviction in plan.evictions]
