"""The bids that wait, each shape by itself and the best first; and which shapes need not be tried again."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator

from marketplace.spot.model import Bid, Policy, Ranked

Shape = tuple[int, int]
"""Millis of vCPU and MiB of memory."""


class Queue:
    """Of one shape only the first needs to be tried: where it gets no place, none that pays less does."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._places: dict[int, Ranked] = {}
        self._by_shape: dict[Shape, list[Ranked]] = {}

    def __contains__(self, bid_id: int) -> bool:
        return bid_id in self._places

    def __getitem__(self, bid_id: int) -> Ranked:
        return self._places[bid_id]

    def __len__(self) -> int:
        return len(self._places)

    def put(self, bid: Bid) -> None:
        """Queue a bid that is not queued yet."""
        place = self._places[bid.bid_id] = self._policy.rank(bid)
        bisect.insort(self._by_shape.setdefault(bid.shape, []), place)

    def discard(self, bid_id: int) -> None:
        if place := self._places.pop(bid_id, None):
            line = self._by_shape[place.bid.shape]
            del line[bisect.bisect_left(line, place)]
            if not line:
                del self._by_shape[place.bid.shape]

    def heads(self) -> Iterator[Ranked]:
        """Yield the first of each shape."""
        return (line[0] for line in self._by_shape.values())

    def lines(self) -> Iterable[list[Ranked]]:
        """Return the bids of each shape, the best first."""
        return self._by_shape.values()

    def head(self, shape: Shape) -> Ranked | None:
        line = self._by_shape.get(shape)
        return line[0] if line else None

    def rank(self, bid_id: int) -> int:
        """Return how manieth a queued bid is, from 1 on."""
        place = self._places[bid_id]
        return 1 + sum(bisect.bisect_left(line, place) for line in self._by_shape.values())


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
