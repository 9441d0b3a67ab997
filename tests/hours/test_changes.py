"""Cancels, amendments, withdrawals and expiry: what they do, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace import hours
from marketplace.foundation.clock import SECOND
from marketplace.foundation.errors import Refusal
from marketplace.hours import ExpireBid, errors, jobs
from tests.hours.desk import Desk
from tests.hours.orders import MARKET, amend, buy, cancel, sell, withdraw

# ── cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancelled_bid_keeps_what_it_got_and_gets_no_more(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.supply(sell(4))
    gone = await desk.bid(cancel(1))
    assert (gone.state, gone.allocated, gone.remaining) == ("cancelled", 4, 6)
    assert (await desk.supply(sell(4))).allocated == 0
    assert await desk.total("u1") == 4


@pytest.mark.parametrize("state", ["filled", "cancelled", "expired"])
@pytest.mark.parametrize("command", [cancel(1), amend(1, volume=20), amend(1, price=9), ExpireBid(MARKET, 1)])
async def test_a_closed_bid_changes_no_more(desk: Desk, state: str, command: Any) -> None:
    await desk.bid(buy("u1", volume=10, price=3, expires_at=desk.clock() + SECOND))
    desk.clock.advance(1 if state == "expired" else 0)
    await desk.run({"filled": sell(10), "cancelled": cancel(1), "expired": ExpireBid(MARKET, 1)}[state])
    refusal = await desk.refused(command, errors.BidClosed)
    assert refusal.extra == {"bid_id": 1, "state": state}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        pytest.param(cancel(99), errors.UnknownBid, id="cancel"),
        pytest.param(amend(99, volume=1), errors.UnknownBid, id="amend"),
        pytest.param(ExpireBid(MARKET, 99), errors.UnknownBid, id="expire"),
        pytest.param(withdraw(99), errors.UnknownSupply, id="withdraw"),
        pytest.param(withdraw(1), errors.UnknownSupply, id="withdraw a bid"),
        pytest.param(cancel(2), errors.UnknownBid, id="cancel a supply"),
        pytest.param(cancel(1, market="nowhere"), errors.UnknownBid, id="on another market"),
    ],
)
async def test_what_does_not_exist_cannot_be_changed(desk: Desk, command: Any, kind: type[Refusal]) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.supply(sell(10))
    await desk.refused(command, kind)


# ── amend ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_less_volume_keeps_its_place(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.bid(buy("u2", volume=10, price=3))
    less = await desk.bid(amend(1, volume=6))
    assert (less.volume, less.remaining, less.seq) == (6, 6, 1)
    await desk.supply(sell(8))
    assert (await desk.total("u1"), await desk.total("u2")) == (6, 2)


async def test_more_volume_goes_to_the_back_of_its_price(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.bid(buy("u2", volume=10, price=3))
    await desk.bid(buy("u3", volume=10, price=2))
    more = await desk.bid(amend(1, volume=12))
    assert (more.volume, more.remaining, more.seq, more.bid_id) == (12, 12, 4, 1)
    await desk.supply(sell(15))
    assert [await desk.total(username) for username in ("u1", "u2", "u3")] == [5, 10, 0]


async def test_a_new_price_goes_to_the_back_of_that_price(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=2))
    await desk.bid(buy("u2", volume=10, price=3))
    await desk.bid(amend(1, price=3))
    await desk.supply(sell(15))
    assert (await desk.total("u1"), await desk.total("u2")) == (5, 10)


async def test_a_price_that_goes_up_and_down_again_loses_its_place(desk: Desk) -> None:
    await desk.together(buy("u1", volume=10, price=3), buy("u2", volume=10, price=3))
    await desk.together(amend(1, price=4), amend(1, price=3), sell(15))
    assert (await desk.total("u1"), await desk.total("u2")) == (5, 10)


async def test_an_amended_price_takes_supply_that_it_now_reaches_and_pays_the_new_price(desk: Desk) -> None:
    supply = await desk.supply(sell(10, min_price=5))
    await desk.bid(buy("u1", volume=4, price=3))
    amended = await desk.bid(amend(2, volume=6, price=5))
    assert (amended.allocated, amended.state) == (6, "filled")
    assert await desk.trades() == [(2, supply.supply_id, 6, 5)]


async def test_hours_allocated_before_an_amendment_keep_their_price(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.supply(sell(4))
    amended = await desk.bid(amend(1, price=2))
    assert (amended.volume, amended.allocated, amended.remaining) == (10, 4, 6)
    await desk.supply(sell(6))
    assert await desk.trades() == [(1, 2, 4, 3), (1, 4, 6, 2)]


@pytest.mark.parametrize("volume", [3, 4])
async def test_a_volume_that_is_allocated_already_is_refused(desk: Desk, volume: int) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.supply(sell(4))
    refusal = await desk.refused(amend(1, volume=volume), errors.BelowAllocated)
    assert refusal.extra["allocated"] == 4
    assert (await desk.bid(amend(1, volume=5))).remaining == 1


async def test_a_bid_past_its_time_cannot_be_amended_before_it_is_swept(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3, expires_at=desk.clock() + SECOND))
    desk.clock.advance(1)
    refusal = await desk.refused(amend(1, volume=20), errors.BidClosed)
    assert refusal.extra["state"] == "expired"


# ── withdraw ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_withdrawn_supply_keeps_what_it_gave_and_gives_no_more(desk: Desk) -> None:
    await desk.supply(sell(10))
    await desk.bid(buy("u1", volume=4, price=3))
    gone = await desk.supply(withdraw(1))
    assert (gone.state, gone.allocated, gone.remaining) == ("withdrawn", 4, 6)
    assert (await desk.bid(buy("u2", volume=4, price=3))).allocated == 0


@pytest.mark.parametrize("state", ["exhausted", "withdrawn"])
async def test_a_closed_supply_cannot_be_withdrawn(desk: Desk, state: str) -> None:
    await desk.supply(sell(10))
    await desk.run({"exhausted": buy("u1", volume=10, price=0), "withdrawn": withdraw(1)}[state])
    refusal = await desk.refused(withdraw(1), errors.SupplyClosed)
    assert refusal.extra["state"] == state


# ── expiry ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_job_closes_the_bids_whose_time_has_come_and_no_others(desk: Desk) -> None:
    for seconds in (1, 2, 3):
        await desk.bid(buy(f"u{seconds}", volume=10, price=3, expires_at=desk.clock() + seconds * SECOND))
    await desk.bid(buy("u4", volume=10, price=3))
    desk.clock.advance(2)
    assert await jobs.expire_bids(desk.database, desk.lane) == 2
    assert [(await desk.find_bid(bid_id)).state for bid_id in (1, 2, 3, 4)] == ["expired", "expired", "open", "open"]
    assert await jobs.expire_bids(desk.database, desk.lane) == 0


async def test_the_job_closes_more_bids_than_go_into_one_transaction(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHUNK", 3)
    expires_at = desk.clock() + SECOND
    await desk.together(*(buy(f"u{n}", volume=1, price=1, expires_at=expires_at) for n in range(10)))
    desk.clock.advance(1)
    assert await jobs.expire_bids(desk.database, desk.lane) == 10


async def test_an_expired_bid_keeps_what_it_got(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3, expires_at=desk.clock() + SECOND))
    await desk.supply(sell(4))
    desk.clock.advance(1)
    await jobs.expire_bids(desk.database, desk.lane)
    bid = await desk.find_bid(1)
    assert (bid.state, bid.allocated) == ("expired", 4)
    assert await desk.total("u1") == 4


@pytest.mark.parametrize("seconds_left", [None, 0.000_001, 1])
async def test_a_bid_whose_time_has_not_come_does_not_expire(desk: Desk, seconds_left: float | None) -> None:
    expires_at = None if seconds_left is None else desk.clock() + 5 * SECOND
    await desk.bid(buy("u1", volume=10, price=3, expires_at=expires_at))
    desk.clock.advance(5 - (seconds_left or 0))
    refusal = await desk.refused(ExpireBid(MARKET, 1), errors.ExpiryAhead)
    assert refusal.extra == {"bid_id": 1}
    assert (await desk.supply(sell(4))).allocated == 4
    desk.clock.advance(seconds_left or 0)
    if seconds_left is not None:
        assert (await desk.bid(ExpireBid(MARKET, 1))).state == "expired"


async def test_an_expiry_that_comes_after_a_cancel_in_one_batch_is_refused(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3, expires_at=desk.clock() + SECOND))
    desk.clock.advance(1)
    gone, late = await desk.together(cancel(1), ExpireBid(MARKET, 1))
    assert gone.state == "cancelled"
    assert isinstance(late, errors.BidClosed)


async def test_every_accepted_change_is_in_the_log_and_no_refused_one(desk: Desk) -> None:
    await desk.together(buy("u1", volume=5, price=3), amend(1, volume=4), amend(1, volume=9, price=1), cancel(1))
    await desk.together(cancel(1), sell(3, provider="p1"), withdraw(5), withdraw(5))
    kinds = [(row[1], row[4], row[5], row[6]) for row in (await desk.everything())["events"]]
    assert kinds == [
        (1, "bid_placed", "default/1", "u1"),
        (2, "bid_amended", "default/1", "u1"),
        (3, "bid_amended", "default/1", "u1"),
        (4, "bid_cancelled", "default/1", "u1"),
        (5, "supply_added", "default/5", "p1"),
        (6, "supply_withdrawn", "default/5", "p1"),
    ]
    assert (await desk.read(hours.find_supply, MARKET, 5)).state == "withdrawn"
