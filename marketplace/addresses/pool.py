"""The rule of the address pool: which address is given out next.

`lowest`: the lowest address that is free, whether it was never used or has come back. `random`: an address drawn from
the whole network, eight draws; if somebody has all of them, the next free one at or above the first draw of the batch,
wrapping round.
An address that comes back rests for the network's `reuse_delay_seconds`; while there is any other it is not given out,
then the longest rested one is.

    10.0.0.0/29, gateway .1: a gets .2, b .3, c .4; b gives .3 back; d gets .3, e .5, f .6, and then it is exhausted

A Pool knows a part of a network: for a batch of n allocations the n lowest free addresses that came back and the n
lowest segments are enough, since each allocation takes one address (of a random network: those from the first draw on).

Guarantees: an address is in exactly one of the segments, the free ones, the resting ones, and those that are assigned.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from marketplace.addresses.model import Network
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

DRAWS = 8

Released = Mapping[int, Instant | None]
"""Addresses that came back, by offset: until when they rest, None for those that are free."""


class Pool:
    """The part of a network's addresses that a batch knows; keeps the network's counts."""

    def __init__(
        self,
        network: Network,
        *,
        segments: Mapping[int, int],
        released: Released,
        now: Instant,
        draws: Sequence[int] = (),
    ) -> None:
        """Take what was read: segments as last -> next offset, and where to look first if the network is random.

        Whoever has rested long enough becomes free here.
        """
        self.network = network
        self._now = now
        self._stored_segments, self.segments = segments, dict(segments)
        self._lasts = sorted(segments)
        self._stored, self._released = released, dict(released)
        due = [offset for offset, until in released.items() if until is not None and until <= now]
        self._released.update(dict.fromkeys(due))
        network.free += len(due)
        network.resting -= len(due)
        self._free = sorted(offset for offset, until in self._released.items() if until is None)
        self._resting = sorted((until, offset) for offset, until in self._released.items() if until is not None)
        self._draws = list(draws)
        self._start = draws[0] if draws else 0

    # ── taking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def pick(self) -> int | None:
        """Take an address by the network's rule; None if every one is assigned."""
        offset = self._choose()
        if offset is not None:
            self.take(offset)
        return offset

    def is_free(self, offset: int) -> bool:
        return self._segment_of(offset) is not None or self._released.get(offset, 0) is None

    def is_resting(self, offset: int) -> bool:
        return self._released.get(offset) is not None

    def take(self, offset: int) -> None:
        """Take an address that is free or resting."""
        self.network.assigned += 1
        if offset not in self._released:
            self._take_from_segment(offset)
        elif (until := self._released.pop(offset)) is None:
            _remove(self._free, offset)
            self.network.free -= 1
        else:
            _remove(self._resting, (until, offset))
            self.network.resting -= 1

    def _choose(self) -> int | None:
        tried, self._draws = self._draws[:DRAWS], self._draws[DRAWS:]
        for drawn in tried:
            if self.is_free(drawn):
                return drawn
        offset = self._at_or_above(self._start)
        if offset is None:
            offset = self._at_or_above(0)
        if offset is None and self._resting:
            offset = self._resting[0][1]
        return offset

    def _at_or_above(self, start: int) -> int | None:
        segment, free = bisect.bisect_left(self._lasts, start), bisect.bisect_left(self._free, start)
        candidates = [max(start, self.segments[last]) for last in self._lasts[segment : segment + 1]]
        return min(candidates + self._free[free : free + 1], default=None)

    def _segment_of(self, offset: int) -> int | None:
        """Return the last offset of the segment that has this one."""
        place = bisect.bisect_left(self._lasts, offset)
        if place < len(self._lasts) and self.segments[self._lasts[place]] <= offset:
            return self._lasts[place]
        return None

    def _take_from_segment(self, offset: int) -> None:
        last = self._segment_of(offset)
        assert last is not None, "only a free address is taken"
        first = self.segments[last]
        if offset < last:
            self.segments[last] = offset + 1
        else:
            del self.segments[last]
            _remove(self._lasts, last)
        if first < offset:
            self.segments[offset - 1] = first
            bisect.insort(self._lasts, offset - 1)

    # ── giving back ──────────────────────────────────────────────────────────────────────────────────────────────────

    def give_back(self, offset: int) -> None:
        """Let an assigned address rest, or be free at once where the network knows no rest."""
        self.network.assigned -= 1
        if self.network.reuse_delay_seconds:
            until = self._now + self.network.reuse_delay_seconds * clock.SECOND
            self._released[offset] = until
            bisect.insort(self._resting, (until, offset))
            self.network.resting += 1
        else:
            self._released[offset] = None
            bisect.insort(self._free, offset)
            self.network.free += 1

    # ── what has changed ─────────────────────────────────────────────────────────────────────────────────────────────

    def changed_segments(self) -> dict[int, int]:
        """Return new and changed segments, as last -> next offset."""
        return dict(self.segments.items() - self._stored_segments.items())

    def used_up_segments(self) -> list[int]:
        """Return the last offsets of segments that are no more."""
        return [last for last in self._stored_segments if last not in self.segments]

    def changed_released(self) -> Released:
        """Return the addresses that came back or whose rest is over."""
        return {offset: until for offset, until in self._released.items() if self._stored.get(offset, 0) != until}


def draw(network: Network, allocations: int, source: Random) -> list[int]:
    """Draw where a random network is to look for so many addresses, before anything is read."""
    if network.allocation == "lowest":
        return []
    return [source.randrange(network.size) for _ in range(allocations * DRAWS)]


def _remove(ordered: list[Any], item: Any) -> None:
    del ordered[bisect.bisect_left(ordered, item)]
