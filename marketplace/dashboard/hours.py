"""The page of the hours market: what is bid and offered, what it traded at, and what is mine of it."""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec
from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream
from msgspec import UNSET, UnsetType

from marketplace import events, hours
from marketplace.dashboard import candles, forms, live, pages, texts, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.dashboard.visits import Viewer
from marketplace.database import Lane
from marketplace.http import params
from marketplace.http.resources import database, resources
from marketplace.wire import hours as wire
from marketplace.wire import limits

HERE = "hours"
LEVELS = 12
CHART_LEVELS = 50
FILLS = 20
MINE = 50
DEPTH_SECONDS = 2.0
CANDLE_SECONDS = 5.0
"""How often the charts are looked at anew: counting a deep book takes the database long."""
CHARTS = "dashboard.charts"
"""Where the application's state has the candles that this process keeps."""

Volume = Annotated[str, QueryParameter(max_length=20)]
Price = Annotated[str, QueryParameter(max_length=20)]


class Board(msgspec.Struct, frozen=True):
    """What everybody sees of a market, of one instant."""

    market: hours.Market
    book: wire.Book
    fills: list[hours.Allocation]


class Mine(msgspec.Struct, frozen=True):
    """What one of its traders has."""

    bids: list[hours.Bid]
    allocations: list[hours.Allocation]
    supplies: list[hours.Supply]
    allocated: int


def read_board(tx: Any, /, market: str) -> Board:
    """Read what everybody sees. Run it in a snapshot. Raises UnknownMarket."""
    return Board(
        hours.find_market(tx, market),
        hours.read_book(tx, market, limit=LEVELS),
        hours.list_fills(tx, market, before=None, limit=FILLS),
    )


def read_mine(tx: Any, /, market: str, username: str) -> Mine:
    """Read what somebody has. Run it in a snapshot. Raises UnknownMarket."""
    try:
        allocated = hours.total_allocated(tx, market, username)
    except hours.errors.UnknownUser:
        allocated = 0
    return Mine(
        hours.list_bids(tx, market, username=username, state="open", after=None, limit=MINE),
        hours.list_newest_allocations(tx, market, username=username, limit=FILLS),
        hours.list_supplies(tx, market, provider=username, state="open", after=None, limit=MINE),
        allocated,
    )


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


@get("/dashboard/hours", opt={"scope": "read"})
async def home(request: HttpRequest, interval: FromQuery[wire.Interval] = "1m") -> Response[str]:
    """Show the market that is meant where none is named."""
    return await _page(request, hours.DEFAULT_MARKET, interval)


@get("/dashboard/hours/{market:str}", opt={"scope": "read"})
async def show(market: params.Market, request: HttpRequest, interval: FromQuery[wire.Interval] = "1m") -> Response[str]:
    """Show a market."""
    return await _page(request, market, interval)


@get("/dashboard/hours/{market:str}/stream", opt={"scope": "read"})
async def follow(market: params.Market, request: HttpRequest, interval: FromQuery[wire.Interval] = "1m") -> Stream:
    """Follow a market."""
    viewer = visits.viewer(request)

    async def read(at_least: int) -> Parts:
        public = await _public_parts(request, market, interval, at_least)
        return Parts(public.seq, {**public.html, **await _own_parts(request, market, viewer)})

    # Also now and then by itself: the charts come after what moved them.
    watched = Watched(hours.LANE, events.Wanted(subject=market), read, every_seconds=DEPTH_SECONDS)
    return live.respond(request, watched)


async def _page(request: HttpRequest, market: str, interval: wire.Interval) -> Response[str]:
    viewer = visits.viewer(request)
    # First what is read first: whatever comes later than this is sent by the stream.
    public = await _public_parts(request, market, interval, 0, is_new=True)
    own = await _own_parts(request, market, viewer)
    markets = await database(request).read(hours.list_markets, after=None, limit=params.DEFAULT_PAGE)
    return pages.page(
        request,
        "hours/page.html",
        here=HERE,
        viewer=viewer,
        market=market,
        markets=markets,
        is_open=next((one.state == "open" for one in markets if one.market == market), True),
        interval=interval,
        intervals=list(candles.SHOWN),
        parts={**public.html, **own},
        stream=f"/dashboard/hours/{market}/stream?interval={interval}&after={hours.LANE}:{public.seq}",
        once=forms.once,
    )


async def _public_parts(
    request: HttpRequest, market: str, interval: wire.Interval, at_least: int, *, is_new: bool = False
) -> Parts:
    """Return what everybody sees, rendered once for all."""
    shared = live.shared(request)

    async def board() -> Parts:
        found = await database(request).read(read_board, market)
        return Parts(found.book.seq, _render_board(found))

    async def prices() -> Parts:
        charts = cast(candles.Charts, request.app.state[CHARTS])
        found = await charts.read(database(request), market, interval)
        return Parts(0, {"candles": _render_candles(found, interval)})

    async def deep() -> Parts:
        book = await database(request).read(hours.read_book, market, limit=CHART_LEVELS)
        return Parts(book.seq, {"depth": pages.render("hours/depth.html", points=depth_of(book))})

    parts = await (board() if is_new else shared.get(("hours", market), at_least, board))
    depth = await shared.get_recent(("depth", market), DEPTH_SECONDS, deep)
    slow = await shared.get_recent(("candles", market, interval), CANDLE_SECONDS, prices)
    return Parts(parts.seq, {**parts.html, **depth.html, **slow.html})


def _render_board(board: Board) -> dict[str, str]:
    bids, supplies = board.book.bids, board.book.supplies
    most = max((level.volume for level in (*bids, *supplies)), default=0)
    ladder = pages.render("hours/ladder.html", bids=bids, supplies=supplies[::-1], most=most)
    return {"ladder": ladder, "tape": pages.render("hours/tape.html", fills=board.fills)}


def _render_candles(found: list[candles.Candle], interval: wire.Interval) -> str:
    columns = {name: [getattr(one, name) for one in found] for name in candles.Candle.__struct_fields__}
    points = columns | {"step": hours.INTERVAL_SECONDS[interval]}
    return pages.render("hours/candles.html", points=points, interval=interval, candles=found)


def depth_of(book: wire.Book) -> dict[str, list[int | None]]:
    """Return for each price how many hours are bid for at it or more, and offered at it or less."""
    bid = {level.price: level.cumulative_volume for level in book.bids}
    offered = {level.price: level.cumulative_volume for level in book.supplies}
    prices = sorted(bid.keys() | offered.keys())
    return {
        "price": list(prices),
        "bids": [bid.get(price) for price in prices],
        "supplies": [offered.get(price) for price in prices],
    }


async def _own_parts(request: HttpRequest, market: str, viewer: Viewer) -> dict[str, str]:
    if viewer.username is None:
        return {"mine": pages.render("hours/nobody.html")}
    mine = await database(request).read(read_mine, market, viewer.username)
    token = visits.form_token(request)
    return {"mine": pages.render("hours/mine.html", mine=mine, market=market, viewer=viewer, token=token)}


# ── what a bid would get ─────────────────────────────────────────────────────────────────────────────────────────────


@get("/dashboard/hours/{market:str}/preview", opt={"scope": "read"})
async def preview(market: params.Market, request: HttpRequest, volume: Volume = "", price: Price = "") -> Response[str]:
    """Tell what a bid would get right now, as far as its form is filled in."""
    wanted = _whole(volume, least=1), _whole(price, least=0)
    if wanted[0] is None or wanted[1] is None:
        return _previewed(request, market, None, None)
    try:
        found = await database(request).read(hours.preview, market, volume=wanted[0], price=wanted[1])
    except hours.errors.MarketClosed as closed:
        return _previewed(request, market, None, closed.detail)
    return _previewed(request, market, (found, wanted[1]), None)


def _previewed(
    request: HttpRequest, market: str, found: tuple[wire.Preview, int] | None, refusal: str | None
) -> Response[str]:
    told: dict[str, Any] = {
        "preview": found[0] if found else None,
        "price": found[1] if found else None,
        "refusal": refusal,
    }
    if pages.wants_fragment(request):
        return pages.fragment("hours/preview.html", **told)
    viewer = visits.viewer(request)
    return pages.page(request, "hours/previewed.html", here=HERE, viewer=viewer, market=market, **told)


def _whole(text: str, *, least: int) -> int | None:
    """Read a quantity that may not be typed to its end."""
    if not (text.isascii() and text.isdigit()):
        return None
    return number if least <= (number := int(text)) <= limits.MAX_QUANTITY else None


# ── what can be done ─────────────────────────────────────────────────────────────────────────────────────────────────


@post("/dashboard/hours/{market:str}/bids", status_code=200, opt={"scope": "trade"})
async def place(market: params.Market, request: HttpRequest) -> Response[str]:
    """Place a bid."""
    form = await forms.read(request)
    data = form.as_(wire.NewBid)
    username = visits.viewer(request).caller.acting_for(None if data.username is UNSET else data.username)
    command = hours.PlaceBid(market, username, data.volume, data.price, data.time_in_force)
    return await _run(request, form, market, command, _say_bid)


@get("/dashboard/hours/{market:str}/bids/{bid_id:str}", opt={"scope": "read"})
async def show_bid(market: params.Market, bid_id: params.Id, request: HttpRequest) -> Response[str]:
    """Show a bid, and what can be changed of it."""
    viewer = visits.viewer(request)
    bid = await database(request).read(hours.find_bid, market, bid_id)
    if not viewer.caller.sees(bid.username):
        raise hours.errors.UnknownBid(market, bid_id)
    return pages.page(request, "hours/bid.html", here=HERE, viewer=viewer, market=market, bid=bid, once=forms.once)


@post("/dashboard/hours/{market:str}/bids/{bid_id:str}", status_code=200, opt={"scope": "trade"})
async def amend(market: params.Market, bid_id: params.Id, request: HttpRequest) -> Response[str]:
    """Change a bid's volume or price."""
    form = await forms.read(request)
    data = form.as_(wire.BidChange)
    volume = None if data.volume is UNSET else data.volume
    price = None if data.price is UNSET else data.price
    command = hours.AmendBid(market, bid_id, volume, price, _owner(request))
    return await _run(request, form, market, command, _say_bid)


@post("/dashboard/hours/{market:str}/bids/{bid_id:str}/cancel", status_code=200, opt={"scope": "trade"})
async def cancel(market: params.Market, bid_id: params.Id, request: HttpRequest) -> Response[str]:
    """Cancel what is still open of a bid."""
    form = await forms.read(request)
    command = hours.CancelBid(market, bid_id, _owner(request))
    return await _run(request, form, market, command, _say_bid)


@post("/dashboard/hours/{market:str}/supplies", status_code=200, opt={"scope": "supply"})
async def offer(market: params.Market, request: HttpRequest) -> Response[str]:
    """Offer hours."""
    form = await forms.read(request)
    data = form.as_(wire.NewSupply)
    provider = visits.viewer(request).caller.on_behalf_of(data.provider)
    command = hours.AddSupply(market, data.volume, data.min_price, provider)
    return await _run(request, form, market, command, _say_supply)


@post("/dashboard/hours/{market:str}/supplies/{supply_id:str}/withdraw", status_code=200, opt={"scope": "supply"})
async def withdraw(market: params.Market, supply_id: params.Id, request: HttpRequest) -> Response[str]:
    """Take back what is left of a supply."""
    form = await forms.read(request)
    command = hours.WithdrawSupply(market, supply_id, _owner(request))
    return await _run(request, form, market, command, _say_supply)


@post("/dashboard/hours", status_code=200, opt={"scope": "admin"})
async def create_market(request: HttpRequest) -> Response[str]:
    """Create a market."""
    form = await forms.read(request)
    data = form.as_(wire.NewMarket)
    command = hours.CreateMarket(data.market)
    return await _run(request, form, data.market, command, lambda made: f"The market {made.market} is open.")


async def _run(request: HttpRequest, form: forms.Form, market: str, command: Any, say: Any) -> Response[str]:
    said = await forms.run(request, form, _lane(request), command, say=say)
    return forms.answer(request, said, back=f"/dashboard/hours/{market}", here=HERE)


def _say_bid(bid: hours.Bid) -> str:
    got = f"{texts.number(bid.allocated)} of {texts.number(bid.volume)} hours at up to {texts.number(bid.price)}"
    match bid.state:
        case "filled":
            return f"Bid {bid.bid_id} is filled: {got}."
        case "open":
            return f"Bid {bid.bid_id} has {got}; {texts.number(bid.remaining)} wait."
        case _:
            return f"Bid {bid.bid_id} is {bid.state}: it got {got}."


def _say_supply(supply: hours.Supply) -> str:
    given = f"{texts.number(supply.allocated)} of {texts.number(supply.volume)} hours were given to bids"
    if supply.state == "open":
        return f"Supply {supply.supply_id}: {given}, {texts.number(supply.remaining)} wait for more."
    return f"Supply {supply.supply_id} is {supply.state}: {given}."


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[hours.LANE]


def _owner(request: HttpRequest) -> str | UnsetType:
    """Return whose things the caller may change; UNSET where anybody's."""
    only = visits.viewer(request).caller.limited_to
    return UNSET if only is None else only


HANDLERS = (
    home, show, follow, preview, place, show_bid, amend, cancel, offer, withdraw, create_market,
)  # fmt: skip


def state() -> dict[str, Any]:
    """Return what the application's state has to hold for this page."""
    return {CHARTS: candles.Charts()}
