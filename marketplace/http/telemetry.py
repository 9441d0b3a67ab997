"""Around everything: one line in the log and two numbers a request, whatever became of it.

A line has method, path, route, status, duration and the request's id, and neither query values nor bodies: they may
be secret. Metrics are labelled by route template, never by path, so that their number is bounded.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from functools import cache
from time import perf_counter
from typing import Any

import structlog
from prometheus_client import Counter, Histogram

from marketplace.http import logs
from marketplace.http.asgi import App, Message, Receive, Scope, Send

REQUESTS = Counter("marketplace_http_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram(
    "marketplace_http_request_seconds",
    "From the request's headers to the end of its answer",
    ["method", "route"],
    buckets=(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1, 2, 5, 10),
)

UNROUTED = "(none)"
HEADER = b"x-request-id"
MAX_ID_LENGTH = 128

_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))

log = structlog.get_logger("marketplace.access")


class Telemetry:
    """The outermost application."""

    def __init__(self, app: App, *, access_log: bool) -> None:
        self._app = app
        self._access_log = access_log
        self._ids = _request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        identity = _given_id(scope["headers"]) or next(self._ids)
        logs.request_id.set(identity)
        header = (HEADER, identity.encode())
        status = 500

        # Not a coroutine function: what it returns is awaited by the caller, which saves a frame a message.
        def watch(message: Message) -> Any:
            if message["type"] == "http.response.start":
                nonlocal status
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            return send(message)

        path = scope["path"]
        try:
            await self._app(scope, receive, watch)
        finally:
            seconds = perf_counter() - started
            method = scope["method"]
            route = scope.get("path_template") or UNROUTED
            _meters(method if method in _METHODS else "OTHER", route, status // 100)(seconds)
            if self._access_log:
                milliseconds = round(seconds * 1000, 2)
                log.info("request", method=method, path=path, route=route, status=status, ms=milliseconds)


@cache
def _meters(method: str, route: str, status_class: int) -> Callable[[float], None]:
    """Look the children of the labels up once; return what counts a request."""
    count = REQUESTS.labels(method, route, f"{status_class}xx").inc
    time = SECONDS.labels(method, route).observe

    def observe(seconds: float) -> None:
        count()
        time(seconds)

    return observe


def _request_ids() -> Iterator[str]:
    """Give ids that differ between processes and within one, without asking the kernel each time."""
    prefix = os.urandom(8).hex()
    return (f"{prefix}-{number:x}" for number in itertools.count(1))


def _given_id(headers: Any) -> str | None:
    """Return the id that the caller gave, if it is one that a log line can bear."""
    for name, value in headers:
        if name == HEADER and 1 <= len(value) <= MAX_ID_LENGTH and all(33 <= byte <= 126 for byte in value):
            text: str = value.decode("ascii")
            return text
    return None
