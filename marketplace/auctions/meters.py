"""How the books stand, read from the database when Prometheus asks: the same from every process."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from marketplace.auctions import lookups
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.http.resources import Resources

MOST_BOOKS = 1000


async def read(service: Resources) -> list[Metric]:
    """Return the gauges of the first books by name."""
    return gauges(await service.database.read_one(lookups.read_standings, limit=MOST_BOOKS), now=clock.now())


def gauges(standings: Iterable[lookups.Standing], *, now: Instant) -> list[Metric]:
    """Return how books stand."""
    orders = GaugeMetricFamily(
        "marketplace_auction_orders",
        "Orders of the book that wait for a batch, for the end of their bidding window, or for a solver to deliver",
        labels=["book", "state"],
    )
    rate = GaugeMetricFamily(
        "marketplace_auction_fill_rate", "Share of the book's commitments that solvers have kept", labels=["book"]
    )
    overdue = GaugeMetricFamily(
        "marketplace_auction_overdue_seconds",
        "How long the first order of the book waits for a tick: for its selection, its end, or that it expires",
        labels=["book"],
    )
    for one in standings:
        overdue.add_metric([one.book], 0.0 if one.due_at is None else max(now - one.due_at, 0) / clock.SECOND)
        for state in ("pending", "bidding", "committed"):
            orders.add_metric([one.book, state], float(getattr(one, state)))
        if one.filled + one.failed:
            rate.add_metric([one.book], one.filled / (one.filled + one.failed))
    return [orders, rate, overdue]
