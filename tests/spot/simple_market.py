"""The rule of the spot market said plainly: fractions, no order kept, everything looked at each time."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from marketplace.foundation.clock import SECOND
from marketplace.spot.model import Bid, Lease, Node, Policy

Decided = tuple[int, str, frozenset[int]]
"""A bid, its node, and the victims that it waits for."""


class SimpleMarket:
    """Decides once; afterwards `starts`, `released`, `leases` and `price` tell what."""

    def __init__(
        self, nodes: Collection[Node], bids: Collection[Bid], *, leases: Collection[Lease], now: int, policy: Policy
    ) -> None:
        self.policy, self.now = policy, now
        self.nodes = {node.node: node for node in nodes if node.is_ready}
        lost = [lease for lease in leases if lease.state == "waiting" and lease.node not in self.nodes]
        self.released = {lease.bid.bid_id for lease in lost}
        self.leases: dict[int, Lease] = {lease.bid.bid_id: lease for lease in leases if lease not in lost}
        self.starts: set[Decided] = set()
        for lease in list(self.leases.values()):
            if lease.state == "waiting" and not self.victims_of(lease.bid):
                self.start(lease.bid, lease.node, [])
        for bid in sorted([*bids, *(lease.bid for lease in lost)], key=self.order):
            self.try_to_place(bid)

    # ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def units(self, cpu: int, memory: int) -> tuple[Fraction, Fraction]:
        return Fraction(cpu, self.policy.unit_cpu_millis), Fraction(memory, self.policy.unit_memory_mib)

    def unit_price(self, bid: Bid) -> Fraction:
        return bid.max_price_micros / max(self.units(*bid.shape))

    def order(self, bid: Bid) -> tuple[Fraction, int]:
        return -self.unit_price(bid), bid.seq

    def on(self, node: str, *states: str) -> list[Bid]:
        return [one.bid for one in self.leases.values() if one.node == node and one.state in states]

    def victims_of(self, bid: Bid) -> list[Bid]:
        leaving = [one for one in self.leases.values() if one.state == "leaving" and one.for_bid == bid.bid_id]
        return [one.bid for one in leaving if one.node == self.leases[bid.bid_id].node]

    def free(self, node: str, *, without: Collection[Bid] = ()) -> tuple[int, int]:
        """Room beside all that runs or leaves, a waiting bid and its victims holding the larger of the two."""
        room = [self.nodes[node].cpu_millis, self.nodes[node].memory_mib]
        waiting = self.on(node, "waiting")
        linked = [victim for bid in waiting for victim in self.victims_of(bid)]
        for place in (0, 1):
            stays = [bid for bid in self.on(node, "running", "leaving") if bid not in linked and bid not in without]
            room[place] -= sum(bid.shape[place] for bid in stays)
            for bid in waiting:
                room[place] -= max(bid.shape[place], sum(victim.shape[place] for victim in self.victims_of(bid)))
        return room[0], room[1]

    def fits(self, shape: tuple[int, int], node: str, *, without: Collection[Bid] = ()) -> bool:
        cpu, memory = self.free(node, without=without)
        return shape[0] <= cpu and shape[1] <= memory

    def evictable(self, node: str) -> list[Bid]:
        """Who may be displaced at all, who goes first being first."""
        least = self.policy.minimum_runtime_seconds * SECOND
        bids = [
            one.bid
            for one in self.leases.values()
            if one.node == node
            and one.state == "running"
            and one.started_at is not None
            and self.now - one.started_at >= least
        ]
        return sorted(bids, key=self.order, reverse=True)

    # ── the rule ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def try_to_place(self, bid: Bid) -> None:
        if self.unit_price(bid) < self.policy.reserve_micros:
            return
        nodes = [node for node in self.nodes if node not in bid.avoids]
        if fitting := [node for node in nodes if self.fits(bid.shape, node)]:
            node = min(fitting, key=lambda node: (min(self.units(*self.free(node))), node))
            self.start(bid, node, [])
            return
        margin = 1 + Fraction(self.policy.margin_basis_points, 10_000)
        offers = []
        for node in nodes:
            reach = self.unit_price(bid) / margin
            cheaper = [other for other in self.evictable(node) if self.unit_price(other) < reach]
            for count in range(1, len(cheaper) + 1):
                if self.fits(bid.shape, node, without=cheaper[:count]):
                    total = sum(other.max_price_micros for other in cheaper[:count])
                    offers.append((self.unit_price(cheaper[count - 1]), total, count, node, cheaper[:count]))
                    break
        if offers:
            *_, node, victims = min(offers, key=lambda offer: offer[:4])
            for victim in sorted(victims, key=self.order):
                others = [other for other in victims if other is not victim]
                if self.fits(bid.shape, node, without=others):
                    victims = others
            self.start(bid, node, victims)

    def start(self, bid: Bid, node: str, victims: Collection[Bid]) -> None:
        for victim in victims:
            self.leases[victim.bid_id] = Lease(victim, node, "leaving", for_bid=bid.bid_id)
        self.leases[bid.bid_id] = Lease(bid, node, "waiting" if victims else "running")
        self.starts.add((bid.bid_id, node, frozenset(victim.bid_id for victim in victims)))

    @property
    def price(self) -> int:
        """The price of a unit once all that is done."""
        return max(self.policy.reserve_micros, int(self._displaced(now=True)))

    def _displaced(self, *, now: bool) -> Fraction:
        unit = (self.policy.unit_cpu_millis, self.policy.unit_memory_mib)
        prices = []
        for node in self.nodes:
            winners = sorted(self.on(node, "running", "waiting"), key=self.order, reverse=True)
            victims = self.evictable(node) if now else winners
            for count in range(len(victims) + 1):
                room = list(self.free(node, without=victims[:count]))
                if not now:
                    capacity = (self.nodes[node].cpu_millis, self.nodes[node].memory_mib)
                    room = [capacity[i] - sum(bid.shape[i] for bid in winners[count:]) for i in (0, 1)]
                if room[0] >= unit[0] and room[1] >= unit[1]:
                    prices.append(self.unit_price(victims[count - 1]) if count else Fraction(0))
                    break
        if prices:
            return min(prices)
        return self._displaced(now=False) if now else Fraction(0)
