"""The page of the system's health: how many wait for each lane, how long a commit takes, who is behind the log.

What a lane does is counted in each process for itself; the page shows the process that answers it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import msgspec
from litestar import Response, get
from litestar.response import Stream
from prometheus_client import REGISTRY

from marketplace import events, ledger
from marketplace.dashboard import live, pages, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.database import money
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.http.resources import Resources, database, resources

HERE, TAB = "admin", "health"
EVERY_SECONDS = 1.0
SAMPLER = "dashboard.sampler"
"""Where the application's state has what was counted a moment ago."""


class Counted(NamedTuple):
    """What a lane has counted since the process began."""

    orders: float
    commits: float
    commit_seconds: float
    refused: float


class LaneHealth(msgspec.Struct, frozen=True):
    """A lane now; rates since a moment ago, the mean commit None where there was none."""

    name: str
    waiting: int
    oldest_seconds: float
    orders_per_second: float
    commit_milliseconds: float | None
    refused: int


class Sampler:
    """Makes rates of what is counted: between now and the last time that somebody looked, a second ago or more."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._before: dict[str, tuple[float, Counted]] = {}
        self._shown: dict[str, LaneHealth] = {}

    def read(self, service: Resources) -> list[LaneHealth]:
        """Return the lanes by name."""
        return [self._lane(service, name) for name in sorted(service.lanes)]

    def _lane(self, service: Resources, name: str) -> LaneHealth:
        lane, now, counted = service.lanes[name], self._monotonic(), _count(name)
        at, before = self._before.setdefault(name, (now, counted))
        seconds, commits = now - at, counted.commits - before.commits
        rate, milliseconds = 0.0, None
        if seconds >= EVERY_SECONDS * 0.9:
            self._before[name] = now, counted
            rate = (counted.orders - before.orders) / seconds
            milliseconds = (counted.commit_seconds - before.commit_seconds) / commits * 1e3 if commits else None
        elif shown := self._shown.get(name):
            rate, milliseconds = shown.orders_per_second, shown.commit_milliseconds
        health = LaneHealth(
            name, lane.waiting_orders, lane.oldest_waiting_seconds(), rate, milliseconds, int(counted.refused)
        )
        self._shown[name] = health
        return health


def _count(lane: str) -> Counted:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"marketplace_lane_{name}", {"lane": lane, **labels}) or 0.0

    refused = sum(
        sample.value
        for metric in REGISTRY.collect()
        if metric.name == "marketplace_lane_busy"
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels.get("lane") == lane
    )
    return Counted(value("orders_total"), value("commit_seconds_count"), value("commit_seconds_sum"), refused)


class Followed(msgspec.Struct, frozen=True):
    """How far behind the logs those are who follow them, and how the last audit of the ledger ended."""

    lags: list[events.Lag]
    pending: int
    overdue_at: Instant | None
    audit: ledger.LastAudit | None


def read_followed(tx: Any, /) -> Followed:
    """Read who is behind. Run it in a snapshot."""
    pending, overdue_at = events.read_waiting(tx)
    return Followed(events.read_lags(tx), pending, overdue_at, ledger.last_audit(tx))


@get("/dashboard/admin", opt={"scope": "read"})
async def show(request: HttpRequest) -> Response[str]:
    """Show how the system is."""
    return pages.page(
        request,
        "admin/health.html",
        here=HERE,
        tab=TAB,
        viewer=visits.viewer(request),
        parts=(await _parts(request)).html,
        stream="/dashboard/admin/stream",
    )


@get("/dashboard/admin/stream", opt={"scope": "read"})
async def follow(request: HttpRequest) -> Stream:
    """Follow how the system is, second by second."""

    async def read(_at_least: int) -> Parts:
        return await live.shared(request).get_recent("health", EVERY_SECONDS / 2, lambda: _parts(request))

    nothing = events.Wanted(kinds=frozenset(("nothing",)))
    return live.respond(request, Watched(money.LANE, nothing, read, every_seconds=EVERY_SECONDS))


async def _parts(request: HttpRequest) -> Parts:
    sampler = cast(Sampler, request.app.state[SAMPLER])
    lanes = sampler.read(resources(request))
    followed = await database(request).read(read_followed)
    return Parts(0, {"health": pages.render("admin/lanes.html", lanes=lanes, followed=followed, now=clock.now())})


def state() -> Mapping[str, Any]:
    """Return what the application's state has to hold for this page."""
    return {SAMPLER: Sampler()}


HANDLERS = (show, follow)
