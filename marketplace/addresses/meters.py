"""What the networks tell Prometheus, read from the database when it asks: the same from every process."""

from __future__ import annotations

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from marketplace import addresses
from marketplace.addresses.model import Stats
from marketplace.http.resources import Resources

MAX_NETWORKS = 1_000

COUNTS = {
    "allocated": "Addresses of the network that somebody has",
    "available": "Addresses of the network that can be given out now",
    "reserved": "Addresses of the network that are never given out",
    "resting": "Addresses of the network that were released a moment ago",
}
ALARM = "marketplace_network_alarm"


async def read(service: Resources) -> list[Metric]:
    """Return the gauges of the first networks by name."""
    networks = await service.database.read_one(addresses.list_stats, after=None, limit=MAX_NETWORKS)
    return gauges(networks, alarm_percent=service.settings.network_alarm_percent)


def gauges(networks: list[Stats], *, alarm_percent: int) -> list[Metric]:
    """Return the counts of networks, and which of them are used more than they should be.

    Prometheus counts in floating point: beyond 2**53 the counts are rounded here, and exact in the stats.
    """
    counts = [_family(f"marketplace_network_{name}", text) for name, text in COUNTS.items()]
    alarm = _family(ALARM, "1 where the network is used to network_alarm_percent, else 0")
    for one in networks:
        for family, name in zip(counts, COUNTS, strict=True):
            family.add_metric([one.network], float(getattr(one, name)))
        alarm.add_metric([one.network], float(one.allocated * 100 >= (one.total - one.reserved) * alarm_percent))
    return [*counts, alarm]


def _family(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["network"])
