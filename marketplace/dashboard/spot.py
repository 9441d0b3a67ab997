"""The page of the spot market: what a unit costs and did, how full nodes are, what runs, what waits and why."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

from litestar import Response, get, post
from litestar.params import FromQuery
from litestar.response import Stream

from marketplace import events, spot
from marketplace.dashboard import containers, forms, live, pages, texts, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.dashboard.visits import Viewer
from marketplace.database import money
from marketplace.foundation import clock, errors
from marketplace.foundation.clock import Instant
from marketplace.http import params
from marketplace.http.resources import database, resources
from marketplace.wire import spot as wire

HERE = "spot"
HOME = "/dashboard/spot"
Window = Literal["1h", "1d", "7d"]
WINDOWS: dict[Window, Instant] = {"1h": clock.HOUR, "1d": clock.DAY, "7d": 7 * clock.DAY}
MOST_POINTS = 500
"""Of a chart. Where a price has changed more often, its averages are shown."""
HOURS = 24
"""Of the map of use, the last one up to now."""
MOST_NODES = 50
MINE = 50
OVER = 20
OWN_SECONDS = 5.0
PRICE_SECONDS = 2.0
USE_SECONDS = 30.0
"""How often what time alone changes is looked at anew."""


class Board(NamedTuple):
    """What everybody sees of a pool, of one instant."""

    pool: spot.Pool
    price: spot.Interval
    use: spot.Use
    indicative: spot.asking.Indicative
    seq: int


class Mine(NamedTuple):
    """What a member has in a pool, or all together have; and how those stand that wait, by their ids."""

    bids: list[spot.OpenBid]
    over: list[spot.OverBid]
    waiting: dict[int, spot.asking.Waiting]
    now: Instant

    @property
    def placed(self) -> list[spot.OpenBid]:
        return [one for one in self.bids if one.lease_id is not None]

    @property
    def queued(self) -> list[spot.OpenBid]:
        """Those that wait, in the order in which they are tried; those last that are not queued yet."""
        ranked = [
            (self.waiting[one.bid_id].rank or 2**62, one.bid_id, one) for one in self.bids if one.lease_id is None
        ]
        return [one for _, _, one in sorted(ranked)]


class NodeHours(NamedTuple):
    """A node's use, in percent of what it has, hour by hour."""

    node: spot.NodeUse
    hours: list[int]


class Use(NamedTuple):
    """How well a pool is used: of each node, and what those who run would pay, and would at best."""

    nodes: list[NodeHours]
    value_micros: int
    ideal_micros: int


def read_board(tx: Any, seen: spot.Projection) -> Board:
    """Read what everybody sees, of a pool that has caught up."""
    found, price = spot.find_pool(tx, seen.pool), spot.current_price(tx, seen.pool)
    return Board(found, price, spot.read_use(tx, seen.pool), spot.asking.indicative(seen), seen.seq)


def read_mine(tx: Any, seen: spot.Projection, *, username: str | None, now: Instant) -> Mine:
    """Read what somebody has, or all have, of a pool that has caught up."""
    bids = spot.list_open(tx, seen.pool, username=username, limit=MINE, now=now)
    waiting = {one.bid_id: spot.asking.waiting(one, seen) for one in bids if one.lease_id is None}
    return Mine(bids, spot.list_over(tx, seen.pool, username=username, limit=OVER), waiting, now)


def read_use(tx: Any, seen: spot.Projection, *, since: Instant, until: Instant) -> Use:
    """Read how well a pool is used that has caught up. Ordering all its bids takes a while."""
    nodes = spot.list_nodes(tx, seen.pool, after=None, limit=MOST_NODES)
    room = {one.node: (one.cpu_millis, one.memory_mib) for one in nodes}
    used = spot.history.hourly_use(spot.list_stays(tx, seen.pool, since=since), room, since=since, until=until)
    total = spot.read_use(tx, seen.pool)
    has = {"cpu_millis": total.cpu_millis, "memory_mib": total.memory_mib}
    ideal = spot.history.ideal_value(seen.state.bids(), **has, policy=seen.state.policy)
    return Use([NodeHours(one, used[one.node]) for one in nodes], total.value_micros, ideal)


def steps(prices: list[spot.Interval], *, reserve_micros: int, since: Instant, until: Instant) -> dict[str, Any]:
    """Return a price as a chart draws it, up to its end: instants in seconds, credits of a unit, and the reserve."""
    if len(prices) <= MOST_POINTS:
        found = [(begin, price) for begin, _, price in spot.history.cut(prices, since=since, until=until)]
    else:
        width = (until - since) * 2 // MOST_POINTS
        found = [
            (one.opened_at, one.average) for one in spot.history.candles(prices, width=width, since=since, until=until)
        ]
    found += [(until, price) for _, price in found[-1:]]
    times, levels = [at / clock.SECOND for at, _ in found], [price / 1e6 for _, price in found]
    step = (until - since) // clock.SECOND // 7  # days are told where a chart shows seven
    return {"time": times, "price": levels, "reserve": [reserve_micros / 1e6] * len(found), "step": step}


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


@get(HOME, opt={"scope": "read"})
async def home(request: HttpRequest, window: FromQuery[Window] = "1h") -> Response[str]:
    """Show the pool that is meant where none is named."""
    return await _page(request, spot.DEFAULT_POOL, window)


@get(f"{HOME}/{{pool:str}}", opt={"scope": "read"})
async def show(pool: params.Market, request: HttpRequest, window: FromQuery[Window] = "1h") -> Response[str]:
    """Show a pool."""
    return await _page(request, pool, window)


@get(f"{HOME}/{{pool:str}}/stream", opt={"scope": "read"})
async def follow(pool: params.Market, request: HttpRequest, window: FromQuery[Window] = "1h") -> Stream:
    """Follow a pool."""
    viewer = visits.viewer(request)

    async def read(at_least: int) -> Parts:
        public = await _public_parts(request, pool, window, at_least)
        return Parts(public.seq, {**public.html, **await _own_parts(request, pool, viewer)})

    wanted = events.Wanted(topics=frozenset((spot.TOPIC,)), subject=pool)
    # Also now and then by itself: protections end, and charts go on.
    return live.respond(request, Watched(money.LANE, wanted, read, every_seconds=OWN_SECONDS))


async def _page(request: HttpRequest, pool: str, window: Window) -> Response[str]:
    viewer = visits.viewer(request)
    public = await _public_parts(request, pool, window, 0, is_new=True)
    own = await _own_parts(request, pool, viewer)
    return pages.page(
        request,
        "spot/page.html",
        here=HERE,
        viewer=viewer,
        pool=pool,
        pools=await database(request).read_one(spot.list_pools, after=None, limit=params.DEFAULT_PAGE),
        window=window,
        windows=list(WINDOWS),
        parts={**public.html, **own},
        stream=f"{HOME}/{pool}/stream?window={window}&after={money.LANE}:{public.seq}",
        once=forms.once,
    )


async def _public_parts(
    request: HttpRequest, pool: str, window: Window, at_least: int, *, is_new: bool = False
) -> Parts:
    """Return what everybody sees, rendered once for all."""
    shared = live.shared(request)

    async def board() -> Parts:
        found = await _watch(request).ask(pool, read_board)
        return Parts(found.seq, {"pool": pages.render("spot/pool.html", board=found)})

    async def prices() -> Parts:
        until = clock.now()
        since = until - WINDOWS[window]
        found = await database(request).read(spot.prices_between, pool, since=since, until=until)
        reserve = (await database(request).read_one(spot.find_pool, pool)).policy.reserve_micros
        points = steps(found, reserve_micros=reserve, since=since, until=until)
        return Parts(0, {"prices": pages.render("spot/prices.html", points=points, window=window)})

    async def use() -> Parts:
        return Parts(0, {"use": await _render_use(request, pool)})

    parts = await (board() if is_new else shared.get((HERE, pool), at_least, board))
    charts = await shared.get_recent(("prices", pool, window), PRICE_SECONDS, prices)
    nodes = await shared.get_recent(("use", pool), USE_SECONDS, use)
    return Parts(parts.seq, {**parts.html, **charts.html, **nodes.html})


async def _render_use(request: HttpRequest, pool: str) -> str:
    now = clock.now()
    since = now // clock.HOUR * clock.HOUR - (HOURS - 1) * clock.HOUR

    found = await _watch(request).ask(pool, lambda tx, seen: read_use(tx, seen, since=since, until=now))
    hours = [since + number * clock.HOUR for number in range(HOURS)]
    return pages.render("spot/use.html", **found._asdict(), hours=hours, most=MOST_NODES)


async def _own_parts(request: HttpRequest, pool: str, viewer: Viewer) -> dict[str, str]:
    username, now = whose(viewer), clock.now()
    mine = await _watch(request).ask(pool, lambda tx, seen: read_mine(tx, seen, username=username, now=now))
    token = visits.form_token(request)
    told = {"mine": mine, "viewer": viewer, "username": username, "pool": pool, "token": token, "most": MINE}
    return {"mine": pages.render("spot/mine.html", **told), "over": pages.render("spot/over.html", **told)}


def whose(viewer: Viewer) -> str | None:
    """Return whose leases to show: of whom one acts for; to who may act for anyone and names nobody, everybody's."""
    return viewer.caller.limited_to or (None if viewer.username == viewer.caller.username else viewer.username)


# ── a bid ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@post(f"{HOME}/{{pool:str}}/preview", status_code=200, opt={"scope": "read"})
async def preview(pool: params.Market, request: HttpRequest) -> Response[str]:
    """Tell what a bid would get right now, as far as its form is filled in."""
    form = await forms.read(request)
    visits.viewer(request).caller.on_behalf_of(form.text("username"))
    answer: spot.asking.Answer | None = None
    refusal: str | None = None
    if form.text("cpu") is not None and form.text("memory_mib") is not None:
        try:
            answer = await _ask(request, containers.read_bid(form, wire.BidDraft, pool=pool))
        except errors.Invalid as no:
            refusal = no.detail
    told: dict[str, Any] = {"preview": answer, "refusal": refusal}
    if pages.wants_fragment(request):
        return pages.fragment("spot/preview.html", **told)
    viewer = visits.viewer(request)
    return pages.page(request, "spot/previewed.html", here=HERE, viewer=viewer, pool=pool, **told)


async def _ask(request: HttpRequest, draft: wire.BidDraft) -> spot.asking.Answer:
    container, max_price = spot.parsing.container(draft), spot.parsing.price(draft)
    return await _watch(request).ask(draft.pool, lambda _tx, seen: spot.asking.preview(seen, container, max_price))


@post(f"{HOME}/{{pool:str}}/bids", status_code=200, opt={"scope": "trade"})
async def place(pool: params.Market, request: HttpRequest) -> Response[str]:
    """Bid for a container."""
    form = await forms.read(request)
    data = containers.read_bid(form, wire.NewSpotBid, pool=pool)
    username = visits.viewer(request).caller.acting_for(data.username)
    wish = spot.parsing.wish(data, max_price_micros=spot.parsing.needed_price(data))
    command = spot.PlaceBid(pool, username, spot.parsing.container(data), wish)
    said = await forms.run(request, form, resources(request).lanes[money.LANE], command, say=_say_placed)
    return forms.answer(request, said, back=f"{HOME}/{pool}", here=HERE)


def _say_placed(placed: spot.Placed) -> str:
    held = texts.credits_(placed.held_micros)
    return (
        f"Bid {placed.bid_id} of {placed.username} is in the queue, at up to {texts.credits_(placed.max_price_micros)}"
        f" an hour; {held} of the wallet are held for it."
    )


def _watch(request: HttpRequest) -> spot.Watch:
    return cast(spot.Watch, request.app.state[spot.WATCH])


HANDLERS = (home, show, follow, preview, place)
