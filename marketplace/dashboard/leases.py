"""The pages of a bid for a container and of its leases: how it stands, what it costs and wrote, when it has to go."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any, NamedTuple, cast

import msgspec
from litestar import Response, get, post
from litestar.response import Stream

from marketplace import events, spot
from marketplace.dashboard import containers, forms, live, pages, texts, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.database import money
from marketplace.database.log import read_head
from marketplace.foundation import clock, errors
from marketplace.foundation.clock import Instant
from marketplace.http import cursors, params
from marketplace.http.resources import database, resources
from marketplace.wire import spot as wire

HERE = "spot"
PLACE = "/dashboard/spot/{pool:str}"
LINES = 100
"""Of a bill, and of a log."""
LEASES = 50
LOG_SECONDS = 2.0
"""How often the page of a lease looks at its log anew."""
LOG_PATIENCE_SECONDS = 4.0
SILENT = "The lease's node does not answer right now."


class Bid(NamedTuple):
    """A bid with its leases, how it stands while it waits, and what it costs while it runs."""

    row: spot.BidRow
    waits: spot.asking.Waiting
    leases: list[spot.LeaseRow]
    cost: spot.Cost | None
    now: Instant
    seq: int

    @property
    def command(self) -> str:
        """The argument vector as somebody would type it, empty for the image's own."""
        return shlex.join(msgspec.json.decode(self.row.command, type=list[str]))


class Lease(NamedTuple):
    """A lease, what it costs while it runs, and a page of its bill; None where it never ran."""

    row: spot.LeaseRow
    cost: spot.Cost | None
    bill: spot.LeaseBill | None
    now: Instant
    seq: int


# ── a bid ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@get(f"{PLACE}/bids/{{bid_id:str}}", opt={"scope": "read"})
async def show_bid(pool: params.Market, bid_id: params.Id, request: HttpRequest) -> Response[str]:
    """Show a bid, and what can be changed of it."""
    found = await _read_bid(request, pool, bid_id)
    return pages.page(
        request,
        "spot/bid.html",
        here=HERE,
        viewer=visits.viewer(request),
        pool=pool,
        bid=found.row,
        parts={"bid": pages.render("spot/bid_facts.html", bid=found, pool=pool)},
        stream=f"/dashboard/spot/{pool}/bids/{bid_id}/stream?after={money.LANE}:{found.seq}",
        once=forms.once,
    )


@get(f"{PLACE}/bids/{{bid_id:str}}/stream", opt={"scope": "read"})
async def follow_bid(pool: params.Market, bid_id: params.Id, request: HttpRequest) -> Stream:
    """Follow a bid."""
    await _read_bid(request, pool, bid_id)

    async def read(_at_least: int) -> Parts:
        found = await _read_bid(request, pool, bid_id)
        return Parts(found.seq, {"bid": pages.render("spot/bid_facts.html", bid=found, pool=pool)})

    return live.respond(request, Watched(money.LANE, _of_bid(pool, bid_id), read, every_seconds=LOG_SECONDS))


async def _read_bid(request: HttpRequest, pool: str, bid_id: int) -> Bid:
    """Return a bid to who may see it. Raises UnknownBid."""
    caller, now = visits.viewer(request).caller, clock.now()

    def read(tx: Any, seen: spot.Projection) -> Bid:
        row = spot.find_bid(tx, bid_id)
        if row.pool != pool or not caller.sees(row.username):
            raise spot.errors.UnknownBid(bid_id)
        leases = spot.newest_leases(tx, pool, bid_id, limit=LEASES)
        cost = spot.read_cost(tx, row.lease_id, now=now) if row.lease_id else None
        return Bid(row, spot.asking.waiting(row, seen), leases, cost, now, seen.seq)

    return await _watch(request).ask(pool, read)


@post(f"{PLACE}/bids/{{bid_id:str}}", status_code=200, opt={"scope": "trade"})
async def amend(pool: params.Market, bid_id: params.Id, request: HttpRequest) -> Response[str]:
    """Change what a bid pays at most."""
    form = await forms.read(request)
    price = spot.parsing.needed_price(form.as_(wire.PriceChange, **containers.price(form)))
    command = spot.AmendBid(bid_id, price, visits.viewer(request).caller.limited_to)
    return await _run(request, form, command, say=_say_amended, back=f"/dashboard/spot/{pool}/bids/{bid_id}")


@post(f"{PLACE}/bids/{{bid_id:str}}/cancel", status_code=200, opt={"scope": "trade"})
async def cancel(pool: params.Market, bid_id: params.Id, request: HttpRequest) -> Response[str]:
    """End a bid: at once while it waits; where it runs its container is stopped."""
    form = await forms.read(request)
    command = spot.CancelBid(bid_id, visits.viewer(request).caller.limited_to)
    return await _run(request, form, command, say=_say_ending, back=f"/dashboard/spot/{pool}/bids/{bid_id}")


# ── a lease ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@get(f"{PLACE}/leases/{{lease_id:str}}", opt={"scope": "read"})
async def show_lease(
    pool: params.Market, lease_id: params.Id, request: HttpRequest, after: params.AfterId = None
) -> Response[str]:
    """Show a lease, with its bill and its log."""
    found = await _read_lease(request, pool, lease_id, after=after)
    # A later page of the bill does not move.
    stream = f"/dashboard/spot/{pool}/leases/{lease_id}/stream?after={money.LANE}:{found.seq}"
    return pages.page(
        request,
        "spot/lease.html",
        here=HERE,
        viewer=visits.viewer(request),
        pool=pool,
        lease=found.row,
        parts=_render_lease(request, found) | {"log": await _render_log(request, lease_id)},
        stream=stream if after is None else None,
        once=forms.once,
    )


@get(f"{PLACE}/leases/{{lease_id:str}}/stream", opt={"scope": "read"})
async def follow_lease(pool: params.Market, lease_id: params.Id, request: HttpRequest) -> Stream:
    """Follow a lease, with its log."""
    row = (await _read_lease(request, pool, lease_id, after=None)).row

    async def read(_at_least: int) -> Parts:
        found = await _read_lease(request, pool, lease_id, after=None)
        return Parts(found.seq, _render_lease(request, found) | {"log": await _render_log(request, lease_id)})

    # What a container writes is no entry of the log.
    every = LOG_SECONDS if row.ended_at is None else None
    return live.respond(request, Watched(money.LANE, _of_bid(pool, row.bid_id), read, every_seconds=every))


@get(f"{PLACE}/leases/{{lease_id:str}}/log", opt={"scope": "read"})
async def show_log(pool: params.Market, lease_id: params.Id, request: HttpRequest) -> Response[bytes]:
    """Give out all that is known of what a lease's container wrote, as a file of text."""
    await _read_lease(request, pool, lease_id, after=None)
    text = await spot.read_log(database(request), lease_id=lease_id, lines=wire.MAX_LOG_LINES)
    headers = {**pages.HEADERS, "content-disposition": f'attachment; filename="lease-{lease_id}.log"'}
    return Response((text or "").encode(), media_type="text/plain", headers=headers)


async def _read_lease(request: HttpRequest, pool: str, lease_id: int, *, after: str | None) -> Lease:
    """Return a lease to who may see it. Raises UnknownLease."""
    caller, now = visits.viewer(request).caller, clock.now()

    def read(tx: Any, /) -> Lease:
        row = spot.find_lease(tx, lease_id)
        if row.pool != pool or not caller.sees(row.username):
            raise spot.errors.UnknownLease(lease_id)
        cost, bill = spot.read_cost(tx, lease_id, now=now), None
        if row.started_at is not None:
            bill = spot.lease_bill(tx, lease_id, after=cursors.to_id(after), limit=LINES)
        return Lease(row, cost, bill, now, read_head(tx, money.LANE).last_seq)

    return await database(request).read(read)


def _render_lease(request: HttpRequest, found: Lease) -> dict[str, str]:
    told = {"lease": found, "viewer": visits.viewer(request), "token": visits.form_token(request)}
    lines = found.bill.lines if found.bill else []
    more = cursors.next_after(lines, LINES, lambda line: cursors.of_id(line.from_at))
    return {
        "lease": pages.render("spot/lease_facts.html", **told),
        "bill": pages.render("spot/bill.html", bill=found.bill, lines=lines, more=more),
    }


async def _render_log(request: HttpRequest, lease_id: int) -> str:
    async def make() -> Parts:
        text: str | None = None
        trouble: str | None = None
        try:
            async with asyncio.timeout(LOG_PATIENCE_SECONDS):
                text = await spot.read_log(database(request), lease_id=lease_id, lines=LINES)
        except (errors.Busy, TimeoutError):
            trouble = SILENT
        lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []
        return Parts(0, {"log": pages.render("spot/log.html", lines=lines, trouble=trouble, is_gone=text is None)})

    parts = await live.shared(request).get_recent(("log", lease_id), LOG_SECONDS, make)
    return parts.html["log"]


@post(f"{PLACE}/leases/{{lease_id:str}}/stop", status_code=200, opt={"scope": "trade"})
async def stop(pool: params.Market, lease_id: params.Id, request: HttpRequest) -> Response[str]:
    """Stop a lease's container, which ends its bid."""
    form = await forms.read(request)
    command = spot.StopLease(lease_id, visits.viewer(request).caller.limited_to)
    return await _run(request, form, command, say=_say_ending, back=f"/dashboard/spot/{pool}/leases/{lease_id}")


@post(f"{PLACE}/leases/{{lease_id:str}}/simulate-eviction", status_code=200, opt={"scope": "admin"})
async def drill(pool: params.Market, lease_id: params.Id, request: HttpRequest) -> Response[str]:
    """Give a running lease notice as if it had been displaced."""
    form = await forms.read(request)
    command = spot.EvictLease(lease_id)
    return await _run(request, form, command, say=_say_drilled, back=f"/dashboard/spot/{pool}/leases/{lease_id}")


# ── what is said of it ───────────────────────────────────────────────────────────────────────────────────────────────


async def _run(request: HttpRequest, form: forms.Form, command: Any, *, say: Any, back: str) -> Response[str]:
    said = await forms.run(request, form, resources(request).lanes[money.LANE], command, say=say)
    return forms.answer(request, said, back=back, here=HERE)


def _say_amended(placed: spot.Placed) -> str:
    paid, held = texts.credits_(placed.max_price_micros), texts.credits_(placed.held_micros)
    return f"Bid {placed.bid_id} pays up to {paid} an hour now; {held} of the wallet are held for it."


def _say_ending(placed: spot.Placed) -> str:
    if placed.lease_id is None:
        return f"Bid {placed.bid_id} is {placed.state}."
    return f"The container of bid {placed.bid_id} is stopped; the bid is over with it."


def _say_drilled(placed: spot.Placed) -> str:
    return f"Lease {placed.lease_id} of {placed.username} was given notice."


def _of_bid(pool: str, bid_id: int) -> events.Wanted:
    return events.Wanted(topics=frozenset((spot.TOPIC,)), subject=f"{pool}/{bid_id}")


def _watch(request: HttpRequest) -> spot.Watch:
    return cast(spot.Watch, request.app.state[spot.WATCH])


HANDLERS = (
    show_bid, follow_bid, amend, cancel, show_lease, follow_lease, show_log, stop, drill,
)  # fmt: skip
