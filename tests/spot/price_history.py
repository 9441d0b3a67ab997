"""Prices of a pool that changed at certain instants."""

from __future__ import annotations

from marketplace.spot import pricing
from marketplace.spot.pricing import Interval


def at_prices(*changes: tuple[int, int]) -> list[Interval]:
    """Make intervals from (instant, price) pairs."""
    prices: dict[int, Interval] = {}
    current = None
    for at, price in changes:
        for interval in pricing.change(current, price, at=at):
            prices[interval.from_at] = current = interval
    return list(prices.values())
