"""A batch trader's day: thousands of orders in one request, all or none, and once even if sent twice."""

from __future__ import annotations

import pytest

from marketplace.client import Client, Conflict, Mismatch
from marketplace.wire import hours as wire

Orders = list[wire.BuyOrder | wire.SellOrder]


def test_a_day_of_a_batch_trader(market: Client) -> None:
    # In the morning a thousand small bids, one request.
    bids: Orders = [wire.BuyOrder(2, number % 5, f"u{number % 10}") for number in range(1_000)]
    results = market.run_orders(bids).results
    assert [result.bid_id for result in results] == list(range(1, 1_001))
    assert {result.remaining for result in results} == {2}

    # At noon buys and sells in one go, in order: the sell serves the best of the morning first.
    noon: Orders = [wire.SellOrder(400), wire.BuyOrder(5, 9, "late", time_in_force="ioc"), wire.SellOrder(3)]
    sold, late, last = market.run_orders(noon).results
    assert (sold.allocated, sold.remaining) == (400, 0)
    assert (late.allocated, late.remaining) == (0, 5)
    assert last.allocated == 3
    book = market.book()
    assert [(level.price, level.count, level.volume) for level in book.bids] == [
        (3, 199, 397),
        (2, 200, 400),
        (1, 200, 400),
        (0, 200, 400),
    ]
    assert book.bids[-1].cumulative_volume == 1_597

    # A refused order stops nobody where each stands for itself...
    mixed: Orders = [wire.BuyOrder(10**9, 9, "u1", time_in_force="fok"), wire.SellOrder(7)]
    refused, taken = market.run_orders(mixed).results
    assert (refused.code, refused.bid_id) == ("hours.not_fillable", None)
    assert taken.allocated == 7

    # ... and all where they stand together: nothing happens, and the seq stands still.
    before = market.book()
    with pytest.raises(Conflict) as caught:
        market.run_orders([wire.SellOrder(7), mixed[0]], atomic=True)
    assert caught.value.code == "hours.order_refused"
    assert market.book() == before

    # Everything that was given out is somebody's.
    given = sum(market.allocation(f"u{number}") for number in range(10))
    assert given == 400 + 3 + 7 == sum(fill.volume for fill in market.fills())
    mine = list(market.allocations(username="u4", page_size=7))
    assert sum(each.volume for each in mine) == market.allocation("u4")
    assert mine == sorted(mine, key=lambda each: tuple(map(int, each.fill_id.split("-"))))


def test_a_request_that_is_sent_twice_happens_once(market: Client) -> None:
    orders: Orders = [wire.SellOrder(10), wire.BuyOrder(4, 1, "u1")]
    first = market.run_orders(orders, idempotency_key="morning")
    assert market.run_orders(orders, idempotency_key="morning") == first
    assert (market.allocation("u1"), market.book().seq) == (4, 2)
    with pytest.raises(Mismatch):
        market.run_orders([wire.SellOrder(11)], idempotency_key="morning")


def test_a_large_request_is_all_there(market: Client) -> None:
    orders: Orders = [wire.BuyOrder(1, number % 100, "u1") for number in range(9_000)]
    orders += [wire.SellOrder(9) for _ in range(1_000)]
    results = market.run_orders(orders, atomic=True).results
    assert len(results) == 10_000
    assert sum(result.allocated or 0 for result in results[9_000:]) == 9_000
    assert market.allocation("u1") == 9_000
    assert market.book().bids == []
