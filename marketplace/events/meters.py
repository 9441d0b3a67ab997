"""Who is how far behind the logs, and what is on its way to webhooks, for Prometheus.

It is read from the database when Prometheus asks: the same from every process.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from marketplace.events import lookups, webhook_lookups
from marketplace.events.model import Lag
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.http.resources import Resources

PENDING = "marketplace_webhook_pending"
OVERDUE = "marketplace_webhook_overdue_seconds"
LAG_ENTRIES = "marketplace_event_lag_entries"
LAG_SECONDS = "marketplace_event_lag_seconds"


async def read(service: Resources) -> list[Metric]:
    """Return what is on its way, and who is behind, now."""
    (pending, due_at), lags = await service.database.read(_read)
    now = clock.now()
    return [*gauges(pending, overdue_seconds=_seconds(due_at, now=now)), *lag_gauges(lags, now=now)]


def _read(tx: sa.Connection) -> tuple[tuple[int, Instant | None], list[Lag]]:
    return webhook_lookups.read_waiting(tx), lookups.read_lags(tx)


def gauges(pending: int, *, overdue_seconds: float) -> list[Metric]:
    return [
        GaugeMetricFamily(PENDING, "Deliveries to webhooks that are not over", value=pending),
        GaugeMetricFamily(OVERDUE, "How long the delivery that is due the longest has been due", value=overdue_seconds),
    ]


def lag_gauges(lags: Iterable[Lag], *, now: Instant) -> list[Metric]:
    labels = ["consumer", "lane"]
    entries = GaugeMetricFamily(
        LAG_ENTRIES, "Entries of a lane's log that a consumer has not dealt with", labels=labels
    )
    seconds = GaugeMetricFamily(LAG_SECONDS, "How long the first of these entries has been waiting", labels=labels)
    for one in lags:
        entries.add_metric([one.consumer, one.lane], one.entries)
        seconds.add_metric([one.consumer, one.lane], _seconds(one.since, now=now))
    return [entries, seconds]


def _seconds(since: Instant | None, *, now: Instant) -> float:
    return 0 if since is None else max(now - since, 0) / clock.SECOND
