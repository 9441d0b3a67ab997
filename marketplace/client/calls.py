"""The endpoints of the hours market, as functions that return a request as a value, for both clients.

Volumes are whole VM-hours, prices whole credits per VM-hour. A market is `default` unless another is named. What
creates something takes an `idempotency_key`; one is drawn where none is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from marketplace.client.requests import PAGE_SIZE, Call, Goal, Listing, create, query_of
from marketplace.wire import hours

MARKETS = "/api/v1/hours/markets"
DEFAULT_MARKET = "default"


# ── the market `default` in three words ──────────────────────────────────────────────────────────────────────────────


def buy(username: str, *, volume: int, price: int, idempotency_key: str | None = None) -> Call[hours.Bought]:
    """Bid for hours on the market `default`, paying at most `price` each; what is not there yet is waited for."""
    return create("/buy", hours.Buy(username, volume, price), hours.Bought, key=idempotency_key)


def sell(volume: int, *, idempotency_key: str | None = None) -> Call[hours.Sold]:
    """Offer hours on the market `default`, to the highest bids first."""
    return create("/sell", hours.Sell(volume), hours.Sold, key=idempotency_key)


def allocation(username: str) -> Call[int]:
    """Read the hours that a user has been given so far. NotFound for one who never placed a bid."""
    return Call("GET", "/allocation", int, query_of(username=username))


# ── markets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def markets(*, page_size: int = PAGE_SIZE) -> Listing[hours.Market]:
    """List the markets by name."""
    return Listing(Call("GET", MARKETS, hours.Markets, query_of(limit=page_size)))


def market(name: str) -> Call[hours.Market]:
    """Read one market."""
    return Call("GET", _market(name), hours.Market)


def create_market(name: str, *, idempotency_key: str | None = None) -> Call[hours.Market]:
    """Create an open market."""
    return create(MARKETS, hours.NewMarket(name), hours.Market, key=idempotency_key)


def open_market(name: str) -> Call[hours.Market]:
    """Let a closed market take orders again."""
    return _change_market(name, "open")


def close_market(name: str) -> Call[hours.Market]:
    """Take no more orders; cancels, withdrawals and reads go on."""
    return _change_market(name, "closed")


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def place_bid(
    username: str,
    *,
    volume: int,
    price: int,
    market: str = DEFAULT_MARKET,
    time_in_force: hours.TimeInForce = "gtc",
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Call[hours.Bid]:
    """Bid for hours. `ioc` takes what is there and drops the rest; `fok` takes all or nothing; `gtc` waits."""
    bid = hours.NewBid(username, volume, price, time_in_force, expires_at)
    return create(f"{_market(market)}/bids", bid, hours.Bid, key=idempotency_key)


def bid(bid_id: int, *, market: str = DEFAULT_MARKET) -> Call[hours.Bid]:
    """Read one bid."""
    return Call("GET", _bid(market, bid_id), hours.Bid)


def bids(
    *,
    market: str = DEFAULT_MARKET,
    username: str | None = None,
    state: hours.BidState | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[hours.Bid]:
    """List bids, oldest first."""
    query = query_of(username=username, state=state, limit=page_size)
    return Listing(Call("GET", f"{_market(market)}/bids", hours.Bids, query))


def cancel_bid(bid_id: int, *, market: str = DEFAULT_MARKET) -> Call[hours.Bid]:
    """Take what is still open of a bid off the book. Conflict where nothing is open any more."""
    read = bid(bid_id, market=market)
    goal = Goal(read, lambda state: state.state == "cancelled")
    return Call("DELETE", read.path, hours.Bid, goal=goal)


def amend_bid(
    bid_id: int, *, market: str = DEFAULT_MARKET, volume: int | None = None, price: int | None = None
) -> Call[hours.Bid]:
    """Change an open bid. `volume` is the whole bid's, what is allocated already included.

    Less volume keeps the place in the queue; more volume or another price goes to the back of its price.
    """
    read = bid(bid_id, market=market)
    change = hours.BidChange(UNSET if volume is None else volume, UNSET if price is None else price)
    goal = Goal(read, lambda state: volume in (None, state.volume) and price in (None, state.price))
    return Call("PATCH", read.path, hours.Bid, body=msgspec.json.encode(change), goal=goal)


# ── supplies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_supply(
    volume: int,
    *,
    market: str = DEFAULT_MARKET,
    min_price: int = 0,
    provider: str | None = None,
    idempotency_key: str | None = None,
) -> Call[hours.Supply]:
    """Offer hours; a bid below `min_price` does not get them."""
    supply = hours.NewSupply(volume, min_price, provider)
    return create(f"{_market(market)}/supplies", supply, hours.Supply, key=idempotency_key)


def supply(supply_id: int, *, market: str = DEFAULT_MARKET) -> Call[hours.Supply]:
    """Read one supply."""
    return Call("GET", _supply(market, supply_id), hours.Supply)


def supplies(
    *,
    market: str = DEFAULT_MARKET,
    provider: str | None = None,
    state: hours.SupplyState | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[hours.Supply]:
    """List supplies, oldest first."""
    query = query_of(provider=provider, state=state, limit=page_size)
    return Listing(Call("GET", f"{_market(market)}/supplies", hours.Supplies, query))


def withdraw_supply(supply_id: int, *, market: str = DEFAULT_MARKET) -> Call[hours.Supply]:
    """Take back the hours that nobody got. Conflict where none are left."""
    read = supply(supply_id, market=market)
    goal = Goal(read, lambda state: state.state == "withdrawn")
    return Call("DELETE", read.path, hours.Supply, goal=goal)


# ── many orders in one request ───────────────────────────────────────────────────────────────────────────────────────


def run_orders(
    orders: Sequence[hours.BuyOrder | hours.SellOrder],
    *,
    market: str = DEFAULT_MARKET,
    atomic: bool = False,
    idempotency_key: str | None = None,
) -> Call[hours.OrderResults]:
    """Run up to 10 000 orders in one transaction, in order; `atomic` makes the first refusal undo all of them."""
    batch = hours.Orders(list(orders), atomic)
    return create(f"{_market(market)}/orders:batch", batch, hours.OrderResults, key=idempotency_key)


# ── what the market looks like ───────────────────────────────────────────────────────────────────────────────────────


def book(*, market: str = DEFAULT_MARKET, limit: int | None = None) -> Call[hours.Book]:
    """Read the price levels of both sides, best first, at most `limit` a side."""
    return Call("GET", f"{_market(market)}/book", hours.Book, query_of(limit=limit))


def fills(*, market: str = DEFAULT_MARKET, page_size: int = PAGE_SIZE) -> Listing[hours.Fill]:
    """List allocations without names, newest first."""
    return Listing(Call("GET", f"{_market(market)}/fills", hours.Fills, query_of(limit=page_size)))


def allocations(
    *, market: str = DEFAULT_MARKET, username: str | None = None, page_size: int = PAGE_SIZE
) -> Listing[hours.Allocation]:
    """List allocations, oldest first."""
    query = query_of(username=username, limit=page_size)
    return Listing(Call("GET", f"{_market(market)}/allocations", hours.Allocations, query))


def candles(
    interval: hours.Interval = "1h",
    *,
    market: str = DEFAULT_MARKET,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Call[hours.Candles]:
    """Read opening, highest, lowest and closing price and volume by interval; times need a zone."""
    query = query_of(interval=interval, since=since, until=until, limit=limit)
    return Call("GET", f"{_market(market)}/candles", hours.Candles, query)


def preview(*, volume: int, price: int, market: str = DEFAULT_MARKET) -> Call[hours.Preview]:
    """Ask what a bid would get right now, writing nothing."""
    return Call("GET", f"{_market(market)}/preview", hours.Preview, query_of(volume=volume, price=price))


def _change_market(name: str, state: hours.MarketState) -> Call[hours.Market]:
    goal = Goal(market(name), lambda found: found.state == state)
    body = msgspec.json.encode(hours.MarketChange(state))
    return Call("PATCH", _market(name), hours.Market, body=body, goal=goal)


def _market(name: str) -> str:
    return f"{MARKETS}/{quote(name, safe='')}"


def _bid(market_name: str, bid_id: int) -> str:
    return f"{_market(market_name)}/bids/{bid_id}"


def _supply(market_name: str, supply_id: int) -> str:
    return f"{_market(market_name)}/supplies/{supply_id}"
