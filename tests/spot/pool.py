"""A pool as its books would have it, beside the state that is kept up from its events; each decision is proved."""

from __future__ import annotations

import msgspec

from marketplace.foundation.clock import SECOND
from marketplace.spot import placement
from marketplace.spot.model import Bid, Lease, Node, Plan, Policy
from tests.spot.simple_market import SimpleMarket


class Pool:
    """Plain dictionaries of nodes, queued bids and leases, and one State that is told of every event."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = 0
        self.nodes: dict[str, Node] = {}
        self.queued: dict[int, Bid] = {}
        self.leases: dict[int, Lease] = {}
        self.state = placement.State(policy)
        self.last_id = 0

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def put_node(self, node: Node) -> None:
        self.nodes[node.node] = node
        self.state.put_node(node)

    def remove_node(self, name: str) -> None:
        """Remove a node; whoever was on it is queued again."""
        gone = [lease.bid for lease in self.leases.values() if lease.node == name]
        del self.nodes[name]
        self.leases = {bid_id: lease for bid_id, lease in self.leases.items() if lease.node != name}
        self.state.remove_node(name)
        for bid in gone:
            self.queue(bid)

    def place(self, cpu_millis: int, memory_mib: int, max_price_micros: int) -> int:
        """Place a new bid; return its id."""
        self.last_id += 1
        self.queue(Bid(self.last_id, self.last_id, cpu_millis, memory_mib, max_price_micros))
        return self.last_id

    def queue(self, bid: Bid) -> None:
        self.leases.pop(bid.bid_id, None)
        self.queued[bid.bid_id] = bid
        self.state.put_bid(bid)

    def remove(self, bid_id: int) -> None:
        self.queued.pop(bid_id, None)
        self.leases.pop(bid_id, None)
        self.state.remove(bid_id)

    def put_lease(self, lease: Lease) -> None:
        self.queued.pop(lease.bid.bid_id, None)
        self.leases[lease.bid.bid_id] = lease
        self.state.put_lease(lease)

    def start_containers(self) -> None:
        """Every container that was to start has started now."""
        for lease in list(self.leases.values()):
            if lease.state == "running" and lease.started_at is None:
                self.put_lease(msgspec.structs.replace(lease, started_at=self.now))

    def pass_seconds(self, seconds: int) -> None:
        self.now += seconds * SECOND

    # ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def plan(self) -> Plan:
        """Plan from scratch."""
        return placement.plan(
            self.nodes.values(),
            self.queued.values(),
            running=self.leases.values(),
            now=self.now,
            policy=self.policy,
        )

    def decide(self) -> Plan:
        """Let the state decide; from scratch, and plainly, it comes to the same. Then everything planned is done."""
        from_scratch = self.plan()
        plain = SimpleMarket(
            self.nodes.values(),
            self.queued.values(),
            leases=self.leases.values(),
            now=self.now,
            policy=self.policy,
        )
        plan = self.state.decide(self.now)

        assert plan.starts == from_scratch.starts
        assert plan.evictions == from_scratch.evictions
        assert plan.released == from_scratch.released == tuple(sorted(plain.released))
        assert plan.price_micros == from_scratch.price_micros == plain.price
        assert plan.reasons.items() <= from_scratch.reasons.items()
        assert {(start.bid.bid_id, start.node, frozenset(start.waits_for)) for start in plan.starts} == plain.starts
        self.carry_out(plan)
        return plan

    def carry_out(self, plan: Plan) -> None:
        """Write a plan into the books, as whoever asked for it would."""
        for bid_id in plan.released:
            self.queued[bid_id] = self.leases.pop(bid_id).bid
        for eviction in plan.evictions:
            self.leases[eviction.lease.bid.bid_id] = eviction.lease
        for start in plan.starts:
            bid = start.bid
            self.queued.pop(bid.bid_id, None)
            self.leases[bid.bid_id] = Lease(bid, start.node, "waiting" if start.waits_for else "running")
