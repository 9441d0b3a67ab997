"""What a price was over time, as candles and percentiles weighted by time; how full nodes were, and what capacity could
be worth.

a unit costs 1.00 for 45 minutes of an hour and 5.00 for the rest: open 1.00, high 5.00, low 1.00, close 5.00,
average 2.00; for 20 and for 50 percent of the time it cost 1.00 or less, for 80 percent 5.00 or less
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from marketplace.foundation.clock import HOUR, Instant
from marketplace.spot.model import Bid, Policy
from marketplace.spot.pricing import Interval


class Stay(NamedTuple):
    """A lease's room on a node, from one instant up to another; None where it is still there."""

    node: str
    cpu_millis: int
    memory_mib: int
    from_at: Instant
    to_at: Instant | None


class Candle(msgspec.Struct, frozen=True):
    """Prices of a unit in one stretch of time, in micro-credits an hour. The average is rounded down."""

    opened_at: Instant
    open: int
    high: int
    low: int
    close: int
    average: int


def cut(prices: Iterable[Interval], *, since: Instant, until: Instant) -> Iterator[tuple[Instant, Instant, int]]:
    """Yield from, to and price of the parts that lie between two instants."""
    for price in prices:
        begin = max(price.from_at, since)
        end = until if price.to_at is None else min(price.to_at, until)
        if begin < end:
            yield begin, end, price.unit_price_micros


def candles(prices: Iterable[Interval], *, width: int, since: Instant, until: Instant) -> list[Candle]:
    """Return a candle for each stretch of `width` microseconds in which there was a price, oldest first.

    Stretches begin at multiples of the width. The prices are in order and do not overlap.
    """
    made: list[Candle] = []
    parts: list[tuple[int, int]] = []
    current: Instant | None = None
    for begin, end, price in cut(prices, since=since, until=until):
        for opened_at in range(begin // width * width, end, width):
            if opened_at != current:
                if current is not None:
                    made.append(_candle(current, parts))
                current, parts = opened_at, []
            parts.append((min(end, opened_at + width) - max(begin, opened_at), price))
    if current is not None:
        made.append(_candle(current, parts))
    return made


def _candle(opened_at: Instant, parts: Sequence[tuple[int, int]]) -> Candle:
    levels = [price for _, price in parts]
    total = sum(duration * price for duration, price in parts)
    average = total // sum(duration for duration, _ in parts)
    return Candle(opened_at, levels[0], max(levels), min(levels), levels[-1], average)


def percentiles(lasted: Iterable[tuple[int, int]], percents: Sequence[int]) -> list[int] | None:
    """Return for each percent the least price that was not exceeded for so much of the time; None without a price.

    Given is for how long each price lasted, cheapest first.
    """
    levels = list(lasted)
    total = sum(duration for _, duration in levels)
    if not total:
        return None
    reached = list(itertools.accumulate(duration for _, duration in levels))
    # The first level at which reached / total is percent / 100 or more.
    return [levels[bisect.bisect_left(reached, -(-percent * total // 100))][0] for percent in percents]


def ideal_value(bids: Iterable[Bid], *, cpu_millis: int, memory_mib: int, policy: Policy) -> int:
    """Return what an hour of so much capacity would be worth, were all of it one machine where everybody may start.

    The dearest by the unit first, whoever fits.
    """
    value = 0
    for _, _, bid in sorted(policy.rank(bid) for bid in bids):
        if bid.cpu_millis <= cpu_millis and bid.memory_mib <= memory_mib:
            cpu_millis -= bid.cpu_millis
            memory_mib -= bid.memory_mib
            value += bid.max_price_micros
    return value


def hourly_use(
    stays: Iterable[Stay], room: Mapping[str, tuple[int, int]], *, since: Instant, until: Instant
) -> dict[str, list[int]]:
    """Return for each node how many percent of its room were taken in each hour, rounded down; the last one up to now.

    Of cpu and memory it is what more was taken of. `room` is what each node has, as of now: one that has become smaller
    may have been used by more than 100. `since` begins an hour.
    """
    count = -(-(until - since) // HOUR)
    taken = {node: [[0, 0] for _ in range(count)] for node in room}
    for stay in stays:
        begin, end = max(stay.from_at, since), min(until if stay.to_at is None else stay.to_at, until)
        if stay.node in taken and begin < end:
            for number in range((begin - since) // HOUR, -(-(end - since) // HOUR)):
                lasted = min(end, since + (number + 1) * HOUR) - max(begin, since + number * HOUR)
                taken[stay.node][number][0] += stay.cpu_millis * lasted
                taken[stay.node][number][1] += stay.memory_mib * lasted
    lengths = [min(HOUR, until - since - number * HOUR) for number in range(count)]
    return {
        node: [
            max(100 * used // (has * length) for used, has in zip(taken[node][number], has_of_both, strict=True) if has)
            for number, length in enumerate(lengths)
        ]
        for node, has_of_both in room.items()
        if any(has_of_both)
    }
