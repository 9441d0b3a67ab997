"""The endpoints of the spot market, as functions that return a request as a value, for both clients.

Prices and amounts are decimal text, such as "0.05", or whole numbers; never floats. A pool is `default` unless another
is named. What creates or takes away takes an `idempotency_key`; one is drawn where none is given.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Unpack, cast
from urllib.parse import quote

import msgspec

from marketplace.client.requests import PAGE_SIZE, Call, Goal, Listing, T, create, delete, query_of
from marketplace.client.spot_terms import PoolSettings, Terms
from marketplace.wire import spot
from marketplace.wire import spot_pools as pools

Price = str | int | Decimal

BIDS = "/api/v1/spot/bids"
LEASES = "/api/v1/spot/leases"
BILLS = "/api/v1/spot/bills"
POOLS = "/api/v1/spot/pools"


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def place_spot_bid(
    image: str,
    *,
    cpu_millis: int,
    memory_mib: int,
    per_hour: Price | None = None,
    per_minute: Price | None = None,
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
    **terms: Unpack[Terms],
) -> Call[spot.PlacedBid]:
    """Offer to pay for a container, by the hour or by the minute; what its first minimum runtime costs is held.

    Unaffordable where the wallet does not cover that; Conflict where the pool does not take it.
    """
    body = spot.NewSpotBid(
        image=image,
        cpu_millis=cpu_millis,
        memory_mib=memory_mib,
        max_price_per_hour=_price(per_hour),
        max_price_per_minute=_price(per_minute),
        command=list(command),
        environment=dict(environment or {}),
        **_terms(terms),
    )
    return create(BIDS, body, spot.PlacedBid, key=idempotency_key)


def preview_spot_bid(
    image: str | None = None,
    *,
    cpu_millis: int,
    memory_mib: int,
    per_hour: Price | None = None,
    per_minute: Price | None = None,
    command: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    **terms: Unpack[Terms],
) -> Call[spot.SpotPreview]:
    """Ask what a bid would get right now, writing nothing; without a price, what it would have to pay."""
    body = spot.BidDraft(
        image=image,
        cpu_millis=cpu_millis,
        memory_mib=memory_mib,
        max_price_per_hour=_price(per_hour),
        max_price_per_minute=_price(per_minute),
        command=list(command),
        environment=dict(environment or {}),
        **_terms(terms),
    )
    return Call("POST", f"{BIDS}/preview", spot.SpotPreview, body=msgspec.json.encode(body))


def spot_bid(bid_id: int) -> Call[spot.SpotBidRead]:
    """Read a bid; one that waits with its rank, and the least price for which it would run."""
    return Call("GET", f"{BIDS}/{bid_id}", spot.SpotBidRead)


def spot_bids(
    *,
    username: str | None = None,
    pool: str | None = None,
    state: spot.BidState | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[spot.SpotBid]:
    """List bids, oldest first."""
    return Listing(
        Call("GET", BIDS, spot.SpotBids, query_of(username=username, pool=pool, state=state, limit=page_size))
    )


def amend_spot_bid(
    bid_id: int, *, per_hour: Price | None = None, per_minute: Price | None = None
) -> Call[spot.PlacedBid]:
    """Change the price of an open bid; one that waits is queued anew. Conflict where it is over."""
    body = msgspec.json.encode(spot.PriceChange(_price(per_hour), _price(per_minute)))
    return Call("PATCH", f"{BIDS}/{bid_id}", spot.PlacedBid, body=body)


def cancel_spot_bid(bid_id: int, *, idempotency_key: str | None = None) -> Call[spot.PlacedBid]:
    """End a bid: at once while it waits, with its container where that runs."""
    return delete(f"{BIDS}/{bid_id}", spot.PlacedBid, key=idempotency_key)


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def spot_leases(
    *,
    username: str | None = None,
    bid_id: int | None = None,
    pool: str | None = None,
    state: spot.LeaseState | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[spot.Lease]:
    """List leases, oldest first."""
    query = query_of(username=username, bid_id=bid_id, pool=pool, state=state, limit=page_size)
    return Listing(Call("GET", LEASES, spot.Leases, query))


def spot_lease(lease_id: int) -> Call[spot.Lease]:
    """Read a lease."""
    return Call("GET", f"{LEASES}/{lease_id}", spot.Lease)


def spot_log(lease_id: int, *, lines: int | None = None) -> Call[spot.LeaseLog]:
    """Read the end of what a lease's container wrote."""
    return Call("GET", f"{LEASES}/{lease_id}/logs", spot.LeaseLog, query_of(lines=lines))


def spot_bill(lease_id: int, *, after: str | None = None, limit: int | None = None) -> Call[spot.LeaseBill]:
    """Read what a lease cost, a line for each price; `after` is `next` of the page before."""
    return Call("GET", f"{LEASES}/{lease_id}/bill", spot.LeaseBill, query_of(after=after, limit=limit))


def spot_month(
    month: str | None = None, *, username: str | None = None, after: str | None = None, limit: int | None = None
) -> Call[spot.MonthlyBill]:
    """Read what a member's leases cost in a month, such as "2026-11"; in this one, if none is named."""
    query = query_of(month=month, username=username, after=after, limit=limit)
    return Call("GET", BILLS, spot.MonthlyBill, query)


def stop_spot_lease(lease_id: int, *, idempotency_key: str | None = None) -> Call[spot.PlacedBid]:
    """Stop a lease's container, which ends its bid."""
    return delete(f"{LEASES}/{lease_id}", spot.PlacedBid, key=idempotency_key)


def evict_spot_lease(lease_id: int, *, idempotency_key: str | None = None) -> Call[spot.PlacedBid]:
    """Drill: give a lease notice as if it had been displaced. Conflict where it does not run."""
    return _post(f"{LEASES}/{lease_id}/simulate-eviction", spot.PlacedBid, key=idempotency_key)


# ── pools and nodes ──────────────────────────────────────────────────────────────────────────────────────────────────


def spot_pools(*, page_size: int = PAGE_SIZE) -> Listing[pools.Pool]:
    """List the pools by name."""
    return Listing(Call("GET", POOLS, pools.Pools, query_of(limit=page_size)))


def spot_pool(pool: str = spot.DEFAULT_POOL) -> Call[pools.Pool]:
    """Read a pool."""
    return Call("GET", _pool(pool), pools.Pool)


def open_spot_pool(
    pool: str, *, idempotency_key: str | None = None, **settings: Unpack[PoolSettings]
) -> Call[pools.Pool]:
    """Open a pool. Conflict where there is one of that name."""
    return create(POOLS, pools.NewPool(pool=pool, **_settings(settings)), pools.Pool, key=idempotency_key)


def set_spot_pool(pool: str, **settings: Unpack[PoolSettings]) -> Call[pools.Pool]:
    """Change what is named; a unit's shape cannot be changed."""
    body = msgspec.json.encode(pools.PoolChange(**_settings(settings)))
    return Call("PATCH", _pool(pool), pools.Pool, body=body)


def spot_nodes(*, pool: str = spot.DEFAULT_POOL, page_size: int = PAGE_SIZE) -> Listing[pools.NodeUse]:
    """List a pool's nodes by name."""
    return Listing(Call("GET", f"{_pool(pool)}/nodes", pools.Nodes, query_of(limit=page_size)))


def spot_node(node: str, *, pool: str = spot.DEFAULT_POOL) -> Call[pools.NodeUse]:
    """Read a node."""
    return Call("GET", _node(pool, node), pools.NodeUse)


def add_spot_node(
    node: str,
    *,
    backend: str,
    cpu_millis: int,
    memory_mib: int,
    settings: Mapping[str, Any] | None = None,
    provider: str | None = None,
    pool: str = spot.DEFAULT_POOL,
    idempotency_key: str | None = None,
) -> Call[pools.Node]:
    """Bring a machine in, or change what it offers."""
    body = pools.NewNode(
        node=node,
        backend=backend,
        cpu_millis=cpu_millis,
        memory_mib=memory_mib,
        settings=dict(settings or {}),
        provider=provider,
    )
    return create(f"{_pool(pool)}/nodes", body, pools.Node, key=idempotency_key)


def cordon_spot_node(node: str, *, pool: str = spot.DEFAULT_POOL) -> Call[pools.Node]:
    """Let nothing new start on a node; what runs there stays."""
    return _set_node(pool, node, "cordoned")


def drain_spot_node(node: str, *, pool: str = spot.DEFAULT_POOL) -> Call[pools.Node]:
    """Tell all leases of a node to go, with their notice."""
    return _set_node(pool, node, "draining")


def uncordon_spot_node(node: str, *, pool: str = spot.DEFAULT_POOL) -> Call[pools.Node]:
    """Let a cordoned or drained node be used again."""
    return _set_node(pool, node, "ready")


def remove_spot_node(
    node: str, *, pool: str = spot.DEFAULT_POOL, idempotency_key: str | None = None
) -> Call[pools.Removed]:
    """Take a node out for good. Conflict while leases are on it."""
    return delete(_node(pool, node), pools.Removed, key=idempotency_key)


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def spot_price(*, pool: str = spot.DEFAULT_POOL) -> Call[pools.CurrentPrice]:
    """Read what a unit costs now, and what containers of a few shapes would have to bid."""
    return Call("GET", f"{_pool(pool)}/price", pools.CurrentPrice)


def spot_prices(*, pool: str = spot.DEFAULT_POOL, page_size: int = PAGE_SIZE) -> Listing[pools.PriceInterval]:
    """List what a unit cost, as intervals, newest first."""
    return Listing(Call("GET", f"{_pool(pool)}/prices", pools.Prices, query_of(limit=page_size)))


def spot_candles(
    interval: pools.Interval = "1h",
    *,
    pool: str = spot.DEFAULT_POOL,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Call[pools.PriceCandles]:
    """Read opening, highest, lowest, closing and average price by interval; times need a zone."""
    query = query_of(interval=interval, since=since, until=until, limit=limit)
    return Call("GET", f"{_pool(pool)}/candles", pools.PriceCandles, query)


def spot_percentiles(
    *, pool: str = spot.DEFAULT_POOL, since: datetime | None = None, until: datetime | None = None
) -> Call[pools.Percentiles]:
    """Read the prices not exceeded for 20, 50 and 80 percent of the time, of the last 30 days if not said otherwise."""
    return Call("GET", f"{_pool(pool)}/percentiles", pools.Percentiles, query_of(since=since, until=until))


def spot_utilisation(*, pool: str = spot.DEFAULT_POOL) -> Call[pools.Utilisation]:
    """Read how much of a pool is used, and of what worth."""
    return Call("GET", f"{_pool(pool)}/utilisation", pools.Utilisation)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_node(pool: str, node: str, state: Any) -> Call[pools.Node]:
    read = Call("GET", _node(pool, node), pools.Node)
    body = msgspec.json.encode(pools.NodeChange(state))
    return Call("PATCH", read.path, pools.Node, body=body, goal=Goal(read, lambda found: found.state == state))


def _terms(terms: Terms) -> dict[str, Any]:
    given = cast(dict[str, Any], dict(terms))
    return given | ({"budget": _price(given["budget"])} if "budget" in given else {})


def _settings(settings: PoolSettings) -> dict[str, Any]:
    given = cast(dict[str, Any], dict(settings))
    name = "reserve_price_per_hour"
    return given | ({name: _price(given[name])} if name in given else {})


def _post(path: str, answer: type[T], *, key: str | None) -> Call[T]:
    """Describe a POST without a body."""
    return Call("POST", path, answer, key=key or str(uuid.uuid4()))


def _pool(pool: str) -> str:
    return f"{POOLS}/{quote(pool, safe='')}"


def _node(pool: str, node: str) -> str:
    return f"{_pool(pool)}/nodes/{quote(node, safe='')}"


def _price(price: Price | None) -> str | None:
    if price is None:
        return None
    return format(price, "f") if isinstance(price, Decimal) else str(price)
