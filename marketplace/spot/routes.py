"""HTTP of bids and leases: parse, hand the request to the lane (or read), shape the answer. No SQL, no rules."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, cast

from litestar import Controller, Request, delete, get, patch, post
from litestar.params import JSONBody, QueryParameter

from marketplace import ledger
from marketplace.database import Lane, money
from marketplace.foundation import clock
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.resources import database, resources
from marketplace.spot import asking, commands, errors, invoices, listings, logs, parsing, shapes
from marketplace.spot.projection import Projection
from marketplace.spot.watching import WATCH, Watch
from marketplace.wire import spot as wire

HttpRequest = Request[Any, Any, Any]

_BIDDING = (
    errors.UnknownPool,
    errors.BelowReserve,
    errors.ImageNotAllowed,
    errors.TooLarge,
    errors.ExpiresInPast,
)
_PAYING = (ledger.errors.NotCovered,)

BidState = Annotated[str | None, QueryParameter(name="state", **params.one_of(wire.BidState))]
LeaseState = Annotated[str | None, QueryParameter(name="state", **params.one_of(wire.LeaseState))]
OptionalId = Annotated[str | None, QueryParameter(pattern=r"^[1-9][0-9]{0,17}$(?!\n)", description="an id, as digits")]
"""Text until it is read: Litestar would take \"null\" for leaving it out."""
Lines = Annotated[int, QueryParameter(ge=1, le=wire.MAX_LOG_LINES, description="how many lines at most, the last ones")]
Month = Annotated[
    str | None, QueryParameter(pattern=r"^[2-8][0-9]{3}-(0[1-9]|1[0-2])$(?!\n)", description="such as 2026-11, in UTC")
]
Secret = Annotated[str, QueryParameter(min_length=1, max_length=128, description="the lease's own")]


def lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


def watch(request: HttpRequest) -> Watch:
    return cast(Watch, request.app.state[WATCH])


class SpotBids(Controller):
    path = "/api/v1/spot/bids"
    tags = ("spot: bids",)

    @get(opt={"scope": "read"})
    async def list_spot_bids(
        self,
        request: HttpRequest,
        username: params.OptionalUsername = None,
        pool: params.OptionalNetwork = None,
        bid_state: BidState = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.SpotBids:
        """List bids, oldest first; with a key, the key's own member's."""
        last, whose = cursors.to_id(after), callers.caller(request).looking_at(username)
        found = await database(request).read_one(
            listings.list_bids, username=whose, pool=pool, state=bid_state, after=last, limit=limit
        )
        following = cursors.next_after(found, limit, lambda one: cursors.of_id(one.bid_id))
        return wire.SpotBids([shapes.bid(one) for one in found], following)

    @post(opt={"scope": "trade", "refuses": (*_BIDDING, *_PAYING), "idempotent": True})
    async def place_spot_bid(self, data: JSONBody[wire.NewSpotBid], request: HttpRequest) -> wire.PlacedBid:
        """Offer to pay for a container.

        What its first minimum runtime costs at its max price is held; 402 where the wallet does not cover that.
        """
        command = commands.PlaceBid(
            data.pool,
            callers.caller(request).acting_for(data.username),
            parsing.container(data),
            parsing.wish(data, max_price_micros=parsing.needed_price(data)),
        )
        return await idempotency.run(lane(request), command, request=request, shape=shapes.placed, status=201)

    @post("/preview", status_code=200, opt={"scope": "read", "refuses": _BIDDING})
    async def preview_spot_bid(self, data: JSONBody[wire.BidDraft], request: HttpRequest) -> wire.SpotPreview:
        """Tell what a bid would get right now, writing nothing; without a price, what it would have to pay."""
        container, max_price = parsing.container(data), parsing.price(data)
        parsing.wish(data, max_price_micros=max_price or 1)
        callers.caller(request).on_behalf_of(data.username)
        answer = await watch(request).ask(data.pool, lambda _tx, seen: asking.preview(seen, container, max_price))
        body = asking.ready_to_send(data, answer)
        return shapes.preview(answer, pool=data.pool, body=body)

    @get("/{bid_id:str}", opt={"scope": "read", "refuses": (errors.UnknownBid,)})
    async def read_spot_bid(self, bid_id: params.Id, request: HttpRequest) -> wire.SpotBidRead:
        """Read a bid; one that waits with its rank, and the least price for which it would run now."""
        found = await database(request).read_one(listings.find_bid, bid_id)
        if not callers.caller(request).sees(found.username):
            raise errors.UnknownBid(bid_id)
        if found.state != "submitted":
            return shapes.bid_read(found, asking.NOT_WAITING)
        return await watch(request).ask(found.pool, lambda tx, seen: _waiting(listings.find_bid(tx, bid_id), seen))

    @patch(
        "/{bid_id:str}",
        opt={"scope": "trade", "refuses": (errors.UnknownBid, errors.BidOver, errors.BelowReserve, *_PAYING)},
    )
    async def amend_spot_bid(
        self, bid_id: params.Id, data: JSONBody[wire.PriceChange], request: HttpRequest
    ) -> wire.PlacedBid:
        """Change the price of an open bid; one that waits goes to the back of its price."""
        price = parsing.needed_price(data)
        command = commands.AmendBid(bid_id, price, callers.caller(request).limited_to)
        return shapes.placed(await lane(request).run(command))

    @delete(
        "/{bid_id:str}", status_code=200, opt={"scope": "trade", "refuses": (errors.UnknownBid,), "idempotent": True}
    )
    async def cancel_spot_bid(self, bid_id: params.Id, request: HttpRequest) -> wire.PlacedBid:
        """End a bid: at once while it waits; where it runs its container is stopped. What is over stays as it is."""
        command = commands.CancelBid(bid_id, callers.caller(request).limited_to)
        return await idempotency.run(lane(request), command, request=request, shape=shapes.placed)


class SpotLeases(Controller):
    path = "/api/v1/spot/leases"
    tags = ("spot: leases",)

    @get(opt={"scope": "read"})
    async def list_spot_leases(
        self,
        request: HttpRequest,
        username: params.OptionalUsername = None,
        pool: params.OptionalNetwork = None,
        bid_id: OptionalId = None,
        lease_state: LeaseState = None,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterId = None,
    ) -> wire.Leases:
        """List leases, oldest first; with a key, the key's own member's."""
        last, whose = cursors.to_id(after), callers.caller(request).looking_at(username)
        of_bid = None if bid_id is None else int(bid_id)
        found = await database(request).read_one(
            listings.list_leases,
            username=whose, pool=pool, bid_id=of_bid, state=lease_state, after=last, limit=limit,
        )  # fmt: skip
        following = cursors.next_after(found, limit, lambda one: cursors.of_id(one.lease_id))
        return wire.Leases([shapes.lease(one) for one in found], following)

    @get("/{lease_id:str}", opt={"scope": "read", "refuses": (errors.UnknownLease,)})
    async def read_spot_lease(self, lease_id: params.Id, request: HttpRequest) -> wire.Lease:
        """Read a lease."""
        return shapes.lease(await _see(request, lease_id))

    @delete(
        "/{lease_id:str}",
        status_code=200,
        opt={"scope": "trade", "refuses": (errors.UnknownLease,), "idempotent": True},
    )
    async def stop_spot_lease(self, lease_id: params.Id, request: HttpRequest) -> wire.PlacedBid:
        """Stop a lease's container, which ends its bid."""
        command = commands.StopLease(lease_id, callers.caller(request).limited_to)
        return await idempotency.run(lane(request), command, request=request, shape=shapes.placed)

    @post(
        "/{lease_id:str}/simulate-eviction",
        status_code=200,
        opt={"scope": "admin", "refuses": (errors.UnknownLease, errors.LeaseNotRunning), "idempotent": True},
    )
    async def simulate_eviction(self, lease_id: params.Id, request: HttpRequest) -> wire.PlacedBid:
        """Drill: give a running lease notice as if it had been displaced, and let all follow."""
        command = commands.EvictLease(lease_id)
        return await idempotency.run(lane(request), command, request=request, shape=shapes.placed)

    @get("/{lease_id:str}/logs", opt={"scope": "read", "refuses": (errors.UnknownLease,)})
    async def read_spot_log(self, lease_id: params.Id, request: HttpRequest, lines: Lines = 100) -> wire.LeaseLog:
        """Read the end of what a lease's container wrote.

        It is read where the container runs. Some minutes after its end nothing of it is left, and the text is empty.
        """
        await _see(request, lease_id)
        text = await logs.read_log(database(request), lease_id=lease_id, lines=lines)
        return wire.LeaseLog(lease_id, text or "")

    @get("/{lease_id:str}/bill", opt={"scope": "read", "refuses": (errors.UnknownLease,)})
    async def read_spot_bill(
        self,
        lease_id: params.Id,
        request: HttpRequest,
        limit: params.PageSize = 1000,
        after: params.AfterId = None,
    ) -> wire.LeaseBill:
        """Read what a lease cost, a line for each price that a unit had meanwhile; 404 for one that never ran."""
        await _see(request, lease_id)
        found = await database(request).read(invoices.lease_bill, lease_id, after=cursors.to_id(after), limit=limit)
        following = cursors.next_after(found.lines, limit, lambda line: cursors.of_id(line.from_at))
        return shapes.lease_bill(found, following=following)

    @get("/{lease_id:str}/notice", opt={"scope": None, "refuses": (errors.UnknownLease,)})
    async def read_notice(self, lease_id: params.Id, secret: Secret, request: HttpRequest) -> wire.Notice:
        """Tell a container when it has to go; 404 as long as nobody wants that.

        It says who it is by its lease's secret, and needs no key.
        """
        found = await database(request).read_one(listings.find_lease, lease_id)
        is_it = secrets.compare_digest(found.notice_secret.encode(), secret.encode())
        if not is_it or found.stop_at is None or found.ended_at is not None:
            raise errors.UnknownLease(lease_id)
        return shapes.notice(found, now=clock.now())


@get("/api/v1/spot/bills", tags=["spot: bills"], opt={"scope": "read"})
async def read_spot_month(
    request: HttpRequest,
    username: params.OptionalUsername = None,
    month: Month = None,
    limit: params.PageSize = params.DEFAULT_PAGE,
    after: params.AfterId = None,
) -> wire.MonthlyBill:
    """Read what a member's leases cost in a month, in this one if none is named."""
    whose = callers.caller(request).acting_for(username)
    named = month or clock.to_datetime(clock.now()).strftime("%Y-%m")
    of = invoices.Month.of(*map(int, named.split("-")))
    of_all, lines = await database(request).read(_month, whose, of, after=cursors.to_id(after), limit=limit)
    following = cursors.next_after(lines, limit, lambda line: cursors.of_id(line.lease_id))
    return shapes.monthly_bill(whose, named, of_all, lines, following=following)


HANDLERS = (SpotBids, SpotLeases, read_spot_month)


def _month(tx: Any, /, username: str, of: invoices.Month, **page: Any) -> Any:
    return invoices.monthly_sum(tx, username, of), invoices.monthly_bill(tx, username, of, **page)


async def _see(request: HttpRequest, lease_id: int) -> listings.LeaseRow:
    """Return a lease to who may see it. Raises UnknownLease."""
    found = await database(request).read_one(listings.find_lease, lease_id)
    if not callers.caller(request).sees(found.username):
        raise errors.UnknownLease(lease_id)
    return found


def _waiting(found: listings.BidRow, seen: Projection) -> wire.SpotBidRead:
    return shapes.bid_read(found, asking.waiting(found, seen))
