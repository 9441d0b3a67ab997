"""Buys and sells: who gets what, at once and later."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.hours import errors, model, sql
from tests.hours.desk import Desk
from tests.hours.orders import amend, buy, cancel, sell

# ── buy and sell ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_worked_example_gives_100_100_and_50(desk: Desk) -> None:
    u1 = await desk.bid(buy("u1", volume=100, price=3))
    u2 = await desk.bid(buy("u2", volume=150, price=2))
    u3 = await desk.bid(buy("u3", volume=50, price=4))
    supply = await desk.supply(sell(250))

    assert (supply.allocated, supply.remaining, supply.state) == (250, 0, "exhausted")
    assert [await desk.total(username) for username in ("u1", "u2", "u3")] == [100, 100, 50]
    assert (await desk.find_bid(u2.bid_id)).remaining == 50
    sid = supply.supply_id
    assert await desk.trades() == [(u3.bid_id, sid, 50, 4), (u1.bid_id, sid, 100, 3), (u2.bid_id, sid, 100, 2)]


async def test_leftover_supply_is_allocated_to_a_buy_at_once_and_the_rest_of_the_buy_waits(desk: Desk) -> None:
    await desk.supply(sell(30))
    bid = await desk.bid(buy("u1", volume=100, price=3))
    assert (bid.allocated, bid.remaining, bid.state) == (30, 70, "open")
    assert await desk.total("u1") == 30


async def test_leftover_of_a_sell_is_kept_for_later_bids(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    supply = await desk.supply(sell(25))
    assert (supply.allocated, supply.remaining, supply.state) == (10, 15, "open")
    assert (await desk.bid(buy("u2", volume=15, price=0))).state == "filled"
    assert (await desk.find_supply(supply.supply_id)).state == "exhausted"


async def test_the_earlier_bid_is_filled_first_at_equal_price(desk: Desk) -> None:
    await desk.bid(buy("early", volume=10, price=3))
    await desk.bid(buy("late", volume=10, price=3))
    await desk.supply(sell(15))
    assert (await desk.total("early"), await desk.total("late")) == (10, 5)


async def test_bids_sent_at_once_are_served_in_the_order_in_which_they_arrived(desk: Desk) -> None:
    *bids, supply = await desk.together(*(buy(f"u{n}", volume=10, price=3) for n in range(1, 6)), sell(25))
    assert [bid.bid_id for bid in bids] == [1, 2, 3, 4, 5]
    assert await desk.trades() == [(n, supply.supply_id, min(10, 35 - 10 * n), 3) for n in (1, 2, 3)]


async def test_each_answer_tells_how_it_stood_when_its_own_command_was_done(desk: Desk) -> None:
    bid, first, second = await desk.together(buy("u1", volume=10, price=3), sell(4), sell(4))
    assert (bid.remaining, bid.state, first.allocated, second.allocated) == (10, "open", 4, 4)
    assert (await desk.find_bid(bid.bid_id)).remaining == 2


async def test_what_is_paid_is_the_price_of_the_bid(desk: Desk) -> None:
    supply = await desk.supply(sell(20, min_price=2))
    bid = await desk.bid(buy("u1", volume=10, price=7))
    assert await desk.trades() == [(bid.bid_id, supply.supply_id, 10, 7)]


async def test_a_price_of_zero_is_a_price(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=0))
    assert (await desk.supply(sell(10))).allocated == 10


async def test_the_largest_volume_and_price_are_exact(desk: Desk) -> None:
    for username in ("u1", "u1", "u2"):
        await desk.bid(buy(username, volume=10**9, price=10**9))
        await desk.supply(sell(10**9))
    assert (await desk.total("u1"), await desk.total("u2")) == (2 * 10**9, 10**9)


async def test_a_user_whose_bids_got_nothing_yet_has_zero_and_a_stranger_is_unknown(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    assert await desk.total("u1") == 0
    with pytest.raises(errors.UnknownUser):
        await desk.total("u2")
    with pytest.raises(errors.UnknownUser):
        await desk.total("U1")
    with pytest.raises(errors.UnknownMarket):
        await desk.total("u1", market="nowhere")


# ── minimum prices ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bid_below_the_minimum_price_does_not_match(desk: Desk) -> None:
    supply = await desk.supply(sell(10, min_price=3))
    assert (await desk.bid(buy("below", volume=5, price=2))).allocated == 0
    assert (await desk.bid(buy("at", volume=5, price=3))).allocated == 5
    assert (await desk.find_supply(supply.supply_id)).remaining == 5


async def test_a_sell_passes_over_bids_below_its_minimum_price(desk: Desk) -> None:
    await desk.bid(buy("below", volume=5, price=2))
    await desk.bid(buy("at", volume=5, price=3))
    supply = await desk.supply(sell(20, min_price=3))
    assert (supply.allocated, supply.remaining) == (5, 15)
    assert await desk.total("below") == 0


async def test_leftover_gives_the_lowest_minimum_price_first_then_the_one_that_came_first(desk: Desk) -> None:
    dear = await desk.supply(sell(10, min_price=3))
    first = await desk.supply(sell(10, min_price=1))
    second = await desk.supply(sell(10, min_price=1))
    bid = await desk.bid(buy("u1", volume=25, price=5))
    ids = [supply.supply_id for supply in (first, second, dear)]
    assert await desk.trades() == [(bid.bid_id, sid, volume, 5) for sid, volume in zip(ids, (10, 10, 5), strict=True)]


# ── time in force ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_ioc_bid_takes_what_is_there_and_drops_the_rest(desk: Desk) -> None:
    await desk.supply(sell(30))
    bid = await desk.bid(buy("u1", volume=100, price=3, time_in_force="ioc"))
    assert (bid.allocated, bid.remaining, bid.state) == (30, 70, "cancelled")
    assert (await desk.supply(sell(10))).allocated == 0


async def test_an_ioc_bid_that_finds_nothing_is_cancelled_at_once(desk: Desk) -> None:
    bid = await desk.bid(buy("u1", volume=100, price=3, time_in_force="ioc"))
    assert (bid.allocated, bid.state) == (0, "cancelled")
    assert await desk.total("u1") == 0


async def test_a_fok_bid_is_filled_whole_from_several_supplies(desk: Desk) -> None:
    await desk.supply(sell(30, min_price=1))
    await desk.supply(sell(30, min_price=2))
    bid = await desk.bid(buy("u1", volume=60, price=2, time_in_force="fok"))
    assert (bid.allocated, bid.state) == (60, "filled")


async def test_a_fok_bid_that_cannot_be_filled_whole_is_refused_and_told_what_there_is(desk: Desk) -> None:
    await desk.supply(sell(30, min_price=1))
    await desk.supply(sell(30, min_price=3))
    refusal = await desk.refused(buy("u1", volume=31, price=2, time_in_force="fok"), errors.NotFillable)
    assert refusal.extra["available"] == 30


async def test_a_fok_bid_counts_supply_far_beyond_what_is_read_at_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.hours.book.FIRST_CHUNK", 2)
    monkeypatch.setattr("marketplace.hours.book.LARGEST_CHUNK", 2)
    await desk.together(*(sell(1) for _ in range(20)))
    refusal = await desk.refused(buy("u1", volume=21, price=0, time_in_force="fok"), errors.NotFillable)
    assert refusal.extra["available"] == 20
    assert (await desk.bid(buy("u1", volume=20, price=0, time_in_force="fok"))).state == "filled"


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bid_is_not_matched_from_the_instant_it_expires_swept_or_not(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=9, expires_at=desk.clock() + 1_000_000))
    await desk.bid(buy("u2", volume=10, price=1))
    desk.clock.advance(1)
    await desk.supply(sell(5))
    assert (await desk.total("u1"), await desk.total("u2")) == (0, 5)


async def test_a_bid_is_matched_until_the_instant_before_it_expires(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=9, expires_at=desk.clock() + 1_000_000))
    desk.clock.advance(0.999999)
    assert (await desk.supply(sell(5))).allocated == 5


@pytest.mark.parametrize("seconds", [-1, 0])
async def test_a_bid_that_would_have_expired_already_is_refused(desk: Desk, seconds: int) -> None:
    await desk.supply(sell(5))
    expires_at = desk.clock() + seconds * 1_000_000
    await desk.refused(buy("u1", volume=10, price=9, expires_at=expires_at), errors.ExpiryPassed)


async def test_a_clock_that_steps_back_revives_no_bid(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=9, expires_at=desk.clock() + 1_000_000))
    desk.clock.advance(2)
    await desk.supply(sell(5))
    desk.clock.advance(-2)
    assert (await desk.supply(sell(5))).allocated == 0


# ── many orders in one request ───────────────────────────────────────────────────────────────────────────────────────


async def test_orders_of_one_request_are_run_in_order_and_each_has_a_result(desk: Desk) -> None:
    orders = (sell(10), buy("u1", volume=4, price=1), buy("u2", volume=90, price=1, time_in_force="fok"), sell(1))
    supply, bid, refusal, last = await desk.run(model.RunOrders(orders))
    assert (supply.remaining, bid.state, last.remaining) == (10, "filled", 1)
    assert isinstance(refusal, errors.NotFillable)
    assert [supply.supply_id, bid.bid_id, last.supply_id] == [1, 2, 3]


async def test_an_atomic_request_does_all_of_its_orders(desk: Desk) -> None:
    results = await desk.run(model.RunOrders((sell(10), buy("u1", volume=4, price=1)), is_atomic=True))
    assert results[1].state == "filled"


async def test_an_atomic_request_with_one_refused_order_does_none_and_names_it(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    orders = (sell(10), buy("u2", volume=5, price=1), buy("u3", volume=99, price=1, time_in_force="fok"))
    refusal = await desk.refused(model.RunOrders(orders, is_atomic=True), errors.OrderRefused)
    assert refusal.extra == {"index": 2, "refused_code": "hours.not_fillable"}


async def test_an_atomic_request_that_is_refused_harms_nobody_who_came_with_it(desk: Desk) -> None:
    doomed = model.RunOrders((sell(10), buy("u3", volume=99, price=1, time_in_force="fok")), is_atomic=True)
    first, refusal, last = await desk.together(buy("u1", volume=5, price=3), doomed, buy("u2", volume=5, price=3))
    assert (first.bid_id, last.bid_id) == (1, 2)
    assert isinstance(refusal, errors.OrderRefused)
    assert await desk.total("u1") == 0


# ── what a batch holds in memory ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_sell_over_many_bids_writes_each_chunk_before_it_reads_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.together(*(buy(f"u{n}", volume=1, price=n % 3) for n in range(40)))
    monkeypatch.setattr("marketplace.hours.book.FIRST_CHUNK", 4)
    monkeypatch.setattr("marketplace.hours.book.LARGEST_CHUNK", 8)
    written: list[int] = []
    writes = sql.writes

    def count(markets: Any, bids: Any, supplies: Any, allocations: Any) -> Any:
        written.append(len(allocations))
        return writes(markets, bids, supplies, allocations)

    monkeypatch.setattr(sql, "writes", count)
    assert (await desk.supply(sell(100))).allocated == 40
    assert sum(written) == 40
    assert max(written) <= 8


async def test_a_batch_may_cancel_and_amend_what_it_has_just_placed(desk: Desk) -> None:
    _, _, moved, gone, _ = await desk.together(
        buy("u1", volume=10, price=3), buy("u2", volume=10, price=2), amend(1, price=1), cancel(2), sell(30)
    )
    assert (moved.seq, moved.price, gone.state) == (3, 1, "cancelled")
    assert (await desk.total("u1"), await desk.total("u2")) == (10, 0)


async def test_a_bid_that_a_batch_moves_back_is_not_served_before_those_it_has_not_read_yet(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.hours.book.FIRST_CHUNK", 1)
    monkeypatch.setattr("marketplace.hours.book.LARGEST_CHUNK", 1)
    await desk.together(buy("u1", volume=10, price=5), buy("u2", volume=10, price=4), buy("u3", volume=10, price=3))
    await desk.together(amend(1, price=1), sell(25))
    assert [await desk.total(username) for username in ("u1", "u2", "u3")] == [5, 10, 10]
