"""Any number of markets in one lane: opened, closed, and apart from each other."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace import hours
from marketplace.hours import ChangeMarket, CreateMarket, errors
from tests.hours.desk import Desk
from tests.hours.orders import amend, buy, cancel, sell, withdraw


async def test_the_default_market_is_there_from_the_start(desk: Desk) -> None:
    assert (await desk.find_market("default")).state == "open"


async def test_a_new_market_is_open_and_takes_orders(desk: Desk) -> None:
    market = await desk.run(CreateMarket("west"))
    assert (market.market, market.state, market.created_at) == ("west", "open", desk.clock())
    await desk.run(buy("u1", volume=10, price=3, market="west"))
    assert (await desk.run(sell(10, market="west"))).allocated == 10


async def test_markets_share_no_hours(desk: Desk) -> None:
    await desk.run(CreateMarket("west"))
    await desk.bid(buy("u1", volume=10, price=3))
    assert (await desk.run(sell(10, market="west"))).allocated == 0
    assert await desk.total("u1") == 0
    with pytest.raises(errors.UnknownUser):
        await desk.total("u1", market="west")


async def test_orders_of_several_markets_share_a_batch(desk: Desk) -> None:
    west, *_, ours, theirs = await desk.together(
        CreateMarket("west"),
        buy("u1", volume=10, price=3),
        buy("u2", volume=10, price=3, market="west"),
        sell(4),
        sell(5, market="west"),
    )
    assert west.state == "open"
    assert (ours.allocated, theirs.allocated) == (4, 5)
    assert (await desk.total("u1"), await desk.total("u2", market="west")) == (4, 5)


async def test_a_market_is_created_once(desk: Desk) -> None:
    await desk.refused(CreateMarket("default"), errors.MarketExists)


@pytest.mark.parametrize("command", [buy("u1", volume=1, price=1, market="nowhere"), sell(1, market="nowhere")])
async def test_an_unknown_market_takes_no_orders(desk: Desk, command: Any) -> None:
    await desk.refused(command, errors.UnknownMarket)


async def test_an_unknown_market_cannot_be_closed(desk: Desk) -> None:
    await desk.refused(ChangeMarket("nowhere", "closed"), errors.UnknownMarket)


@pytest.mark.parametrize(
    "command",
    [
        buy("u2", volume=1, price=1),
        buy("u2", volume=1, price=1, time_in_force="fok"),
        sell(1),
        amend(1, volume=5),
        amend(1, price=9),
    ],
)
async def test_a_closed_market_takes_no_orders_and_no_amendments(desk: Desk, command: Any) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.run(ChangeMarket("default", "closed"))
    await desk.refused(command, errors.MarketClosed)


async def test_a_closed_market_still_lets_people_go(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=1))
    await desk.supply(sell(10, min_price=3))
    await desk.run(ChangeMarket("default", "closed"))
    assert (await desk.bid(cancel(1))).state == "cancelled"
    assert (await desk.supply(withdraw(2))).state == "withdrawn"
    assert await desk.total("u1") == 0


async def test_a_market_that_opens_again_goes_on_where_it_stood(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    closed, refusal, opened, supply = await desk.together(
        ChangeMarket("default", "closed"), sell(4), ChangeMarket("default", "open"), sell(4)
    )
    assert (closed.state, opened.state, supply.allocated) == ("closed", "open", 4)
    assert isinstance(refusal, errors.MarketClosed)


async def test_closing_a_closed_market_is_no_event(desk: Desk) -> None:
    await desk.run(ChangeMarket("default", "closed"))
    before = await desk.everything()
    assert (await desk.run(ChangeMarket("default", "closed"))).state == "closed"
    assert await desk.everything() == before


async def test_markets_are_listed_by_name_a_page_at_a_time(desk: Desk) -> None:
    for name in ("west", "alps", "sea-2", "Zoo".lower()):
        await desk.run(CreateMarket(name))
    first = await desk.read(hours.list_markets, after=None, limit=3)
    rest = await desk.read(hours.list_markets, after=first[-1].market, limit=3)
    assert [market.market for market in (*first, *rest)] == ["alps", "default", "sea-2", "west", "zoo"]
