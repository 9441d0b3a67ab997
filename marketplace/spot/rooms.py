"""Room on nodes as the placement rule sees it: what is free, who could make more, and where it costs least.

A node's room is what is left beside what runs there, what leaves, and what is reserved. A bid that waits for its
victims holds the larger of what it needs and what they still have, so that displacing somebody frees nothing for third
ones: between outside events room only shrinks. Placement rests on that.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from marketplace.foundation.clock import Instant
from marketplace.spot.model import Bid, Lease, Node, Policy, Ranked

Shape = tuple[int, int]
"""Millis of vCPU and MiB of memory."""

FITS_FREE = -1


class Offer(NamedTuple):
    """What room on a node would cost; the smallest one is the best."""

    worth: int
    """Of the dearest victim, FITS_FREE without any."""
    price_micros: int
    """Of all victims together."""
    victims: int
    node: str


class Placed(NamedTuple):
    """A lease, and its bid in the order of all."""

    lease: Lease
    ranked: Ranked


class Room:
    """One node and its leases."""

    def __init__(self, node: Node, leases: Collection[Placed], *, policy: Policy, now: Instant) -> None:
        """Add up what is free (it may be negative, if the node shrank) and order who may be displaced."""
        self.node = node
        self._leases = leases
        waiting = [lease.bid for lease, _ in leases if lease.state == "waiting"]
        self.claims = {bid.bid_id: (0, 0) for bid in waiting}
        """Who has reserved room, and what the victims of each still have of it."""
        self.evictable: list[Ranked] = []
        cpu, memory = node.cpu_millis, node.memory_mib
        last_start = now - policy.minimum_runtime
        for lease, ranked in leases:
            if lease.state == "leaving" and lease.for_bid in self.claims:
                of_claim = self.claims[lease.for_bid]
                self.claims[lease.for_bid] = (of_claim[0] + lease.bid.cpu_millis, of_claim[1] + lease.bid.memory_mib)
            elif lease.state != "waiting":
                cpu -= lease.bid.cpu_millis
                memory -= lease.bid.memory_mib
                if lease.state == "running" and lease.started_at is not None and lease.started_at <= last_start:
                    self.evictable.append(ranked)
        for bid in waiting:
            of_claim = self.claims[bid.bid_id]
            cpu -= max(of_claim[0], bid.cpu_millis)
            memory -= max(of_claim[1], bid.memory_mib)
        self.free = (cpu, memory)
        self.evictable.sort(reverse=True)

    @property
    def holders(self) -> list[Ranked]:
        """Return who runs or waits, in the order in which they would have to go were nobody protected."""
        return sorted((ranked for lease, ranked in self._leases if lease.state != "leaving"), reverse=True)

    def might_take(self, place: Ranked) -> bool:
        """Tell whether it is worth to try a bid here: it fits in free, or in the whole and somebody pays less."""
        shape = place.bid.shape
        if self.node.node in place.bid.avoids:
            return False
        if self.fits(shape):
            return True
        evictable, node = self.evictable, self.node
        may_displace = bool(evictable) and place.minus_worth < evictable[0].minus_worth
        return may_displace and shape[0] <= node.cpu_millis and shape[1] <= node.memory_mib

    def fits(self, shape: Shape) -> bool:
        return shape[0] <= self.free[0] and shape[1] <= self.free[1]

    def offer(self, shape: Shape) -> Offer | None:
        """Tell what room for a shape costs: victims in their order until it fits. None if all are not enough."""
        return _offer(self.node.node, self.free, self.evictable, shape)

    def offer_later(self, shape: Shape) -> Offer | None:
        """The same, as if whoever leaves were gone, whoever waits were in, and nobody were protected."""
        holders = self.holders
        cpu = self.node.cpu_millis - sum(held.bid.cpu_millis for held in holders)
        memory = self.node.memory_mib - sum(held.bid.memory_mib for held in holders)
        return _offer(self.node.node, (cpu, memory), holders, shape)

    def victims(self, shape: Shape) -> list[Bid]:
        """Choose who has to go for a shape: victims in their order, but whoever is not needed stays, dearest first."""
        offer = self.offer(shape)
        assert offer is not None
        chosen = [holder.bid for holder in self.evictable[: offer.victims]]
        cpu, memory = self.free
        spare_cpu = cpu + sum(bid.cpu_millis for bid in chosen) - shape[0]
        spare_memory = memory + sum(bid.memory_mib for bid in chosen) - shape[1]
        needed = []
        for bid in reversed(chosen):
            if bid.cpu_millis <= spare_cpu and bid.memory_mib <= spare_memory:
                spare_cpu -= bid.cpu_millis
                spare_memory -= bid.memory_mib
            else:
                needed.append(bid)
        return needed[::-1]


def _offer(node: str, free: Shape, holders: list[Ranked], shape: Shape) -> Offer | None:
    missing_cpu, missing_memory = shape[0] - free[0], shape[1] - free[1]
    if missing_cpu <= 0 and missing_memory <= 0:
        return Offer(FITS_FREE, 0, 0, node)
    total = 0
    for count, (minus_worth, _, bid) in enumerate(holders, 1):
        missing_cpu -= bid.cpu_millis
        missing_memory -= bid.memory_mib
        total += bid.max_price_micros
        if missing_cpu <= 0 and missing_memory <= 0:
            return Offer(-minus_worth, total, count, node)
    return None


# ── all nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Rooms:
    """The rooms of all ready nodes, in the orders in which they are looked for."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rooms: dict[str, Room] = {}
        self._by_size = _BySize(self._rooms, policy)
        self._offers: dict[Shape, _Offers] = {}
        self._unit = (policy.unit_cpu_millis, policy.unit_memory_mib)
        self._later: _Offers | None = None
        self._capacities: set[Shape] | None = None

    def __getitem__(self, node: str) -> Room:
        return self._rooms[node]

    def __contains__(self, node: str) -> bool:
        return node in self._rooms

    def put(self, room: Room, *, is_tighter: bool) -> None:
        """Take in a room that was added up anew. `is_tighter` promises that no shape can be had there for less."""
        node = room.node.node
        if node not in self._rooms or self._rooms[node].node != room.node:
            self._capacities = None
        self._rooms[node] = room
        self._changed(node, is_tighter=is_tighter)

    def discard(self, node: str) -> None:
        """Forget a node that is ready no more."""
        if self._rooms.pop(node, None):
            self._capacities = None
            self._changed(node, is_tighter=False)

    def best_fit(self, shape: Shape, *, avoiding: Collection[str] = ()) -> str | None:
        """Return the node with the least room left, in units, that still fits the shape."""
        entries = self._by_size.entries()
        first = bisect.bisect_left(entries, (self._policy.room(*shape), ""))
        nodes = (entries[place][1] for place in range(first, len(entries)))
        return next((node for node in nodes if self._rooms[node].fits(shape) and node not in avoiding), None)

    def best_offer(self, shape: Shape, *, below: int | None = None, avoiding: Collection[str] = ()) -> Offer | None:
        """Return where room for a shape costs least, all victims being worth less than `below`.

        Offers are kept for a few shapes only, those that halve or double a unit's. For the next smaller one of them an
        offer is never dearer, so nodes are looked at in its order, and no further than one could still be better.
        """
        best: Offer | None = None
        bounds = self._offers_for(self._rung(shape))
        seen = []
        while (bound := bounds.first()) and (below is None or bound.worth < below) and (best is None or bound < best):
            seen.append(bounds.pop())
            if bound.node in avoiding:
                continue
            offer = self._rooms[bound.node].offer(shape)
            if offer and (below is None or offer.worth < below) and (best is None or offer < best):
                best = offer
        for bound in seen:
            bounds.push(bound)
        return best

    def dearest_victim(self, shape: Shape, *, avoiding: Collection[str] = ()) -> Bid | None:
        """Return who would have to go for a shape that does not fit, paying most of them; None if that cannot be."""
        offer = self.best_offer(shape, avoiding=avoiding)
        return _dearest(offer, self._rooms[offer.node].evictable) if offer else None

    def unit_victim(self) -> Bid | None:
        """Return the dearest bid that one unit would have to displace to get in, None if it fits free or never can.

        If it cannot get in now, then as if whoever leaves were gone, whoever waits were in, and nobody were protected.
        """
        if offer := self._offers_for(self._unit).first():
            return _dearest(offer, self._rooms[offer.node].evictable)
        if self._later is None:
            self._later = _Offers(self._rooms, lambda room: room.offer_later(self._unit))
        offer = self._later.first()
        return _dearest(offer, self._rooms[offer.node].holders) if offer else None

    def could_hold(self, shape: Shape, *, avoiding: Collection[str] = ()) -> bool:
        """Tell whether a node is large enough, were there nothing on it."""
        if avoiding:
            others = (room.node for name, room in self._rooms.items() if name not in avoiding)
            return any(shape[0] <= node.cpu_millis and shape[1] <= node.memory_mib for node in others)
        if self._capacities is None:
            self._capacities = {(room.node.cpu_millis, room.node.memory_mib) for room in self._rooms.values()}
        return any(shape[0] <= cpu and shape[1] <= memory for cpu, memory in self._capacities)

    def _offers_for(self, shape: Shape) -> _Offers:
        if shape not in self._offers:
            self._offers[shape] = _Offers(self._rooms, lambda room: room.offer(shape))
        return self._offers[shape]

    def _rung(self, shape: Shape) -> Shape:
        return _halved_or_doubled(self._unit[0], shape[0]), _halved_or_doubled(self._unit[1], shape[1])

    def _changed(self, node: str, *, is_tighter: bool) -> None:
        self._by_size.changed.add(node)
        for offers in self._offers.values():
            (offers.dearer if is_tighter else offers.changed).add(node)
        if self._later is not None:  # where large victims make way for a small bid, there will be more
            self._later.changed.add(node)


def _dearest(offer: Offer, holders: list[Ranked]) -> Bid | None:
    return holders[offer.victims - 1].bid if offer.victims else None


def _halved_or_doubled(unit: int, limit: int) -> int:
    """Return the largest number up to `limit` to which a unit can be doubled or halved."""
    while unit > limit:
        unit //= 2
    while unit and unit * 2 <= limit:
        unit *= 2
    return unit


class _BySize:
    """Nodes by how many units there is room for, the least first. Works on those that changed when it is asked."""

    def __init__(self, rooms: Mapping[str, Room], policy: Policy) -> None:
        self._rooms, self._policy = rooms, policy
        self._by_node: dict[str, tuple[int, str]] = {}
        self._entries: list[tuple[int, str]] = []
        self.changed = set(rooms)

    def entries(self) -> list[tuple[int, str]]:
        """Return pairs of room, in parts of a unit, and node; good until the next change."""
        one_by_one = len(self.changed) * 8 < len(self._rooms)
        for node in self.changed:
            old = self._by_node.pop(node, None)
            if old and one_by_one:
                del self._entries[bisect.bisect_left(self._entries, old)]
            if node in self._rooms:
                new = self._by_node[node] = (self._policy.room(*self._rooms[node].free), node)
                if one_by_one:
                    bisect.insort(self._entries, new)
        if not one_by_one:
            self._entries = sorted(self._by_node.values())
        self.changed.clear()
        return self._entries


class _Offers:
    """What one shape costs on each node, the best offer first.

    Of a node that got `dearer` the old offer stands as a lower bound until it comes first; only then it is made anew.
    """

    def __init__(self, rooms: Mapping[str, Room], offer_of: Callable[[Room], Offer | None]) -> None:
        self._rooms, self._offer_of = rooms, offer_of
        self._by_node: dict[str, Offer] = {}
        self._heap: list[Offer] = []  # offers that are in it and not in _by_node are dead
        self.changed = set(rooms)
        self.dearer: set[str] = set()

    def first(self) -> Offer | None:
        """Return the best offer, None if there is none."""
        while self.changed:
            if renewed := self._renew(self.changed.pop()):
                heapq.heappush(self._heap, renewed)
        if len(self._heap) > 2 * len(self._by_node) + 100:
            self._heap = list(self._by_node.values())
            heapq.heapify(self._heap)
        while self._heap:
            offer = self._heap[0]
            if self._by_node.get(offer.node) is not offer:
                heapq.heappop(self._heap)
            elif offer.node not in self.dearer:
                return offer
            elif renewed := self._renew(offer.node):
                heapq.heapreplace(self._heap, renewed)
            else:
                heapq.heappop(self._heap)
        return None

    def pop(self) -> Offer:
        """Take the best offer out, to be put back by `push` before anything changes."""
        return heapq.heappop(self._heap)

    def push(self, offer: Offer) -> None:
        heapq.heappush(self._heap, offer)

    def _renew(self, node: str) -> Offer | None:
        """Make the offer of a node anew; whoever asks puts it into the heap."""
        self.dearer.discard(node)
        offer = self._offer_of(self._rooms[node]) if node in self._rooms else None
        if offer is None:
            self._by_node.pop(node, None)
        else:
            self._by_node[node] = offer
        return offer
