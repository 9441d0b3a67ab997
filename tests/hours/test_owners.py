"""Whose a bid or a supply is, is for the lane to say: nothing can come between the question and the deed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace.hours import AddSupply, AmendBid, CancelBid, PlaceBid, WithdrawSupply, errors
from tests.hours.desk import Desk
from tests.hours.orders import MARKET


@pytest.mark.parametrize("owner", ["bob", "Ann", ""])
async def test_a_bid_of_another_is_unknown(desk: Desk, owner: str) -> None:
    bid = await desk.bid(PlaceBid(MARKET, "ann", 5, 1))
    for command in (CancelBid(MARKET, bid.bid_id, owner), AmendBid(MARKET, bid.bid_id, 3, None, owner)):
        refusal = await desk.refused(command, errors.UnknownBid)
        assert refusal.detail == errors.UnknownBid(MARKET, bid.bid_id).detail


async def test_a_closed_bid_of_another_is_as_unknown_as_an_open_one(desk: Desk) -> None:
    bid = await desk.bid(PlaceBid(MARKET, "ann", 5, 1))
    await desk.run(CancelBid(MARKET, bid.bid_id))
    await desk.refused(CancelBid(MARKET, bid.bid_id, "bob"), errors.UnknownBid)
    await desk.refused(CancelBid(MARKET, bid.bid_id, "ann"), errors.BidClosed)


@pytest.mark.parametrize("provider", ["ann", None])
async def test_a_supply_of_another_or_of_nobody_is_unknown(desk: Desk, provider: str | None) -> None:
    supply = await desk.run(AddSupply(MARKET, 5, 9, provider))
    await desk.refused(WithdrawSupply(MARKET, supply.supply_id, "bob"), errors.UnknownSupply)
    assert (await desk.run(WithdrawSupply(MARKET, supply.supply_id))).state == "withdrawn"


async def test_an_owner_changes_cancels_and_withdraws_its_own(desk: Desk) -> None:
    bid = await desk.bid(PlaceBid(MARKET, "ann", 5, 1))
    supply = await desk.run(AddSupply(MARKET, 5, 9, "ann"))
    assert (await desk.bid(AmendBid(MARKET, bid.bid_id, 4, None, "ann"))).volume == 4
    assert (await desk.bid(CancelBid(MARKET, bid.bid_id, "ann"))).state == "cancelled"
    assert (await desk.run(WithdrawSupply(MARKET, supply.supply_id, "ann"))).state == "withdrawn"


async def test_of_many_who_cancel_a_bid_at_once_only_its_owner_does(desk: Desk) -> None:
    bid = await desk.bid(PlaceBid(MARKET, "ann", 5, 1))
    commands = [CancelBid(MARKET, bid.bid_id, owner) for owner in ("bob", "eve", "ann", "bob", "ann")]
    outcomes: list[Any] = await asyncio.gather(*(desk.run(each) for each in commands), return_exceptions=True)
    assert [type(one).__name__ for one in outcomes] == [
        "UnknownBid", "UnknownBid", "Bid", "UnknownBid", "BidClosed",
    ]  # fmt: skip
