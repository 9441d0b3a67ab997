"""What the spot market tells Prometheus, read from the database when it asks: the same from every process."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from marketplace.database import Database
from marketplace.foundation import clock
from marketplace.foundation.clock import SECOND
from marketplace.http.resources import Resources
from marketplace.spot import asking, history, pool_listings, tallies
from marketplace.spot.projection import Projection
from marketplace.spot.tallies import START_SECONDS, Tally
from marketplace.spot.watching import Watch

MAX_POOLS = 100
CREDIT = 1_000_000


class Meters:
    """One process's: it remembers what it has added up."""

    def __init__(self, database: Database, watch: Watch) -> None:
        self._database = database
        self._watch = watch
        self._tally = Tally()

    async def read(self, _service: Resources) -> list[Metric]:
        """Return the metrics of the first pools by name, and the totals of all."""
        pools = await self._database.read_one(pool_listings.list_pools, after=None, limit=MAX_POOLS)
        found = [await self._watch.ask(one.pool, _of_pool) for one in pools]
        open_leases = await self._database.read(self._count)
        return [*_gauges(found), *self._totals(open_leases)]

    def _count(self, tx: sa.Connection, /) -> list[tallies.Open]:
        self._tally.catch_up(tx)
        return tallies.read_open(tx, now=clock.now())

    def _totals(self, open_leases: Iterable[tallies.Open]) -> list[Metric]:
        """Return what only rises, and how late the loop is that starts and stops containers."""
        ended = _counter("spot_leases_ended", "Leases that have ended, by cause", "cause")
        for (pool, cause), one in sorted(self._tally.totals.items()):
            ended.add_metric([pool, cause], one.leases)
        evicted = _counter("spot_evicted_units", "Units that were displaced by who pays more")
        displaced, totals = self._tally.evicted_milliunits(), self._tally.by_pool()
        still_open = {one.pool: one for one in open_leases}
        nothing = tallies.Totals()
        seconds = _counter("spot_billed_seconds", "Seconds of running containers that are billed")
        charged = _counter("spot_charged_credits", "What they were charged")
        starts = HistogramMetricFamily(
            "spot_start_seconds",
            "From the decision to start a container to its running, of leases that have ended",
            labels=["pool"],
        )
        lag = _gauge("spot_reconcile_lag_seconds", "How late the container is that should have started or stopped")
        for pool in sorted(totals.keys() | still_open.keys()):
            done, now = totals.get(pool, nothing), still_open.get(pool)
            evicted.add_metric([pool], displaced[pool] / tallies.PARTS_OF_A_UNIT)
            seconds.add_metric([pool], (done.ran + (now.ran if now else 0)) / SECOND)
            charged.add_metric([pool], (done.charged_micros + (now.charged_micros if now else 0)) / CREDIT)
            bounds = [*map(str, map(float, START_SECONDS)), "+Inf"]
            starts.add_metric([pool], list(zip(bounds, done.starts, strict=True)), done.start_took / SECOND)
            lag.add_metric([pool], (now.lag if now else 0) / SECOND)
        return [ended, evicted, seconds, charged, starts, lag]


def _of_pool(tx: sa.Connection, seen: Projection) -> tuple[pool_listings.Use, int, int, asking.Indicative, str]:
    use = pool_listings.read_use(tx, seen.pool)
    ideal = history.ideal_value(
        seen.state.bids(), cpu_millis=use.cpu_millis, memory_mib=use.memory_mib, policy=seen.state.policy
    )
    return use, ideal, seen.price_micros, asking.indicative(seen), seen.pool


def _gauges(found: Iterable[tuple[pool_listings.Use, int, int, asking.Indicative, str]]) -> list[Metric]:
    price = _gauge("spot_price", "Credits an hour that a unit costs")
    indicative = _gauge("spot_indicative_price", "Credits an hour to bid for so many units to run now", "units")
    nodes = _gauge("spot_nodes_ready", "Nodes that are ready")
    room = _gauge("spot_capacity", "What nodes that are ready have", "resource")
    used = _gauge("spot_used", "What leases have of it", "resource")
    bids = _gauge("spot_bids", "Bids by what they do: waiting, running, leaving", "state")
    value = _gauge("spot_realised_value", "Credits an hour that the bids that run would pay at most")
    ideal = _gauge("spot_idealised_value", "The same were all nodes one machine where everybody could start")
    for use, ideal_micros, price_micros, shapes, pool in found:
        price.add_metric([pool], price_micros / CREDIT)
        for units, (_, _, least) in zip(asking.SHAPES, shapes, strict=True):
            if least is not None:
                indicative.add_metric([pool, str(units)], least / CREDIT)
        nodes.add_metric([pool], use.nodes)
        for family, cpu, memory in (
            (room, use.cpu_millis, use.memory_mib),
            (used, use.used_cpu_millis, use.used_memory_mib),
        ):
            family.add_metric([pool, "cpu_millis"], cpu)
            family.add_metric([pool, "memory_mib"], memory)
        for state, count in (("waiting", use.waiting), ("running", use.running), ("leaving", use.leaving)):
            bids.add_metric([pool, state], count)
        value.add_metric([pool], use.value_micros / CREDIT)
        ideal.add_metric([pool], ideal_micros / CREDIT)
    return [price, indicative, nodes, room, used, bids, value, ideal]


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["pool", *labels])


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, labels=["pool", *labels])
