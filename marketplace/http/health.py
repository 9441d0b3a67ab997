"""Whether the process lives, whether it can serve, and its numbers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable
from functools import cache

import msgspec
from litestar import Request, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from marketplace.database import schema
from marketplace.foundation import errors
from marketplace.http import problems
from marketplace.http.resources import Resources, resources

READ_SECONDS = 1.0
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
METERS = "meters"
"""Where the application's state has functions that read further metrics from the database when they are asked for."""

ReadMeters = Callable[[Resources], Awaitable[Iterable[Metric]]]


class Health(msgspec.Struct, frozen=True):
    status: str


@get("/livez", sync_to_thread=False, tags=["operation"], opt={"scope": None})
def livez() -> Health:
    """Tell that the process answers. Asks nothing of the database."""
    return Health("live")


@get("/readyz", tags=["operation"], opt={"scope": None, "refuses": (problems.NotReady,)})
async def readyz(request: Request) -> Health:  # type: ignore[type-arg]
    """Tell whether requests can be served: database reachable, schema current, lanes not behind."""
    service = resources(request)
    reasons = [*await _database_reasons(service), *_lane_reasons(service)]
    if reasons:
        raise problems.NotReady("The service cannot serve now: " + "; ".join(reasons) + ".", reasons=reasons)
    return Health("ready")


@get("/metrics", media_type="text/plain", tags=["operation"], opt={"scope": "read"})
async def metrics(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Answer Prometheus, for all worker processes together.

    What is read from the database is left out while it does not answer.
    """
    is_one_of_many = MULTIPROCESS in os.environ
    text = await asyncio.to_thread(_of_all_processes) if is_one_of_many else generate_latest(REGISTRY)
    for read in request.app.state.get(METERS, ()):
        text += generate_latest(await _of_the_database(read, resources(request)))
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


async def _of_the_database(read: ReadMeters, service: Resources) -> CollectorRegistry:
    found = CollectorRegistry()
    with contextlib.suppress(TimeoutError, errors.Refusal):
        async with asyncio.timeout(READ_SECONDS):
            found.register(_Read(await read(service)))
    return found


class _Read(Collector):
    """Metrics that are read already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _of_all_processes() -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


_head = cache(schema.head)


async def _database_reasons(service: Resources) -> list[str]:
    try:
        async with asyncio.timeout(READ_SECONDS):
            revision = await schema.current(service.database)
    except (TimeoutError, errors.Refusal):
        return ["the database does not answer"]
    if revision != _head():
        return ["the database's schema is not the one of this version: run `marketplace db upgrade`"]
    return []


def _lane_reasons(service: Resources) -> list[str]:
    """A lane whose first request has waited this long refuses all new ones."""
    bound = service.settings.max_waiting_seconds
    return [
        f"requests wait for the lane {lane.name} for more than {bound:g} s"
        for lane in service.lanes.values()
        if lane.oldest_waiting_seconds() > bound
    ]
