"""The pages of order auctions: a book with its orders by phase, what is owed in it and its log; and each order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from litestar import Response, get, post
from litestar.response import Stream

from marketplace import auctions, events, ledger
from marketplace.dashboard import forms, live, pages, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.dashboard.visits import Viewer
from marketplace.database import Lane, money
from marketplace.foundation import errors
from marketplace.foundation import money as amounts
from marketplace.http import params
from marketplace.http.resources import database, resources
from marketplace.wire import auctions as wire

HERE = "auctions"
HOME = "/dashboard/auctions"
ROWS = 30
"""Of each list."""
LINES = 20
"""Of the log."""
SOLVERS = 20
LEAGUE_SECONDS = 5.0
"""How often the league is counted anew, over all bids of a book."""
EVERY_SECONDS = 2.0
"""How often a page is looked at without being told to: the league comes after what moved it."""
MOST_MINUTES = 7 * 24 * 60


class Line(NamedTuple):
    """An entry of a book's log, as it is shown."""

    offset: int
    at: datetime
    order_id: int | None
    kind: str
    words: str


def lines_of(entries: list[auctions.Logged]) -> list[Line]:
    """Return entries as they are shown."""
    lines = []
    for entry in entries:
        written = msgspec.json.decode(entry.json, type=wire.Entry)
        lines.append(Line(written.offset, written.at, entry.order_id, entry.kind, auctions.words_of(entry)))
    return lines


# ── a book ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@get(HOME, opt={"scope": "read"})
async def home(request: HttpRequest) -> Response[str]:
    """Show the book that is meant where none is named."""
    return await _page(request, auctions.DEFAULT_BOOK)


@get(f"{HOME}/{{book:str}}", opt={"scope": "read"})
async def show(book: params.Market, request: HttpRequest) -> Response[str]:
    """Show a book."""
    return await _page(request, book)


@get(f"{HOME}/{{book:str}}/stream", opt={"scope": "read"})
async def follow(book: params.Market, request: HttpRequest) -> Stream:
    """Follow a book."""
    viewer = visits.viewer(request)
    await database(request).read_one(auctions.find_book, book)

    async def read(at_least: int) -> Parts:
        public = await _public_parts(request, book, at_least)
        return Parts(public.seq, {**public.html, **await _own_parts(request, book, viewer)})

    wanted = events.Wanted(topics=frozenset(("auctions",)), subject=book)
    return live.respond(request, Watched(money.LANE, wanted, read, every_seconds=EVERY_SECONDS))


async def _page(request: HttpRequest, book: str) -> Response[str]:
    viewer = visits.viewer(request)
    # First what is read first: whatever comes later than this is sent by the stream.
    public = await _public_parts(request, book, 0, is_new=True)
    own = await _own_parts(request, book, viewer)
    books = await database(request).read_one(auctions.list_books, after=None, limit=params.DEFAULT_PAGE)
    assets = await database(request).read_one(ledger.list_assets, after=None, limit=params.DEFAULT_PAGE)
    return pages.page(
        request,
        "auctions/page.html",
        here=HERE,
        viewer=viewer,
        book=await database(request).read_one(auctions.find_book, book),
        books=[one.book for one in books],
        assets=[one.asset for one in assets],
        parts={**public.html, **own},
        stream=f"{HOME}/{book}/stream?after={money.LANE}:{public.seq}",
        once=forms.once,
    )


async def _public_parts(request: HttpRequest, book: str, at_least: int, *, is_new: bool = False) -> Parts:
    """Return what everybody sees, rendered once for all."""
    shared = live.shared(request)

    async def board() -> Parts:
        found = await database(request).read(auctions.read_board, book, limit=ROWS, entries=LINES)
        return Parts(found.seq, _render_board(found))

    async def league() -> Parts:
        found = await database(request).report(auctions.read_league, book, limit=SOLVERS)
        return Parts(0, {"league": pages.render("auctions/league.html", solvers=found)})

    parts = await (board() if is_new else shared.get(("auctions", book), at_least, board))
    slow = await shared.get_recent(("league", book), LEAGUE_SECONDS, league)
    return Parts(parts.seq, {**parts.html, **slow.html})


def _render_board(board: auctions.Board) -> dict[str, str]:
    book = board.book.book
    return {
        "standing": pages.render("auctions/standing.html", standing=board.standing),
        "committed": pages.render("auctions/committed.html", promises=board.committed, book=book),
        "soliciting": pages.render("auctions/soliciting.html", orders=board.soliciting, book=book),
        "ended": pages.render("auctions/ended.html", orders=board.ended, book=book),
        "log": pages.render("auctions/log.html", lines=lines_of(board.entries), book=book),
    }


async def _own_parts(request: HttpRequest, book: str, viewer: Viewer) -> dict[str, str]:
    if viewer.username is None:
        return {"mine": pages.render("auctions/nobody.html")}
    own = await database(request).read(auctions.read_own, book, viewer.username, limit=ROWS)
    token = visits.form_token(request)
    return {"mine": pages.render("auctions/mine.html", own=own, book=book, viewer=viewer, token=token)}


# ── an order ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@get(f"{HOME}/{{book:str}}/orders/{{order_id:int}}", opt={"scope": "read"})
async def show_order(book: params.Market, order_id: params.Id, request: HttpRequest) -> Response[str]:
    """Show an order."""
    viewer = visits.viewer(request)
    sheet = await _read_sheet(request, viewer, book, order_id)
    here = f"{HOME}/{book}/orders/{order_id}"
    return pages.page(
        request,
        "auctions/order.html",
        here=HERE,
        viewer=viewer,
        order=sheet.order,
        payload=_pretty(sheet.order.payload),
        parts=_render_sheet(request, viewer, sheet, once=forms.once()),
        stream=f"{here}/stream?after={money.LANE}:{sheet.seq}",
    )


@get(f"{HOME}/{{book:str}}/orders/{{order_id:int}}/stream", opt={"scope": "read"})
async def follow_order(book: params.Market, order_id: params.Id, request: HttpRequest) -> Stream:
    """Follow an order."""
    viewer = visits.viewer(request)
    await _read_sheet(request, viewer, book, order_id)
    once = forms.once()  # the same for all repaints: what has not changed is not sent

    async def read(_at_least: int) -> Parts:
        sheet = await _read_sheet(request, viewer, book, order_id)
        return Parts(sheet.seq, _render_sheet(request, viewer, sheet, once=once))

    wanted = events.Wanted(topics=frozenset(("auctions",)), subject=f"{book}/{order_id}")
    return live.respond(request, Watched(money.LANE, wanted, read))


async def _read_sheet(request: HttpRequest, viewer: Viewer, book: str, order_id: int) -> auctions.Sheet:
    """Read an order as its viewer sees it. Raises UnknownOrder.

    Bids of others stay sealed for an admin too, here: who may act for anyone may look over any shoulder by the API.
    """
    sheet = await database(request).read(
        auctions.read_sheet,
        order_id,
        seen_by=viewer.caller.limited_to,
        bids_of=viewer.username or "",
        limit=params.DEFAULT_PAGE,
    )
    if sheet.order.book != book:
        raise auctions.errors.UnknownOrder(order_id)
    return sheet


def _render_sheet(request: HttpRequest, viewer: Viewer, sheet: auctions.Sheet, *, once: str) -> dict[str, str]:
    live_one = next((one for one in sheet.commitments if one.commitment.state == "live"), None)
    given: dict[str, Any] = {
        "sheet": sheet,
        "order": sheet.order,
        "promise": live_one,
        "viewer": viewer,
        "token": visits.form_token(request),
        "once": once,
        "sees_owner": viewer.caller.sees(sheet.order.owner),
    }
    lines = lines_of(sheet.entries)
    return {
        "facts": pages.render("auctions/facts.html", **given),
        "deeds": pages.render("auctions/deeds.html", **given),
        "bids": pages.render("auctions/bids.html", **given),
        "promises": pages.render("auctions/promises.html", **given),
        "entries": pages.render("auctions/log.html", lines=lines, book=sheet.order.book),
    }


def _pretty(payload: str | None) -> str | None:
    return None if payload is None else msgspec.json.format(payload, indent=2)


# ── what can be done ─────────────────────────────────────────────────────────────────────────────────────────────────


@post(HOME, status_code=200, opt={"scope": "admin"})
async def open_book(request: HttpRequest) -> Response[str]:
    """Open a book."""
    form = await forms.read(request)
    data = form.as_(wire.NewBook)
    command = auctions.shapes.open_book(data)
    return await _run(request, form, command, lambda made: f"The book {made.book} is open.", back=f"{HOME}/{data.book}")


@post(f"{HOME}/{{book:str}}/orders", status_code=200, opt={"scope": "trade"})
async def place(book: params.Market, request: HttpRequest) -> Response[str]:
    """Put an order out to solvers."""
    form = await forms.read(request)
    data = form.as_(wire.NewOrder, book=book, payload=_payload(form))
    owner = visits.viewer(request).caller.acting_for(data.username)
    read = database(request).read_one
    output, paying = [await read(ledger.find_asset, name) for name in (data.output_asset, data.input_asset)]
    command = auctions.shapes.place_order(data, owner, output=output, paying=paying)
    return await _run(request, form, command, _say_placed, back=f"{HOME}/{book}")


@post(f"{HOME}/{{book:str}}/orders/{{order_id:int}}/cancel", status_code=200, opt={"scope": "trade"})
async def cancel(book: params.Market, order_id: params.Id, request: HttpRequest) -> Response[str]:
    """Take an order back."""
    form = await forms.read(request)
    order = await _find(request, book, order_id)
    if not visits.viewer(request).caller.sees(order.owner):
        raise auctions.errors.UnknownOrder(order_id)
    command = auctions.CancelOrder(order_id, order.owner)
    return await _run(request, form, command, lambda one: f"Order {one.order_id} is cancelled.", back=f"{HOME}/{book}")


@post(f"{HOME}/{{book:str}}/orders/{{order_id:int}}/bids", status_code=200, opt={"scope": "solve"})
async def bid(book: params.Market, order_id: params.Id, request: HttpRequest) -> Response[str]:
    """Bid on an order, in place of the solver's bid before."""
    form = await forms.read(request)
    data = form.as_(wire.NewSolverBid, valid_till=_valid_till(form))
    solver = visits.viewer(request).caller.acting_for(data.solver, field="solver")
    order = await _find(request, book, order_id)
    command = auctions.shapes.place_bid(data, solver, order)

    def say(made: auctions.SolverBid) -> str:
        promised = amounts.format_amount(made.min_output, decimals=order.output_decimals)
        return f"Bid {made.bid_id} promises {promised} {order.output_asset}; it stays sealed until the selection."

    return await _run(request, form, command, say, back=f"{HOME}/{book}/orders/{order_id}")


@post(f"{HOME}/{{book:str}}/orders/{{order_id:int}}/deposits", status_code=200, opt={"scope": "solve"})
async def deposit(book: params.Market, order_id: params.Id, request: HttpRequest) -> Response[str]:
    """Deliver into escrow what was promised, or a part of it."""
    form = await forms.read(request)
    data = form.as_(wire.NewDelivery)
    solver = visits.viewer(request).caller.acting_for(data.solver, field="solver")
    order = await _find(request, book, order_id)
    command = auctions.shapes.deposit(data, solver, order)

    def say(done: auctions.Deposited) -> str:
        units = (done.amount, done.commitment.deposited, done.commitment.min_output)
        now, so_far, wanted = (amounts.format_amount(one, decimals=order.output_decimals) for one in units)
        return f"{now} {order.output_asset} were deposited: {so_far} of {wanted} in all."

    return await _run(request, form, command, say, back=f"{HOME}/{book}/orders/{order_id}")


@post(f"{HOME}/{{book:str}}/orders/{{order_id:int}}/claims", status_code=200, opt={"scope": "solve"})
async def claim(book: params.Market, order_id: params.Id, request: HttpRequest) -> Response[str]:
    """Say that it is delivered, in a book that takes a solver's word for it."""
    form = await forms.read(request)
    data = form.as_(wire.NewClaim)
    solver = visits.viewer(request).caller.acting_for(data.solver, field="solver")
    await _find(request, book, order_id)
    command = auctions.Claim(order_id, solver)
    return await _run(
        request, form, command, lambda _made: "It is noted as delivered.", back=f"{HOME}/{book}/orders/{order_id}"
    )


async def _run(request: HttpRequest, form: forms.Form, command: Any, say: Any, *, back: str) -> Response[str]:
    said = await forms.run(request, form, _lane(request), command, say=say)
    return forms.answer(request, said, back=back, here=HERE)


async def _find(request: HttpRequest, book: str, order_id: int) -> auctions.Order:
    """Return an order of a book, if it is there for the caller. Raises UnknownOrder."""
    seen_by = visits.viewer(request).caller.limited_to
    order = await database(request).read_one(auctions.find_seen_order, order_id, seen_by=seen_by)
    if order.book != book:
        raise auctions.errors.UnknownOrder(order_id)
    return order


def _say_placed(order: auctions.Order) -> str:
    return f"Order {order.order_id} is placed; it is announced with the next batch."


def _payload(form: forms.Form) -> Any:
    """Read the JSON that somebody typed. Raises Invalid."""
    text = form.text("payload")
    try:
        return None if text is None else msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise errors.Invalid("The payload is no JSON object.", field="payload") from None


def _valid_till(form: forms.Form) -> datetime:
    """Read for how many minutes a bid is good. Raises Invalid."""
    text = form.text("valid_minutes") or ""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_MINUTES):
        raise errors.Invalid(f"A bid is good for 1 to {MOST_MINUTES} minutes: valid_minutes.", field="valid_minutes")
    return datetime.now(UTC) + timedelta(minutes=int(text))


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


HANDLERS = (
    home, show, follow, show_order, follow_order, open_book, place, cancel, bid, deposit, claim,
)  # fmt: skip
