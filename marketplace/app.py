"""Composition root of the service: settings in, a Litestar application out; and the server around it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp
from prometheus_client import multiprocess

from marketplace import addresses, auctions, dashboard, events, identity, worker
from marketplace.addresses import meters as addresses_meters
from marketplace.addresses import routes as addresses_routes
from marketplace.auctions import line_protocol
from marketplace.auctions import log_routes as auctions_log_routes
from marketplace.auctions import meters as auctions_meters
from marketplace.auctions import routes as auctions_routes
from marketplace.database import Lane, money
from marketplace.events import meters as events_meters
from marketplace.events import routes as events_routes
from marketplace.events import webhook_routes
from marketplace.foundation import errors, networks
from marketplace.foundation.settings import Settings, SettingsError
from marketplace.hours import routes as hours_routes
from marketplace.http import callers, docs, health, logs, problems
from marketplace.http import resources as http_resources
from marketplace.http.allow import AllMethods
from marketplace.http.asgi import App
from marketplace.http.gate import Gate
from marketplace.http.rate_limit import RateLimit, RateLimitHeaders
from marketplace.http.requests import StrictRequest
from marketplace.http.resources import Resources
from marketplace.http.slashes import WholeNames
from marketplace.http.telemetry import Telemetry
from marketplace.identity import routes as identity_routes
from marketplace.ledger import meters as ledger_meters
from marketplace.ledger import routes as ledger_routes
from marketplace.spot import meters as spot_meters
from marketplace.spot import pool_routes as spot_pool_routes
from marketplace.spot import routes as spot_routes
from marketplace.spot import watching as spot_watching

SETTINGS_VARIABLE = "MARKETPLACE_CONFIG_JSON"
"""How the server's processes are told their settings."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

HANDLERS = (
    *hours_routes.CONTROLLERS,
    *addresses_routes.HANDLERS,
    *ledger_routes.HANDLERS,
    *auctions_routes.HANDLERS,
    *auctions_log_routes.HANDLERS,
    *events_routes.HANDLERS,
    *identity_routes.HANDLERS,
    *webhook_routes.HANDLERS,
    *spot_routes.HANDLERS,
    *spot_pool_routes.HANDLERS,
    health.livez,
    health.readyz,
    health.metrics,
    docs.openapi_document,
    docs.docs_page,
    docs.docs_asset,
    *dashboard.HANDLERS,
)

log = structlog.get_logger(__name__)


def create_app(settings: Settings, *, extra_handlers: Sequence[Any] = ()) -> Litestar:
    """Return the application. Its lifespan checks the schema, runs lanes and jobs, and drains them at the end."""
    service = worker.resources(settings)
    # Without keys there is no guard at all, and nothing to pay for it.
    authentication = identity.Authentication(service.database) if settings.auth == "keys" else None
    limit = _rate_limit(settings)
    watch = spot_watching.Watch(service.database)
    app = Litestar(
        route_handlers=[*HANDLERS, *extra_handlers],
        guards=[callers.Guard(authentication, dashboard.caller_of, limit)] if authentication else [],
        request_class=StrictRequest,
        exception_handlers=dict(problems.EXCEPTION_HANDLERS),
        state=State(
            {
                http_resources.STATE: service,
                health.METERS: (
                    addresses_meters.read,
                    auctions_meters.read,
                    events_meters.read,
                    ledger_meters.read,
                    spot_meters.Meters(service.database, watch).read,
                ),
                ledger_routes.ASSETS: {},
                spot_watching.WATCH: watch,
                dashboard.AUTHENTICATION: authentication,
                **dashboard.state(),
                auctions_routes.TERMS: {},
            }
        ),
        lifespan=[lambda app: _running(app, service, authentication)],
        openapi_config=None,
        logging_config=None,
        debug=settings.debug,
        request_max_body_size=None,  # the gate has limits of its own, by path
    )
    # Around the router and not in it: what finds no route is guarded, counted and logged as well.
    router: App = WholeNames(AllMethods(cast(App, app.asgi_handler)))
    if limit:
        router = RateLimitHeaders(router, limit.policy)
    app.asgi_handler = cast(ASGIApp, Telemetry(Gate(router, settings), access_log=settings.access_log))
    return app


def _rate_limit(settings: Settings) -> RateLimit | None:
    if not settings.rate_limit_per_second:
        return None
    return RateLimit(per_second=settings.rate_limit_per_second, burst=settings.rate_limit_burst)


@contextlib.asynccontextmanager
async def _running(
    app: Litestar, service: Resources, authentication: identity.Authentication | None
) -> AsyncIterator[None]:
    async with worker.running(service), _feeding(app, service), _speaking_lines(app, service, authentication):
        app.state[addresses_routes.DEFAULT_NETWORK] = await _ensure_network(service)
        await spot_watching.ensure_simulated_nodes(
            service.database, service.lanes[money.LANE], service.settings.spot_simulated_nodes
        )
        # What was made until here stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # What a request leaves behind goes by reference counts; looking for cycles is needed far less often.
        gc.set_threshold(50_000, 20, 20)
        async with _jobs(service), _noting_uses(authentication, service.lanes[money.LANE]):
            yield
    if health.MULTIPROCESS in os.environ:
        multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def _feeding(app: Litestar, service: Resources) -> AsyncIterator[None]:
    """Have the logs' ends for whoever waits for events; those who wait are let go as soon as the process is to stop."""
    feed = events.Feed(service.database, worker.KINDS)
    for lane in service.lanes.values():
        feed.listen(lane)
    books = auctions.BookFeed(service.database)
    books.listen(service.lanes[money.LANE])
    app.state[events.FEED] = feed
    app.state[auctions_log_routes.FEED] = books

    def close() -> None:
        feed.close()
        books.close()

    with _told_to_stop(close):
        yield
    await feed.end()
    await books.end()


@contextlib.asynccontextmanager
async def _speaking_lines(
    app: Litestar, service: Resources, authentication: identity.Authentication | None
) -> AsyncIterator[None]:
    """Listen for solvers that speak lines, where the settings name the ports."""
    settings = service.settings
    if settings.auction_ports is None:
        yield
        return
    ports = line_protocol.Ports(*settings.auction_ports)
    books = app.state[auctions_log_routes.FEED]
    protocol = line_protocol.LineProtocol(service.database, service.lanes[money.LANE], books, authentication)
    tls = worker.tls_context(settings)
    async with protocol.serving(settings.host, ports, tls=tls, shared=settings.workers > 1):
        yield


@contextlib.contextmanager
def _told_to_stop(close: Callable[[], None]) -> Iterator[None]:
    """Call `close` when the signal to stop comes: the server itself waits for answers under way before it says so."""
    if threading.current_thread() is not threading.main_thread():  # where a test runs it, and no signal is heard
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def stop(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(close)
        if callable(before[number]):
            before[number](number, frame)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.asynccontextmanager
async def _jobs(service: Resources) -> AsyncIterator[None]:
    """Run the timed jobs beside the requests, where the settings say so."""
    if not service.settings.runs_jobs:
        yield
        return
    stop = asyncio.Event()
    jobs = asyncio.create_task(worker.run_jobs(service, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await jobs


@contextlib.asynccontextmanager
async def _noting_uses(authentication: identity.Authentication | None, lane: Lane) -> AsyncIterator[None]:
    """Note beside the requests which keys were used, where there are keys."""
    if authentication is None:
        yield
        return
    stop = asyncio.Event()
    noting = asyncio.create_task(authentication.note_uses(lane, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await noting


async def _ensure_network(service: Resources) -> str:
    """See to it that there is a network to give addresses from; return the name of the one that is meant by default.

    Raises SettingsError where the network asked for contradicts one that is stored.
    """
    settings = service.settings
    command = addresses.EnsureNetwork(
        settings.network or networks.DEFAULT_NETWORK,
        settings.gateway or addresses.FIRST_HOST,
        only_if_none=not (settings.network or settings.gateway),
    )
    try:
        network: addresses.Network = await service.lanes[addresses.LANE].run(command)
    except (errors.Conflict, errors.Invalid) as refusal:
        raise SettingsError(refusal.detail) from None
    return network.network


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered, then it returns.

    Raises SettingsError or AlreadyServed before anything listens.
    """
    logs.configure(settings)
    asyncio.run(_check(settings))
    environment = {SETTINGS_VARIABLE: _to_json(settings)}
    with _metrics_folder(settings) as folder, _variables(environment | folder), _signals_ignored_when_raised_again():
        uvicorn.run(f"{__name__}:from_environment", factory=True, **_server_options(settings))


def from_environment() -> Litestar:
    """Return the application of a server process, whose settings its parent has put into the environment."""
    settings = msgspec.json.decode(os.environ[SETTINGS_VARIABLE], type=Settings, dec_hook=_from_text)
    logs.configure(settings)
    return create_app(settings)


def _server_options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "http": "httptools",
        "loop": "uvloop",
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,  # ours replaces it
        "server_header": False,
        "headers": [("x-content-type-options", "nosniff")],
        "timeout_graceful_shutdown": math.ceil(settings.shutdown_seconds),
        "ssl_certfile": settings.tls_cert,
        "ssl_keyfile": settings.tls_key,
    }


async def _check(settings: Settings) -> None:
    """Find what would keep the server's processes from starting, and say it in one sentence instead of a stack."""
    service = worker.resources(settings)
    async with worker.running(service):
        await _ensure_network(service)


@contextlib.contextmanager
def _metrics_folder(settings: Settings) -> Iterator[dict[str, str]]:
    """Give several worker processes a folder where they put their metrics together, unless the operator did."""
    if settings.workers == 1 or health.MULTIPROCESS in os.environ:
        yield {}
        return
    folder = Path(tempfile.mkdtemp(prefix="marketplace-metrics-"))
    try:
        yield {health.MULTIPROCESS: str(folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _signals_ignored_when_raised_again() -> Iterator[None]:
    """Let a stopped server return: uvicorn raises the signal once more after it has shut down, to die of it."""
    before: dict[int, Any] = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _to_json(settings: Settings) -> str:
    return msgspec.json.encode(settings, enc_hook=str).decode()


def _from_text(kind: Callable[[str], Any], text: str) -> Any:
    return kind(text)
