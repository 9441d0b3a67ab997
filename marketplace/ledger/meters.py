"""What the ledger tells Prometheus: how the last timed audit ended, the same from every process."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from marketplace import ledger
from marketplace.foundation import clock
from marketplace.http.resources import Resources


async def read(service: Resources) -> list[Metric]:
    """Return the gauges; none before the first audit."""
    last = await service.database.read_one(ledger.last_audit)
    if last is None:
        return []
    return [
        GaugeMetricFamily(
            "ledger_invariant_violations", "Faults that the last audit of the ledger found", float(last.violations)
        ),
        GaugeMetricFamily(
            "ledger_audited_at_seconds", "When the ledger was audited last, Unix time", last.audited_at / clock.SECOND
        ),
    ]
