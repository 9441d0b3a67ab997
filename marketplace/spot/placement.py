"""The rule of the spot market: who runs where, who has to go, and what a unit costs.

**One order** for admission and eviction: the price paid for a unit, highest first, running before queued at the same
price, then first come. Bids are tried in this order. A bid below the pool's reserve price gets nothing.

**A place.** Where it fits without evicting, a bid goes to the node with the least room left, in units. Otherwise it
displaces leases of *one* node: they run, are past their minimum runtime, and pay for a unit less by more than the
margin. On each node those who pay least go first, and of those the youngest, until it fits. The node is the one whose
dearest victim is cheapest, then whose victims together pay least, then with the fewest; there, dearest first, whoever
is not needed after all stays. The bid then waits for its victims, and what it needs is reserved for it.

**The price** of a unit: the price of the dearest victim that one unit would have to displace to get in now, by the same
rule, without the margin; nothing if it fits free; the reserve at least. Where so few may be displaced that it cannot
get in, the price is what it will be when those who leave are gone, those who wait are in and nobody is protected.
docs/decisions/0018 tells why.

    one node of 2 vCPU and 4 GiB, a unit is 1 vCPU and 2 GiB, margin 5 %
    a and b of one unit each run at 1.00 and 3.00; the price is 1.00
    c, one unit at 1.05, waits: it does not exceed 1.00 by more than 5 %.    d, one unit at 1.06, displaces a
    e, two units at 6.00, that is 3.00 a unit, waits: it would have to displace b, who pays no less

Guarantees: no victim pays as much for a unit as who displaces it; no victim is needless; what is reserved and what runs
never exceed a node; deciding again without an event changes nothing; between events the sorted list of running prices
only rises, so that evictions end; a node that is not ready changes neither places nor price.

**Only what an event touches** is worked on. Between events room only shrinks (see rooms), so a bid that got no place
gets none until room opens somewhere: after a decision only new bids are tried, and the first of each group where a node
has opened: a shape, and the nodes that are avoided since a container could not be started there. `plan` is the same for
a market of which nothing is known: all bids are new.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from marketplace.foundation.clock import SECOND, Instant
from marketplace.spot.model import (
    Bid,
    Eviction,
    Lease,
    Node,
    Plan,
    Policy,
    Preview,
    Ranked,
    Reason,
    Start,
)
from marketplace.spot.queue import Frontiers, Queue, group_of
from marketplace.spot.rooms import Placed, Room, Rooms, Shape


def plan(nodes: Iterable[Node], bids: Iterable[Bid], *, running: Iterable[Lease], now: Instant, policy: Policy) -> Plan:
    """Decide from scratch. Every lease, in whatever state, is on one of the nodes, and its bid is none of the bids."""
    state = State(policy)
    for node in nodes:
        state.put_node(node)
    for lease in running:
        state.put_lease(lease)
    for bid in bids:
        state.put_bid(bid)
    return state.decide(now)


class State:
    """A pool, kept up by events: what it decides is what `plan` would say of the same pool."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._nodes: dict[str, Node] = {}
        self._leases: dict[str, dict[int, Placed]] = {}
        self._node_of: dict[int, str] = {}
        self._rooms = Rooms(policy)
        self._queue = Queue(policy)
        self._new: set[int] = set()
        """Bids that were never tried."""
        self._touched: set[str] = set()
        """Nodes whose room has to be added up anew."""
        self._opening: set[str] = set()
        """Those of them that may have become better for somebody."""
        self._opened: set[str] = set()
        """All nodes that may have, since the last decision."""
        self._protections: list[tuple[Instant, str]] = []
        self._before: list[Bid | Lease] = []
        self._tried: set[int] = set()

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def put_node(self, node: Node) -> None:
        """Take in a node that is new or has changed."""
        if self._nodes.get(node.node) != node:
            self._nodes[node.node] = node
            self._leases.setdefault(node.node, {})
            self._touch(node.node)

    def remove_node(self, node: str) -> None:
        """Forget a node and the leases that are still on it."""
        for bid_id in self._leases.pop(node, {}):
            del self._node_of[bid_id]
        self._nodes.pop(node, None)
        self._touch(node)

    def put_bid(self, bid: Bid) -> None:
        """Queue a bid: new, changed, or back from a node."""
        self.remove(bid.bid_id)
        self._queue.put(bid)
        self._new.add(bid.bid_id)

    def put_lease(self, lease: Lease) -> None:
        """Take in a lease, or what has changed about it. Its node is known."""
        if self.lease(lease.bid.bid_id) != lease:
            self.remove(lease.bid.bid_id)
            self._set(lease)
            self._touch(lease.node)

    def remove(self, bid_id: int) -> None:
        """Forget a bid, queued or on a node: cancelled, expired, or ended and gone."""
        self._queue.discard(bid_id)
        self._new.discard(bid_id)
        if (node := self._node_of.pop(bid_id, None)) is not None:
            del self._leases[node][bid_id]
            self._touch(node)

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def lease(self, bid_id: int) -> Lease | None:
        node = self._node_of.get(bid_id)
        return None if node is None else self._leases[node][bid_id].lease

    def bids(self) -> Iterator[Bid]:
        """Yield every bid that is known, queued or on a node."""
        for line in self._queue.lines():
            yield from (place.bid for place in line)
        for leases in self._leases.values():
            yield from (lease.bid for lease, _ in leases.values())

    def queued(self, bid_id: int) -> Bid | None:
        """Return a bid that waits."""
        return self._queue[bid_id].bid if bid_id in self._queue else None

    def changes_at(self) -> Instant | None:
        """Return when the next lease may be past its minimum runtime, None where all are."""
        return self._protections[0][0] if self._protections else None

    def rank(self, bid_id: int) -> int | None:
        """Return how manieth in the queue a bid is, from 1 on; None if it is not queued."""
        return self._queue.rank(bid_id) if bid_id in self._queue else None

    def price(self, now: Instant) -> int:
        """Return the price of a unit, in micro-credits an hour."""
        self._add_up(now)
        victim = self._rooms.unit_victim()
        if victim is None:
            return self.policy.reserve_micros
        return max(self.policy.reserve_micros, self._unit_price(victim))

    def preview(self, bid: Bid, *, now: Instant) -> Preview:
        """Tell what a bid would get if it came now; ask it of a pool that has just decided. Queued bids can ask too."""
        price = self.price(now)
        least = self._least_price(bid)
        runs = least is not None and bid.max_price_micros >= least
        node, victims = self._find(bid, Frontiers()) if runs else (None, ())
        return Preview(runs, price, least, tuple(victim.bid_id for victim in victims), node)

    def reason(self, bid: Bid) -> Reason:
        """Tell why a bid waits that got no place."""
        if self._is_below_reserve(bid):
            paid, reserve = _credits(self._unit_price(bid)), _credits(self.policy.reserve_micros)
            return Reason("below_reserve", f"It pays {paid} an hour for a unit; the pool's reserve price is {reserve}.")
        if not self._rooms.could_hold(bid.shape, avoiding=bid.avoids):
            which = "other node than those where it failed to start" if bid.avoids else "node that is ready"
            return Reason("too_large", f"No {which} is large enough, even with nothing else on it.")
        return Reason("no_room", "No node has room, nor enough leases that may be displaced for its price.")

    # ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def decide(self, now: Instant) -> Plan:
        """Say what is to happen now, and take it as done: until `take_back`, or until events tell of it."""
        self._before = []
        released = self._release_claims()
        self._add_up(now)
        starts = self._start_claims()
        evictions: list[Eviction] = []
        new = self._tried = self._new
        self._new = set()
        for bid, node, victims in self._places(new, now):
            evictions += [self._evict(victim, bid, now) for victim in victims]
            starts.append(Start(bid, node, tuple(victim.bid_id for victim in victims)))
            self._change(bid, Lease(bid, node, "waiting" if victims else "running"))
        price = self.price(now)
        waiting = [self._queue[bid_id].bid for bid_id in sorted(new) if bid_id in self._queue]
        self._opened.clear()
        return Plan(tuple(starts), tuple(evictions), released, price, {bid.bid_id: self.reason(bid) for bid in waiting})

    def take_back(self) -> None:
        """Undo the last decision, which could not be carried out. Comes before any further event."""
        for former in reversed(self._before):
            if isinstance(former, Bid):
                self.put_bid(former)
            else:
                self.put_lease(former)
        self._new |= {bid_id for bid_id in self._tried if bid_id in self._queue}
        self._before, self._tried = [], set()

    def _release_claims(self) -> tuple[int, ...]:
        """Queue whoever has reserved room on a node that is ready no more."""
        claims = [
            lease
            for node in self._opened
            if node in self._nodes and not self._nodes[node].is_ready
            for lease, _ in self._leases[node].values()
            if lease.state == "waiting"
        ]
        for lease in claims:
            self.put_bid(lease.bid)
        self._before += claims
        return tuple(sorted(lease.bid.bid_id for lease in claims))

    def _start_claims(self) -> list[Start]:
        """Start whoever's victims are gone."""
        claims = [
            self._leases[node][bid_id].lease
            for node in self._opened
            if node in self._rooms
            for bid_id, leaving in self._rooms[node].claims.items()
            if leaving == (0, 0)
        ]
        claims.sort(key=lambda lease: self.policy.rank(lease.bid))
        for lease in claims:
            self._change(lease, Lease(lease.bid, lease.node))
        return [Start(lease.bid, lease.node) for lease in claims]

    def _places(self, new: Collection[int], now: Instant) -> Iterator[tuple[Bid, str, Sequence[Bid]]]:
        """Yield who gets a place, best first, with node and victims; each is put there before the next is asked for."""
        tries = [self._queue[bid_id] for bid_id in new]
        if self._opened:
            tries += self._heads(new)
        heapq.heapify(tries)
        full, hopeless = Frontiers(), Frontiers()
        while tries:
            bid = heapq.heappop(tries).bid
            if bid.bid_id not in self._queue or hopeless.covers(bid):
                continue
            if self._is_below_reserve(bid):
                return  # and so are all that come after it
            self._add_up(now)
            node, victims = self._find(bid, full)
            if node is None:
                hopeless.add(bid)
                continue
            yield bid, node, victims
            if self._opened and (head := self._queue.head(group_of(bid))):
                heapq.heappush(tries, head)

    def _heads(self, new: Collection[int]) -> list[Ranked]:
        """Return the first of each group that was tried before and might get a place where a node has opened."""
        rooms = [self._rooms[node] for node in self._opened if node in self._rooms]
        heads = (head for head in self._queue.heads() if head.bid.bid_id not in new)
        return [head for head in heads if any(room.might_take(head) for room in rooms)]

    def _find(self, bid: Bid, full: Frontiers) -> tuple[str | None, Sequence[Bid]]:
        if not full.covers(bid):
            if (node := self._rooms.best_fit(bid.shape, avoiding=bid.avoids)) is not None:
                return node, ()
            full.add(bid)
        return self._displace(bid)

    def _displace(self, bid: Bid) -> tuple[str | None, Sequence[Bid]]:
        reach = self.policy.reach(bid.max_price_micros, self.policy.size(*bid.shape))
        offer = self._rooms.best_offer(bid.shape, below=reach, avoiding=bid.avoids)
        return (None, ()) if offer is None else (offer.node, self._rooms[offer.node].victims(bid.shape))

    def _evict(self, victim: Bid, bid: Bid, now: Instant) -> Eviction:
        lease = self.lease(victim.bid_id)
        assert lease is not None
        leaving = msgspec.structs.replace(lease, state="leaving", for_bid=bid.bid_id)
        self._change(lease, leaving)
        stop_at = now + self.policy.notice(victim.notice_seconds) * SECOND
        return Eviction(leaving, bid.bid_id, stop_at, self._unit_price(victim), self._unit_price(bid))

    # ── the books ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _change(self, former: Bid | Lease, lease: Lease) -> None:
        """Set what was decided here, which opens no room, and keep what was before."""
        self._before.append(former)
        self._queue.discard(lease.bid.bid_id)
        self._set(lease)

    def _set(self, lease: Lease) -> None:
        leases, bid = self._leases[lease.node], lease.bid
        known = leases.get(bid.bid_id)
        leases[bid.bid_id] = Placed(lease, known.ranked if known and known.lease.bid is bid else self.policy.rank(bid))
        self._node_of[lease.bid.bid_id] = lease.node
        self._touched.add(lease.node)
        if lease.state == "running" and lease.started_at is not None:
            heapq.heappush(self._protections, (lease.started_at + self.policy.minimum_runtime, lease.node))

    def _touch(self, node: str) -> None:
        self._touched.add(node)
        self._opening.add(node)
        self._opened.add(node)

    def _add_up(self, now: Instant) -> None:
        """Bring the rooms of nodes that were touched up to date, or whose leases are protected no longer."""
        while self._protections and self._protections[0][0] <= now:
            self._touch(heapq.heappop(self._protections)[1])
        for name in self._touched:
            node = self._nodes.get(name)
            if node is not None and node.is_ready:
                room = Room(node, self._leases[name].values(), policy=self.policy, now=now)
                self._rooms.put(room, is_tighter=name not in self._opening)
            else:
                self._rooms.discard(name)
        self._touched.clear()
        self._opening.clear()

    def _is_below_reserve(self, bid: Bid) -> bool:
        return bid.max_price_micros < self._reserve_price(bid.shape)

    def _reserve_price(self, shape: Shape) -> int:
        """Return the least price that is not below the reserve, for a container of this shape."""
        return -(-self.policy.reserve_micros * self.policy.size(*shape) // self.policy.parts)

    def _least_price(self, bid: Bid) -> int | None:
        """Return for which price it would run now, at least."""
        reserve = self._reserve_price(bid.shape)
        if self._rooms.best_fit(bid.shape, avoiding=bid.avoids) is not None:
            return reserve
        victim = self._rooms.dearest_victim(bid.shape, avoiding=bid.avoids)
        return None if victim is None else max(reserve, self.policy.price_over(victim, bid.shape))

    def _unit_price(self, bid: Bid) -> int:
        return self.policy.unit_price(bid.max_price_micros, self.policy.size(*bid.shape))


def _credits(micros: int) -> str:
    whole, fraction = divmod(micros, 1_000_000)
    return f"{whole}.{fraction:06d}"
