"""Composition root of the sequencer: the clock of the auction books in a process of its own, with the line protocol.

On its own embedded database it is a demonstration: it puts orders out by itself, and prints what happens. Several may
run against one Postgres; what each of them does is a command of the lane like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from marketplace import auctions, identity, ledger, worker
from marketplace.auctions import jobs as auctions_jobs
from marketplace.auctions import line_protocol
from marketplace.database import Lane, money
from marketplace.foundation import clock
from marketplace.foundation.errors import Refusal
from marketplace.foundation.jobs import Job
from marketplace.foundation.settings import Settings
from marketplace.http import logs
from marketplace.http.resources import Resources

SYNTHETIC_OWNERS = 20
SYNTHETIC_SECONDS = 120
"""How long an order that nobody solves stays."""
ONE_CREDIT = 10**ledger.CREDIT_DECIMALS
BUDGET, OUTPUT = 200, 50
"""In whole credits: what a synthetic order gives at most, and what it wants at least."""

log = structlog.get_logger(__name__)

Print = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is to do besides its settings. `ports` None: no line protocol. `tick_seconds` None: as it is."""

    book: str = "default"
    name: str | None = None
    tick_seconds: float | None = None
    ports: tuple[int, int, int] | None = None
    synthetic: int = 0
    """Orders that it puts out each tick."""
    seed: int | None = None


def run(settings: Settings, plan: Plan, *, show: Print) -> None:
    """Sequence until SIGTERM or SIGINT. Raises SettingsError or AlreadyServed, and OSError where a port is taken."""
    logs.configure(settings)
    asyncio.run(_run(worker.resources(settings), plan, show))


async def _run(service: Resources, plan: Plan, show: Print) -> None:
    stop = asyncio.Event()
    with worker.stopping(stop), worker.telling_metrics(service.settings):
        async with worker.running(service), _feed(service) as feed, _speaking(service, plan, feed, show):
            book = await _prepare(service, plan)
            show(f"sequencing the book {book.book}, a tick each {book.tick_micros / clock.SECOND:g} s")
            printing = asyncio.create_task(_print_entries(feed, plan.book, show))
            ordering = asyncio.create_task(_order(service, plan, book, stop))
            try:
                await worker.run_jobs(service, stop=stop, these=_jobs(service, plan, show))
            finally:
                feed.close()
                for task in (printing, ordering):
                    task.cancel()
                await asyncio.gather(printing, ordering, return_exceptions=True)


def _jobs(service: Resources, plan: Plan, show: Print) -> list[tuple[str, Job]]:
    """Return the ticks; on a database that nobody else looks after, all other jobs as well."""

    def told(book: str, ticked: auctions.Ticked) -> None:
        if book == plan.book:
            show(f"tick of {book}: {_words(ticked)}")

    ticks = [(money.LANE, job) for job in auctions_jobs.jobs(auctions_jobs.Sequencer(plan.name, told=told))]
    if not service.settings.embedded:
        return ticks
    names = {job.name for _, job in ticks}
    return [*((lane, job) for lane, job in worker.jobs(service) if job.name not in names), *ticks]


@contextlib.asynccontextmanager
async def _feed(service: Resources) -> AsyncIterator[auctions.BookFeed]:
    feed = auctions.BookFeed(service.database)
    feed.listen(service.lanes[money.LANE])
    yield feed
    await feed.end()


@contextlib.asynccontextmanager
async def _speaking(service: Resources, plan: Plan, feed: auctions.BookFeed, show: Print) -> AsyncIterator[None]:
    """Speak the line protocol, unless the plan leaves it out."""
    if plan.ports is None:
        yield
        return
    settings = service.settings
    authentication = identity.Authentication(service.database) if settings.auth == "keys" else None
    lane = service.lanes[money.LANE]
    protocol = line_protocol.LineProtocol(service.database, lane, feed, authentication, book=plan.book)
    ports = line_protocol.Ports(*plan.ports)
    async with protocol.serving(settings.host, ports, tls=worker.tls_context(settings)) as found:
        show(f"line protocol on {settings.host}: orders {found.orders}, bids {found.bids}, done {found.fulfilments}")
        yield


async def _prepare(service: Resources, plan: Plan) -> auctions.Book:
    """Return the book, its tick set where the plan says so. Raises UnknownBook, BadBook."""
    lane = service.lanes[money.LANE]
    micros = msgspec.UNSET if plan.tick_seconds is None else round(plan.tick_seconds * clock.SECOND)
    book: auctions.Book = await lane.run(auctions.SetBook(plan.book, tick_micros=micros))
    return book


# ── orders of our own ────────────────────────────────────────────────────────────────────────────────────────────────

WHAT = ("translate", "render", "transcode", "index", "summarise", "compile", "fold", "sort")
OF_WHAT = ("a novel", "a film", "a photograph", "a library", "a genome", "a song", "a map", "an archive")


async def _order(service: Resources, plan: Plan, book: auctions.Book, stop: asyncio.Event) -> None:
    """Put out so many orders a tick."""
    draw = random.Random(plan.seed)  # noqa: S311 (a demonstration)
    while plan.synthetic and not stop.is_set():
        for _ in range(plan.synthetic):
            await _place(service.lanes[money.LANE], service.settings, plan.book, draw)
        await asyncio.sleep(book.tick_micros / clock.SECOND)


async def _place(lane: Lane, settings: Settings, book: str, draw: random.Random) -> None:
    owner = f"synthetic-{draw.randrange(SYNTHETIC_OWNERS) + 1}"
    command = auctions.PlaceOrder(
        book,
        owner,
        f"{draw.choice(WHAT)} {draw.choice(OF_WHAT)}",
        None,
        ledger.CREDIT,
        OUTPUT * ONE_CREDIT,
        ledger.CREDIT,
        BUDGET * ONE_CREDIT,
        clock.now() + SYNTHETIC_SECONDS * clock.SECOND,
    )
    try:
        await lane.run(command)
    except ledger.errors.NotCovered:
        if settings.auth == "open":
            # Play money, as what wallets open with.
            await lane.run(ledger.Deposit(owner, 10 * BUDGET * ONE_CREDIT, reason="synthetic orders"))
    except Refusal as refusal:
        log.warning("synthetic_order_refused", code=refusal.code, detail=refusal.detail)


# ── what is printed ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _print_entries(feed: auctions.BookFeed, book: str, show: Print) -> None:
    """Print a line for each entry of the book from now on."""
    async for entries in feed.stream(book, first=await feed.head(book)):
        for entry in entries:
            show(f"{entry.seq:>7} {auctions.describe(entry)}")


def _words(ticked: auctions.Ticked) -> str:
    counted = {
        name: getattr(ticked, name) for name in ("added", "selected", "filled", "failed", "reassigned", "expired")
    }
    return ", ".join(f"{name} {count}" for name, count in counted.items() if count) or "nothing due"
