"""What is on its way to webhooks, for Prometheus, read from the database when it asks: the same from every process."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from marketplace.events import webhook_lookups
from marketplace.foundation import clock
from marketplace.http.resources import Resources

PENDING = "marketplace_webhook_pending"
OVERDUE = "marketplace_webhook_overdue_seconds"


async def read(service: Resources) -> list[Metric]:
    """Return what is on its way now."""
    pending, due_at = await service.database.read_one(webhook_lookups.read_waiting)
    return gauges(pending, overdue_seconds=0 if due_at is None else max(clock.now() - due_at, 0) / clock.SECOND)


def gauges(pending: int, *, overdue_seconds: float) -> list[Metric]:
    return [
        GaugeMetricFamily(PENDING, "Deliveries to webhooks that are not over", value=pending),
        GaugeMetricFamily(OVERDUE, "How long the delivery that is due the longest has been due", value=overdue_seconds),
    ]
