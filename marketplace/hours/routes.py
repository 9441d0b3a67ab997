"""HTTP of the hours market: parse, hand the request to the lane (or read), shape the answer. No SQL, no rules."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from marketplace import hours
from marketplace.database import Lane
from marketplace.hours import model, shapes
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.callers import Caller
from marketplace.http.resources import database, resources
from marketplace.wire import hours as wire

HttpRequest = Request[Any, Any, Any]

_ORDER = (hours.errors.UnknownMarket, hours.errors.MarketClosed)
_CLOSED_BID = (hours.errors.UnknownBid, hours.errors.BidClosed)

BidState = Annotated[str | None, QueryParameter(name="state", **params.one_of(wire.BidState))]
SupplyState = Annotated[str | None, QueryParameter(name="state", **params.one_of(wire.SupplyState))]


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[hours.LANE]


class Seed(Controller):
    """The three endpoints that the market began with, on the market `default`."""

    tags = ("seed",)

    @post("/buy", status_code=200, opt={"scope": "trade", "refuses": (hours.errors.MarketClosed,), "idempotent": True})
    async def buy(self, data: JSONBody[wire.Buy], request: HttpRequest) -> wire.Bought:
        """Bid for VM-hours.

        Leftover supply is allocated at once, the rest waits. Volume 0 is accepted and does nothing.
        """
        username = _bidder(callers.caller(request), data.username)
        if data.volume == 0:
            idempotency.key_of(request)  # a wrong key is refused here too
            return wire.Bought(None, 0, 0)
        command = model.PlaceBid(hours.DEFAULT_MARKET, username, data.volume, data.price)
        return await idempotency.run(_lane(request), command, request=request, shape=shapes.bought)

    @post(
        "/sell", status_code=200, opt={"scope": "supply", "refuses": (hours.errors.MarketClosed,), "idempotent": True}
    )
    async def sell(self, data: JSONBody[wire.Sell], request: HttpRequest) -> wire.Sold:
        """Offer VM-hours.

        The highest price is served first, then who came first; leftover waits for later bids.
        """
        if data.volume == 0:
            idempotency.key_of(request)
            return wire.Sold(None, 0, 0)
        provider = callers.caller(request).username
        command = model.AddSupply(hours.DEFAULT_MARKET, data.volume, provider=provider)
        return await idempotency.run(_lane(request), command, request=request, shape=shapes.sold)

    @get("/allocation", media_type="text/plain", opt={"scope": "read", "refuses": (hours.errors.UnknownUser,)})
    async def allocation(self, request: HttpRequest, username: params.OptionalUsername = None) -> str:
        """Tell how many hours a user was allocated, as a plain integer.

        With a key it tells of the key's own member, and the username may be left out.
        """
        whose = callers.caller(request).acting_for(username)
        total = await database(request).read_one(hours.total_allocated, hours.DEFAULT_MARKET, whose)
        return str(total)


class Markets(Controller):
    path = "/api/v1/hours/markets"
    tags = ("hours: markets",)

    @get(opt={"scope": "read"})
    async def list_markets(
        self, request: HttpRequest, limit: params.PageSize = params.DEFAULT_PAGE, after: params.AfterName = None
    ) -> wire.Markets:
        """List the markets, by name."""
        name = cursors.to_name(after)
        markets = await database(request).read(hours.list_markets, after=name, limit=limit)
        return wire.Markets(
            [shapes.market(one) for one in markets],
            cursors.next_after(markets, limit, lambda one: cursors.of_name(one.market)),
        )

    @post(opt={"scope": "admin", "refuses": (hours.errors.MarketExists,), "idempotent": True})
    async def create_market(self, data: JSONBody[wire.NewMarket], request: HttpRequest) -> wire.Market:
        """Create a market; it is open at once."""
        command = model.CreateMarket(data.market)
        return await idempotency.run(_lane(request), command, request=request, shape=shapes.market, status=201)

    @get("/{market:str}", opt={"scope": "read", "refuses": (hours.errors.UnknownMarket,)})
    async def read_market(self, market: params.Market, request: HttpRequest) -> wire.Market:
        """Read a market."""
        return shapes.market(await database(request).read(hours.find_market, market))

    @patch("/{market:str}", opt={"scope": "admin", "refuses": (hours.errors.UnknownMarket,)})
    async def change_market(
        self, market: params.Market, data: JSONBody[wire.MarketChange], request: HttpRequest
    ) -> wire.Market:
        """Open or close a market.

        A closed market takes no orders; cancels, withdrawals and reads go on.
        """
        return shapes.market(await _lane(request).run(model.ChangeMarket(market, data.state)))


class Bids(Controller):
    path = "/api/v1/hours/markets/{market:str}/bids"
    tags = ("hours: bids",)

    @get(opt={"scope": "read", "refuses": (hours.errors.UnknownMarket,)})
    async def list_bids(
        self,
        market: params.Market,
        request: HttpRequest,
        username: params.OptionalUsername = None,
        bid_state: BidState = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.Bids:
        """List bids, oldest first; with a key, the key's own member's."""
        last, whose = cursors.to_id(after), callers.caller(request).looking_at(username)
        bids = await database(request).read(
            hours.list_bids, market, username=whose, state=bid_state, after=last, limit=limit
        )
        return wire.Bids(
            [shapes.bid(one) for one in bids], cursors.next_after(bids, limit, lambda one: cursors.of_id(one.bid_id))
        )

    @post(
        opt={
            "scope": "trade",
            "refuses": (*_ORDER, hours.errors.NotFillable, hours.errors.ExpiryPassed),
            "idempotent": True,
        }
    )
    async def place_bid(self, market: params.Market, data: JSONBody[wire.NewBid], request: HttpRequest) -> wire.Bid:
        """Place a bid.

        gtc waits for what is not filled at once, ioc drops it, fok takes all or nothing.
        """
        command = _place(callers.caller(request), market, data)
        return await idempotency.run(_lane(request), command, request=request, shape=shapes.bid, status=201)

    @get("/{bid_id:str}", opt={"scope": "read", "refuses": (hours.errors.UnknownBid,)})
    async def read_bid(self, market: params.Market, bid_id: params.Id, request: HttpRequest) -> wire.Bid:
        """Read a bid."""
        return await _read_bid(request, market, bid_id)

    @patch(
        "/{bid_id:str}",
        opt={"scope": "trade", "refuses": (*_CLOSED_BID, hours.errors.MarketClosed, hours.errors.BelowAllocated)},
    )
    async def amend_bid(
        self, market: params.Market, bid_id: params.Id, data: JSONBody[wire.BidChange], request: HttpRequest
    ) -> wire.Bid:
        """Change a bid's volume or price.

        Less volume keeps the place in the queue; more volume or another price goes to the back of its price.
        """
        if data.volume is UNSET and data.price is UNSET:
            return await _read_bid(request, market, bid_id)
        volume = None if data.volume is UNSET else data.volume
        price = None if data.price is UNSET else data.price
        return shapes.bid(await _lane(request).run(model.AmendBid(market, bid_id, volume, price, _owner(request))))

    @delete("/{bid_id:str}", status_code=200, opt={"scope": "trade", "refuses": _CLOSED_BID})
    async def cancel_bid(self, market: params.Market, bid_id: params.Id, request: HttpRequest) -> wire.Bid:
        """Cancel what is still open of a bid."""
        return shapes.bid(await _lane(request).run(model.CancelBid(market, bid_id, _owner(request))))


class Supplies(Controller):
    path = "/api/v1/hours/markets/{market:str}/supplies"
    tags = ("hours: supplies",)

    @get(opt={"scope": "read", "refuses": (hours.errors.UnknownMarket,)})
    async def list_supplies(
        self,
        market: params.Market,
        request: HttpRequest,
        provider: params.OptionalUsername = None,
        supply_state: SupplyState = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.Supplies:
        """List supplies, oldest first; with a key, the key's own member's."""
        last, whose = cursors.to_id(after), callers.caller(request).looking_at(provider)
        supplies = await database(request).read(
            hours.list_supplies, market, provider=whose, state=supply_state, after=last, limit=limit
        )
        return wire.Supplies(
            [shapes.supply(one) for one in supplies],
            cursors.next_after(supplies, limit, lambda one: cursors.of_id(one.supply_id)),
        )

    @post(opt={"scope": "supply", "refuses": _ORDER, "idempotent": True})
    async def add_supply(
        self, market: params.Market, data: JSONBody[wire.NewSupply], request: HttpRequest
    ) -> wire.Supply:
        """Add supply; bids below its minimum price do not match."""
        command = _offer(callers.caller(request), market, data)
        return await idempotency.run(_lane(request), command, request=request, shape=shapes.supply, status=201)

    @get("/{supply_id:str}", opt={"scope": "read", "refuses": (hours.errors.UnknownSupply,)})
    async def read_supply(self, market: params.Market, supply_id: params.Id, request: HttpRequest) -> wire.Supply:
        """Read a supply."""
        found = await database(request).read(hours.find_supply, market, supply_id)
        if not callers.caller(request).sees(found.provider):
            raise hours.errors.UnknownSupply(market, supply_id)
        return shapes.supply(found)

    @delete(
        "/{supply_id:str}",
        status_code=200,
        opt={"scope": "supply", "refuses": (hours.errors.UnknownSupply, hours.errors.SupplyClosed)},
    )
    async def withdraw_supply(self, market: params.Market, supply_id: params.Id, request: HttpRequest) -> wire.Supply:
        """Withdraw what is left of a supply."""
        return shapes.supply(await _lane(request).run(model.WithdrawSupply(market, supply_id, _owner(request))))


class Views(Controller):
    """What a market looks like, and many orders at once."""

    path = "/api/v1/hours/markets/{market:str}"
    tags = ("hours: market data",)
    opt = {"refuses": (hours.errors.UnknownMarket,)}  # noqa: RUF012 - Litestar's own declaration is not a ClassVar

    @post(
        "/orders:batch",
        status_code=200,
        opt={"scope": ("trade", "supply"), "refuses": (*_ORDER, hours.errors.OrderRefused), "idempotent": True},
    )
    async def run_orders(
        self, market: params.Market, data: JSONBody[wire.Orders], request: HttpRequest
    ) -> wire.OrderResults:
        """Run up to 10 000 orders, in order, in one transaction.

        Each has a result of its own; with `atomic` the first refusal undoes all, and is the answer.
        """
        caller = callers.caller(request)
        orders = tuple(_order(caller, market, one, index) for index, one in enumerate(data.orders))
        command = model.RunOrders(orders, is_atomic=data.atomic)
        return await idempotency.run(_lane(request), command, request=request, shape=shapes.results)

    @get("/book", opt={"scope": "read"})
    async def read_book(
        self, market: params.Market, request: HttpRequest, limit: params.PageSize = params.DEFAULT_PAGE
    ) -> wire.Book:
        """Read the price levels of both sides, best first."""
        return await database(request).read(hours.read_book, market, limit=limit)

    @get("/fills", opt={"scope": "read"})
    async def list_fills(
        self,
        market: params.Market,
        request: HttpRequest,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterPlace = None,
    ) -> wire.Fills:
        """List what was traded, without names, newest first."""
        last = cursors.to_place(after)
        fills = await database(request).read(hours.list_fills, market, before=last, limit=limit)
        return wire.Fills([shapes.fill(one) for one in fills], cursors.next_after(fills, limit, shapes.cursor))

    @get("/allocations", opt={"scope": "read"})
    async def list_allocations(
        self,
        market: params.Market,
        request: HttpRequest,
        username: params.OptionalUsername = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterPlace = None,
    ) -> wire.Allocations:
        """List allocations, of one user or of all, oldest first; with a key, those of the key's own member."""
        last, whose = cursors.to_place(after), callers.caller(request).looking_at(username)
        found = await database(request).read(hours.list_allocations, market, username=whose, after=last, limit=limit)
        return wire.Allocations(
            [shapes.allocation(one) for one in found], cursors.next_after(found, limit, shapes.cursor)
        )

    @get("/candles", opt={"scope": "read"})
    async def read_candles(
        self,
        market: params.Market,
        request: HttpRequest,
        interval: FromQuery[wire.Interval] = "1h",
        since: params.Moment = None,
        until: params.Moment = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
    ) -> wire.Candles:
        """Read prices and volume by interval, oldest first."""
        bounds = {"since": params.instant(since, field="since"), "until": params.instant(until, field="until")}
        candles = await database(request).read(hours.read_candles, market, interval=interval, limit=limit, **bounds)
        return wire.Candles(market, interval, candles)

    @get("/preview", opt={"scope": "read"})
    async def preview(
        self, market: params.Market, request: HttpRequest, volume: params.PositiveQuantity, price: params.Quantity
    ) -> wire.Preview:
        """Tell what a bid would get right now, writing nothing."""
        return await database(request).read(hours.preview, market, volume=volume, price=price)


CONTROLLERS = (Seed, Markets, Bids, Supplies, Views)


# ── from the wire ────────────────────────────────────────────────────────────────────────────────────────────────────


def _bidder(caller: Caller, named: str | UnsetType, *, within: str = "") -> str:
    return caller.acting_for(None if named is UNSET else named, field=f"{within}username")


def _owner(request: HttpRequest) -> str | UnsetType:
    """Return whose things the caller may change; UNSET where anybody's."""
    only = callers.caller(request).limited_to
    return UNSET if only is None else only


def _place(caller: Caller, market: str, data: wire.NewBid, *, within: str = "") -> model.PlaceBid:
    username = _bidder(caller, data.username, within=within)
    expires_at = params.expiry(data.expires_at, field=f"{within}expires_at")
    return model.PlaceBid(market, username, data.volume, data.price, data.time_in_force, expires_at)


def _offer(caller: Caller, market: str, data: wire.NewSupply) -> model.AddSupply:
    return model.AddSupply(market, data.volume, data.min_price, caller.on_behalf_of(data.provider))


def _order(
    caller: Caller, market: str, data: wire.BuyOrder | wire.SellOrder, index: int
) -> model.PlaceBid | model.AddSupply:
    """Read one of many orders, which takes the same scope as it does alone."""
    if isinstance(data, wire.BuyOrder):
        caller.require("trade")
        return _place(caller, market, data, within=f"orders[{index}].")
    caller.require("supply")
    return _offer(caller, market, data)


async def _read_bid(request: HttpRequest, market: str, bid_id: int) -> wire.Bid:
    """Read a bid for who may see it."""
    found = await database(request).read(hours.find_bid, market, bid_id)
    if not callers.caller(request).sees(found.username):
        raise hours.errors.UnknownBid(market, bid_id)
    return shapes.bid(found)
