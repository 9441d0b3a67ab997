"""Composition root of the timed jobs: inside `serve` on the embedded database, in a process of their own elsewhere.

It also opens what both roots stand on: the database, its schema checked, with the lanes running.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping

import structlog
from prometheus_client import Counter, Histogram, start_http_server

from marketplace import addresses, auctions, events, hours, identity, ledger, spot
from marketplace.auctions import jobs as auctions_jobs
from marketplace.database import Apply, Database, Lane, Limits, locking, money, open_database, schema
from marketplace.database.upkeep import Forget
from marketplace.events import jobs as events_jobs
from marketplace.foundation.jobs import Job
from marketplace.foundation.settings import Settings, SettingsError
from marketplace.hours import jobs as hours_jobs
from marketplace.http import logs
from marketplace.http.resources import Resources
from marketplace.identity import jobs as identity_jobs
from marketplace.ledger import jobs as ledger_jobs
from marketplace.spot import jobs as spot_jobs

LANES = (hours.LANE, addresses.LANE, money.LANE)


def handlers(settings: Settings) -> Mapping[str, Mapping[type, Apply]]:
    """Return for every lane the functions that run its commands."""
    starting_credits = ledger.starting_credits(settings.starting_credits)
    return {
        hours.LANE: hours.handlers(),
        addresses.LANE: addresses.handlers(),
        money.LANE: {
            **events.handlers(),
            **identity.handlers(),
            **ledger.handlers(starting_credits=starting_credits),
            **spot.handlers(starting_credits=starting_credits),
            **auctions.handlers(starting_credits=starting_credits),
        },
    }


KINDS = events.Kinds(
    [
        *hours.KINDS,
        *addresses.KINDS,
        *spot.KINDS,
        *auctions.KINDS,
        *ledger.KINDS,
        *identity.KINDS,
        *events.KINDS,
    ]
)
"""Every kind of event that there is."""


async def forget_old_answers(_database: Database, lane: Lane) -> int:
    """Delete remembered answers past their 72 h and old commit rows, a chunk a transaction; return how many."""
    count = 0
    while gone := await lane.run(Forget()):
        count += gone
    return count


def jobs(service: Resources) -> list[tuple[str, Job]]:
    """Return every module's jobs, with the lane that each writes to; and what is done for every lane."""
    settings = service.settings
    of_modules = [
        *((hours.LANE, job) for job in hours_jobs.JOBS),
        *((money.LANE, job) for job in ledger_jobs.JOBS),
        *((money.LANE, job) for job in spot_jobs.of_market(settings, service.lanes[addresses.LANE])),
        *((money.LANE, job) for job in identity_jobs.JOBS),
        *((money.LANE, job) for job in auctions_jobs.jobs()),
    ]
    of_lanes = [
        (lane, job)
        for lane in LANES
        for job in (
            Job(f"{lane}.forget_old_answers", every_seconds=600, run=forget_old_answers),
            *events_jobs.of_lane(lane, settings),
        )
    ]
    of_webhooks = [(money.LANE, job) for job in events_jobs.of_webhooks(settings, KINDS)]
    return [*of_modules, *of_lanes, *of_webhooks]


RUNS = Counter("marketplace_job_runs_total", "Times that a job ran, by how it ended", ["job", "outcome"])
SECONDS = Histogram("marketplace_job_seconds", "How long a job took", ["job"])

CANCEL_AGAIN_SECONDS = 1.0

log = structlog.get_logger(__name__)


# ── what both roots stand on ─────────────────────────────────────────────────────────────────────────────────────────


def resources(settings: Settings) -> Resources:
    """Put database and lanes together. Nothing connects or runs before `running`."""
    database = open_database(
        settings.database_url,
        pooler=settings.database_pooler,
        read_connections=settings.read_connections,
        lanes=len(LANES),
    )
    limits = Limits(
        max_batch=settings.max_batch,
        max_waiting_orders=settings.max_waiting_orders,
        max_waiting_seconds=settings.max_waiting_seconds,
    )
    lanes = {name: Lane(name, database, run, limits=limits) for name, run in handlers(settings).items()}
    return Resources(settings, database, lanes)


@contextlib.asynccontextmanager
async def running(service: Resources) -> AsyncIterator[None]:
    """Hold the embedded database's file, see to the schema and run the lanes; on the way out answer all accepted.

    Raises SettingsError or AlreadyServed, each with a sentence for the operator.
    """
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(locking.hold_file(service.settings.database_url))
        stack.push_async_callback(service.database.close)
        await check_schema(service.settings, service.database)
        for lane in service.lanes.values():
            await lane.start()
            stack.push_async_callback(lane.drain)
        yield


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return what speaks TLS with the settings' certificate, None where there is none."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


async def check_schema(settings: Settings, database: Database) -> None:
    """Migrate the embedded database; refuse any other one whose schema is not this version's."""
    if settings.embedded:
        # A thread of its own: Alembic's environment runs an event loop.
        await asyncio.to_thread(schema.upgrade, settings.database_url)
        return
    revision, head = await schema.current(database), schema.head()
    if revision != head:
        raise SettingsError(
            f"The database's schema is at revision {revision or 'none'}, and this version needs {head}: "
            "run `marketplace db upgrade` first."
        )


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def run_jobs(service: Resources, *, stop: asyncio.Event, these: Iterable[tuple[str, Job]] | None = None) -> None:
    """Run every module's jobs, or these, each on its clock, until `stop` is set; a step that has begun is finished."""
    async with asyncio.TaskGroup() as group:
        for lane, job in jobs(service) if these is None else these:
            group.create_task(_repeat(job, service.database, service.lanes[lane], stop), name=f"job {job.name}")


async def _repeat(job: Job, database: Database, lane: Lane, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await _run_once(job, database, lane, stop)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), job.every_seconds)


async def _run_once(job: Job, database: Database, lane: Lane, stop: asyncio.Event) -> None:
    """Run a job; an error is logged and counted, and the next time is another try."""
    try:
        with SECONDS.labels(job.name).time():
            running = job.run(database, lane)
            result = await (_until(stop, running) if job.may_be_cut_short else running)
    except Exception:
        RUNS.labels(job.name, "failed").inc()
        log.exception("job_failed", job=job.name)
    else:
        RUNS.labels(job.name, "done").inc()
        if result:  # most have nothing to do most of the time
            log.debug("job_done", job=job.name, result=result)


async def _until(stop: asyncio.Event, running: Awaitable[object]) -> object:
    """Wait for something, or end it when the process is to stop."""
    work, stopping = asyncio.ensure_future(running), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
        while not work.done():  # more than once, if need be: library code has been seen to miss a cancellation
            work.cancel()
            await asyncio.wait((work,), timeout=CANCEL_AGAIN_SECONDS)
        return "cut short" if work.cancelled() else work.result()
    finally:
        stopping.cancel()


def work(settings: Settings) -> None:
    """Run the jobs, and nothing else, until SIGTERM or SIGINT."""
    logs.configure(settings)
    asyncio.run(_work(resources(settings)))


async def _work(service: Resources) -> None:
    stop = asyncio.Event()
    with stopping(stop), telling_metrics(service.settings):
        async with running(service):
            log.info("worker_started", jobs=[job.name for _, job in jobs(service)])
            await run_jobs(service, stop=stop)
    log.info("worker_stopped")


@contextlib.contextmanager
def telling_metrics(settings: Settings) -> Iterator[None]:
    """Tell Prometheus what this process counts, while the body runs, where a port is set. Raises SettingsError."""
    if settings.metrics_port is None:
        yield
        return
    host, port = settings.metrics_host, settings.metrics_port
    try:
        server, thread = start_http_server(port, host)
    except OSError as taken:
        raise SettingsError(f"Metrics cannot be told on {host} port {port}: {taken.strerror}.") from taken
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def stopping(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` when SIGTERM or SIGINT comes, while the body runs."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
