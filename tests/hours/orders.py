"""Bids, supplies and commands in few words, for tests that speak of one market."""

from __future__ import annotations

from marketplace.hours import AddSupply, AmendBid, Bid, CancelBid, PlaceBid, Supply, WithdrawSupply
from marketplace.hours.model import TimeInForce

MARKET = "default"


def a_bid(bid_id: int, *, volume: int, price: int, username: str = "u1", market: str = MARKET) -> Bid:
    """An open bid that nobody has served yet."""
    return Bid(market, bid_id, bid_id, username, volume, volume, price, "gtc", "open", 0, None)


def a_supply(supply_id: int, *, volume: int, min_price: int = 0, market: str = MARKET) -> Supply:
    """An open supply that has given nothing yet."""
    return Supply(market, supply_id, None, volume, volume, min_price, "open", 0)


def buy(
    username: str,
    *,
    volume: int,
    price: int,
    time_in_force: TimeInForce = "gtc",
    expires_at: int | None = None,
    market: str = MARKET,
) -> PlaceBid:
    return PlaceBid(market, username, volume, price, time_in_force, expires_at)


def sell(volume: int, *, min_price: int = 0, provider: str | None = None, market: str = MARKET) -> AddSupply:
    return AddSupply(market, volume, min_price, provider)


def cancel(bid_id: int, *, market: str = MARKET) -> CancelBid:
    return CancelBid(market, bid_id)


def amend(bid_id: int, *, volume: int | None = None, price: int | None = None, market: str = MARKET) -> AmendBid:
    return AmendBid(market, bid_id, volume, price)


def withdraw(supply_id: int, *, market: str = MARKET) -> WithdrawSupply:
    return WithdrawSupply(market, supply_id)
