"""The bids that wait, each shape by itself and the best first; and which shapes need not be tried again.

Bids of one shape that avoid different nodes wait apart.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator

from marketplace.spot.model import Bid, Policy, Ranked

Shape = tuple[int, int]
"""Millis of vCPU and MiB of memory."""
Group = tuple[Shape, frozenset[str]]
"""A shape, and the nodes to be avoided."""


def group_of(bid: Bid) -> Group:
    return bid.shape, bid.avoids


class Queue:
    """Of one group only the first needs to be tried: where it gets no place, none that pays less does."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._places: dict[int, Ranked] = {}
        self._by_group: dict[Group, list[Ranked]] = {}

    def __contains__(self, bid_id: int) -> bool:
        return bid_id in self._places

    def __getitem__(self, bid_id: int) -> Ranked:
        return self._places[bid_id]

    def __len__(self) -> int:
        return len(self._places)

    def put(self, bid: Bid) -> None:
        """Queue a bid that is not queued yet."""
        place = self._places[bid.bid_id] = self._policy.rank(bid)
        bisect.insort(self._by_group.setdefault(group_of(bid), []), place)

    def discard(self, bid_id: int) -> None:
        if place := self._places.pop(bid_id, None):
            line = self._by_group[group_of(place.bid)]
            del line[bisect.bisect_left(line, place)]
            if not line:
                del self._by_group[group_of(place.bid)]

    def heads(self) -> Iterator[Ranked]:
        """Yield the first of each group."""
        return (line[0] for line in self._by_group.values())

    def lines(self) -> Iterable[list[Ranked]]:
        """Return the bids of each group, the best first."""
        return self._by_group.values()

    def head(self, group: Group) -> Ranked | None:
        line = self._by_group.get(group)
        return line[0] if line else None

    def rank(self, bid_id: int) -> int:
        """Return how manieth a queued bid is, from 1 on."""
        place = self._places[bid_id]
        return 1 + sum(bisect.bisect_left(line, place) for line in self._by_group.values())


class Frontier:
    """Shapes that got no place. Whatever is at least as large as one of them, in both, gets none either."""

    def __init__(self) -> None:
        self._shapes: list[Shape] = []  # cpu rises and memory falls: none of them covers another one

    def covers(self, shape: Shape) -> bool:
        place = bisect.bisect_left(self._shapes, (shape[0] + 1, 0))
        return place > 0 and self._shapes[place - 1][1] <= shape[1]

    def add(self, shape: Shape) -> None:
        """Add a shape that is not covered, in place of those that it covers."""
        first = last = bisect.bisect_left(self._shapes, shape)
        while last < len(self._shapes) and self._shapes[last][1] >= shape[1]:
            last += 1
        self._shapes[first:last] = [shape]


class Frontiers:
    """The same for groups: where a shape got no place that avoids nothing, it gets none that avoids something."""

    def __init__(self) -> None:
        self._of_all = Frontier()
        self._by_avoids: dict[frozenset[str], Frontier] = {}

    def covers(self, bid: Bid) -> bool:
        if self._of_all.covers(bid.shape):
            return True
        return bid.avoids in self._by_avoids and self._by_avoids[bid.avoids].covers(bid.shape)

    def add(self, bid: Bid) -> None:
        frontier = self._by_avoids.setdefault(bid.avoids, Frontier()) if bid.avoids else self._of_all
        frontier.add(bid.shape)
