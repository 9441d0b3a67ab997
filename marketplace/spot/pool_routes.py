"""HTTP of pools, nodes and prices: parse, hand the request to the lane (or read), shape the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import FromQuery, JSONBody

from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.resources import database
from marketplace.spot import asking, commands, connections, errors, history, parsing, pool_listings, shapes
from marketplace.spot.projection import Projection
from marketplace.spot.routes import lane, watch
from marketplace.wire import spot_pools as wire

HttpRequest = Request[Any, Any, Any]

Pool = params.Market
Node = params.Market

NOBODY = "operator"
"""Whose a node is where callers have no keys and the request names nobody."""
PERCENTS = (20, 50, 80)
LOOKED_BACK = 30 * clock.DAY
LAST = clock.from_datetime(datetime(9999, 1, 1, tzinfo=UTC))
WIDTHS: dict[str, int] = {"1m": clock.MINUTE, "1h": clock.HOUR, "1d": clock.DAY}


class SpotPools(Controller):
    path = "/api/v1/spot/pools"
    tags = ("spot: pools",)

    @get(opt={"scope": "read"})
    async def list_spot_pools(
        self, request: HttpRequest, limit: params.PageSize = params.DEFAULT_PAGE, after: params.AfterName = None
    ) -> wire.Pools:
        """List the pools, by name."""
        found = await database(request).read_one(pool_listings.list_pools, after=cursors.to_name(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_name(one.pool))
        return wire.Pools([shapes.pool(one) for one in found], following)

    @post(
        opt={
            "scope": "admin",
            "refuses": (errors.PoolExists, errors.UnknownPricing, errors.BadPolicy),
            "idempotent": True,
        }
    )
    async def open_spot_pool(self, data: JSONBody[wire.NewPool], request: HttpRequest) -> wire.Pool:
        """Open a pool; its price begins with the reserve."""
        command = commands.OpenPool(parsing.pool(data))
        return await idempotency.run(lane(request), command, request=request, shape=shapes.pool, status=201)

    @get("/{pool:str}", opt={"scope": "read", "refuses": (errors.UnknownPool,)})
    async def read_spot_pool(self, pool: Pool, request: HttpRequest) -> wire.Pool:
        """Read a pool."""
        return shapes.pool(await database(request).read_one(pool_listings.find_pool, pool))

    @patch(
        "/{pool:str}", opt={"scope": "admin", "refuses": (errors.UnknownPool, errors.UnknownPricing, errors.BadPolicy)}
    )
    async def change_spot_pool(self, pool: Pool, data: JSONBody[wire.PoolChange], request: HttpRequest) -> wire.Pool:
        """Change what a pool decides by; leases that run keep what they were charged by."""
        before = await database(request).read_one(pool_listings.find_pool, pool)
        return shapes.pool(await lane(request).run(parsing.pool_change(pool, data, before=before)))


class SpotNodes(Controller):
    path = "/api/v1/spot/pools/{pool:str}/nodes"
    tags = ("spot: nodes",)

    @get(opt={"scope": "read", "refuses": (errors.UnknownPool,)})
    async def list_spot_nodes(
        self,
        pool: Pool,
        request: HttpRequest,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterName = None,
    ) -> wire.Nodes:
        """List a pool's nodes, by name, and how much of each is used."""
        found = await database(request).read(pool_listings.list_nodes, pool, after=cursors.to_name(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_name(one.node))
        return wire.Nodes([shapes.node_use(one) for one in found], following)

    @post(
        opt={
            "scope": "admin",
            "refuses": (errors.UnknownPool, errors.UnknownBackend, errors.BadNodeSettings),
            "idempotent": True,
        }
    )
    async def add_spot_node(self, pool: Pool, data: JSONBody[wire.NewNode], request: HttpRequest) -> wire.Node:
        """Bring a machine in, or change what it offers.

        An admin's, since the server itself connects to it, with its own files and rights. The provider that it names
        may cordon, drain and remove it.
        """
        provider = callers.caller(request).on_behalf_of(data.provider) or NOBODY
        command = parsing.node(pool, data, provider=provider)
        await connections.check(command.backend, command.owner, command.settings, database_url=database(request).url)
        return await idempotency.run(lane(request), command, request=request, shape=shapes.node, status=201)

    @get("/{node:str}", opt={"scope": "read", "refuses": (errors.UnknownNode,)})
    async def read_spot_node(self, pool: Pool, node: Node, request: HttpRequest) -> wire.NodeUse:
        """Read a node, and how much of it is used."""
        return shapes.node_use(await database(request).read_one(pool_listings.find_node, pool, node))

    @patch("/{node:str}", opt={"scope": "supply", "refuses": (errors.UnknownNode,)})
    async def change_spot_node(
        self, pool: Pool, node: Node, data: JSONBody[wire.NodeChange], request: HttpRequest
    ) -> wire.Node:
        """Cordon a node (nothing new starts there), drain it (its leases are told to go, too) or make it ready."""
        whose = callers.caller(request).limited_to
        command = commands.SetNode(pool=pool, node=node, state=data.state, provider=whose)
        return shapes.node(await lane(request).run(command))

    @delete(
        "/{node:str}",
        status_code=200,
        opt={"scope": "supply", "refuses": (errors.UnknownNode, errors.NodeInUse), "idempotent": True},
    )
    async def remove_spot_node(self, pool: Pool, node: Node, request: HttpRequest) -> wire.Removed:
        """Take a node out for good; nothing may be on it any more."""
        command = commands.RemoveNode(pool, node, callers.caller(request).limited_to)
        return await idempotency.run(lane(request), command, request=request, shape=lambda _: wire.Removed(pool, node))


class SpotPrices(Controller):
    """What a unit costs and did, and what of a pool is used."""

    path = "/api/v1/spot/pools/{pool:str}"
    tags = ("spot: prices",)
    opt = {"refuses": (errors.UnknownPool,)}  # noqa: RUF012 - Litestar's own declaration is not a ClassVar

    @get("/price", opt={"scope": "read"})
    async def read_spot_price(self, pool: Pool, request: HttpRequest) -> wire.CurrentPrice:
        """Tell what a unit costs now, and what containers of a few sizes would have to bid to run now."""
        current, of, shown = await watch(request).ask(
            pool,
            lambda tx, seen: (pool_listings.current_price(tx, pool), seen.state.policy, asking.indicative(seen)),
        )
        return shapes.current_price(pool, current, reserve_micros=of.reserve_micros, indicative=shown)

    @get("/prices", opt={"scope": "read"})
    async def list_spot_prices(
        self,
        pool: Pool,
        request: HttpRequest,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.Prices:
        """List what a unit cost, as intervals without gaps, newest first."""
        found = await database(request).read(pool_listings.list_prices, pool, before=cursors.to_id(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_id(one.from_at))
        return wire.Prices([shapes.interval(one) for one in found], following)

    @get("/candles", opt={"scope": "read"})
    async def read_spot_candles(
        self,
        pool: Pool,
        request: HttpRequest,
        interval: FromQuery[wire.Interval] = "1h",
        since: params.Moment = None,
        until: params.Moment = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
    ) -> wire.PriceCandles:
        """Read opening, highest, lowest, closing and average price by interval, oldest first.

        The newest 100 000 prices are looked at; what was before them is left out.
        """
        width, (begin, end) = WIDTHS[interval], _between(since, until, at_most=limit * WIDTHS[interval])
        begin = max(begin, (end - 1) // width * width - (limit - 1) * width)
        prices = await database(request).read(pool_listings.prices_between, pool, since=begin, until=end)
        found = history.candles(prices, width=width, since=begin, until=end)
        return wire.PriceCandles(pool, interval, shapes.candles(found))

    @get("/percentiles", opt={"scope": "read"})
    async def read_spot_percentiles(
        self, pool: Pool, request: HttpRequest, since: params.Moment = None, until: params.Moment = None
    ) -> wire.Percentiles:
        """Tell which prices were not exceeded for 20, 50 and 80 percent of the time; of 30 days if not said otherwise.

        Where there was no price yet, they are those of now.
        """
        begin, end = _between(since, until, at_most=LOOKED_BACK)
        lasted, current = await database(request).read(_durations, pool, since=begin, until=end)
        found = history.percentiles(lasted, PERCENTS) or [current.unit_price_micros] * len(PERCENTS)
        moments = (shapes.moment(begin), shapes.moment(end))
        return wire.Percentiles(pool, *moments, *map(shapes.credits_of, found))

    @get("/utilisation", opt={"scope": "read"})
    async def read_spot_utilisation(self, pool: Pool, request: HttpRequest) -> wire.Utilisation:
        """Tell how much of a pool's ready nodes is used, and of what worth that is."""
        found, ideal = await watch(request).ask(pool, lambda tx, seen: _use(tx, pool, seen))
        return shapes.utilisation(found, pool=pool, ideal_micros=ideal)


HANDLERS = (SpotPools, SpotNodes, SpotPrices)


def _between(since: str | None, until: str | None, *, at_most: int) -> tuple[Instant, Instant]:
    """Read from when until when, both left out the last `at_most` microseconds. Raises Invalid.

    Before 1970 and after 9998 there was no price, and need not be looked.
    """
    end, begin = params.instant(until, field="until"), params.instant(since, field="since")
    end = min(max(clock.now() if end is None else end, 0), LAST)
    return min(max(end - at_most if begin is None else begin, 0), LAST), end


def _durations(tx: Any, /, pool: str, *, since: Instant, until: Instant) -> Any:
    lasted = pool_listings.price_durations(tx, pool, since=since, until=until)
    return lasted, pool_listings.current_price(tx, pool)


def _use(tx: Any, pool: str, seen: Projection) -> tuple[pool_listings.Use, int]:
    used = pool_listings.read_use(tx, pool)
    return used, history.ideal_value(
        seen.state.bids(), cpu_millis=used.cpu_millis, memory_mib=used.memory_mib, policy=seen.state.policy
    )
