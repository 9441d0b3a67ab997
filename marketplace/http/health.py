"""Whether the process lives, whether it can serve, and its numbers."""

from __future__ import annotations

import asyncio
import os
from functools import cache

import msgspec
from litestar import Request, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from marketplace.database import schema
from marketplace.foundation import errors
from marketplace.http import problems
from marketplace.http.resources import Resources, resources

READ_SECONDS = 1.0
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


class Health(msgspec.Struct, frozen=True):
    status: str


@get("/livez", sync_to_thread=False, tags=["operation"])
def livez() -> Health:
    """Tell that the process answers. Asks nothing of the database."""
    return Health("live")


@get("/readyz", tags=["operation"], opt={"refuses": (problems.NotReady,)})
async def readyz(request: Request) -> Health:  # type: ignore[type-arg]
    """Tell whether requests can be served: database reachable, schema current, lanes not behind."""
    service = resources(request)
    reasons = [*await _database_reasons(service), *_lane_reasons(service)]
    if reasons:
        raise problems.NotReady("The service cannot serve now: " + "; ".join(reasons) + ".", reasons=reasons)
    return Health("ready")


@get("/metrics", media_type="text/plain", tags=["operation"])
async def metrics() -> Response[bytes]:
    """Answer Prometheus, for all worker processes together."""
    is_one_of_many = MULTIPROCESS in os.environ
    text = await asyncio.to_thread(_of_all_processes) if is_one_of_many else generate_latest(REGISTRY)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


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
