"""A provider's day: hours that have their price, a slow morning, and what is left taken home in the evening."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from marketplace.client import Client, Conflict, NotFound


def test_a_provider_sells_above_its_price_and_takes_the_rest_home(market: Client) -> None:
    market.create_market("gpu")
    supply = market.add_supply(100, market="gpu", min_price=5, provider="p1")
    assert (supply.provider, supply.state, supply.remaining) == ("p1", "open", 100)

    # Nobody pays enough in the morning; a preview says so before anything is placed.
    assert market.preview(volume=40, price=4, market="gpu").allocated == 0
    assert market.preview(volume=40, price=4, market="gpu").best_supply_price == 5
    low = market.place_bid("u1", volume=40, price=4, market="gpu")
    assert low.allocated == 0

    # At noon the user gives way, and pays what it bids.
    raised = market.amend_bid(low.bid_id, market="gpu", price=6)
    assert (raised.allocated, raised.state) == (40, "filled")
    fills = list(market.fills(market="gpu"))
    assert [(fill.volume, fill.price) for fill in fills] == [(40, 6)]

    # One who will have it all or nothing is told what there is.
    with pytest.raises(Conflict) as caught:
        market.place_bid("u2", volume=61, price=9, market="gpu", time_in_force="fok")
    assert caught.value.code == "hours.not_fillable"
    assert market.place_bid("u2", volume=25, price=9, market="gpu", time_in_force="fok").state == "filled"

    # In the evening the rest goes home, once.
    gone = market.withdraw_supply(supply.supply_id, market="gpu")
    assert (gone.state, gone.allocated, gone.remaining) == ("withdrawn", 65, 35)
    with pytest.raises(Conflict) as caught:
        market.withdraw_supply(supply.supply_id, market="gpu")
    assert caught.value.code == "hours.supply_closed"
    assert market.place_bid("u3", volume=1, price=9, market="gpu", time_in_force="ioc").state == "cancelled"
    assert market.supply(supply.supply_id, market="gpu") == gone


def test_a_cheaper_provider_sells_first(market: Client) -> None:
    dear = market.add_supply(10, min_price=4, provider="dear")
    cheap = market.add_supply(10, min_price=1, provider="cheap")
    market.buy("u1", volume=15, price=5)
    assert market.supply(cheap.supply_id).allocated == 10
    assert market.supply(dear.supply_id).allocated == 5
    assert [each.supply_id for each in market.supplies(provider="dear", state="open")] == [dear.supply_id]


def test_a_closed_market_lets_people_go_but_takes_no_orders(market: Client) -> None:
    bid = market.place_bid("u1", volume=10, price=3)
    market.close_market("default")
    for order in (lambda: market.sell(10), lambda: market.buy("u2", volume=1, price=1)):
        with pytest.raises(Conflict) as caught:
            order()
        assert caught.value.code == "hours.market_closed"
    assert market.cancel_bid(bid.bid_id).state == "cancelled"
    market.open_market("default")
    assert market.sell(10).remaining == 10
    with pytest.raises(NotFound):
        market.place_bid("u1", volume=1, price=1, market="nowhere")


def test_a_bid_with_an_end_is_taken_off_the_book(market: Client) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    bid = market.place_bid("u1", volume=10, price=3, expires_at=soon)
    assert bid.expires_at == soon
    while market.bid(bid.bid_id).state == "open":
        assert datetime.now(UTC) < soon + timedelta(seconds=30), "nobody took it off"
    assert market.bid(bid.bid_id).state == "expired"
    assert market.sell(10).allocated == 0
    kinds = [event.kind for event in market.events()]
    assert kinds == ["bid_placed", "bid_expired", "supply_added"]
