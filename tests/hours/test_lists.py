"""Lists: filters, and pages that stay what they were while rows come in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from marketplace import hours
from marketplace.hours import errors
from tests.hours.desk import Desk
from tests.hours.orders import MARKET, buy, cancel, sell, withdraw


async def bid_ids(desk: Desk, *, username: str | None = None, state: str | None = None) -> list[int]:
    bids = await desk.read(hours.list_bids, MARKET, username=username, state=state, after=None, limit=100)
    return [bid.bid_id for bid in bids]


async def test_bids_are_listed_by_user_and_state_oldest_first(desk: Desk) -> None:
    for username in ("u1", "u2", "u1", "u2", "u1"):
        await desk.bid(buy(username, volume=10, price=3))
    await desk.supply(sell(15))
    await desk.bid(cancel(3))
    assert await bid_ids(desk) == [1, 2, 3, 4, 5]
    assert await bid_ids(desk, username="u1") == [1, 3, 5]
    assert await bid_ids(desk, state="open") == [2, 4, 5]
    assert await bid_ids(desk, username="u1", state="cancelled") == [3]
    assert await bid_ids(desk, username="u2", state="filled") == []
    assert await bid_ids(desk, username="nobody") == []


async def test_supplies_are_listed_by_provider_and_state_oldest_first(desk: Desk) -> None:
    for provider in ("p1", "p2", "p1", None):
        await desk.supply(sell(10, provider=provider))
    await desk.bid(buy("u1", volume=10, price=0))
    await desk.supply(withdraw(3))

    async def ids(provider: str | None, state: str | None) -> list[int]:
        found = await desk.read(hours.list_supplies, MARKET, provider=provider, state=state, after=None, limit=100)
        return [supply.supply_id for supply in found]

    assert await ids(None, None) == [1, 2, 3, 4]
    assert await ids("p1", None) == [1, 3]
    assert await ids(None, "open") == [2, 4]
    assert (await ids("p1", "exhausted"), await ids("p1", "withdrawn"), await ids("p2", "withdrawn")) == ([1], [3], [])


@pytest.mark.parametrize(
    "question",
    [
        lambda market: (hours.list_bids, market, {"username": None, "state": None, "after": None, "limit": 1}),
        lambda market: (hours.list_supplies, market, {"provider": None, "state": None, "after": None, "limit": 1}),
        lambda market: (hours.list_allocations, market, {"username": None, "after": None, "limit": 1}),
        lambda market: (hours.list_fills, market, {"before": None, "limit": 1}),
        lambda market: (hours.read_book, market, {"limit": 1}),
        lambda market: (hours.preview, market, {"volume": 1, "price": 1}),
        lambda market: (hours.read_candles, market, {"interval": "1h", "since": None, "until": None, "limit": 1}),
    ],
    ids=["bids", "supplies", "allocations", "fills", "book", "preview", "candles"],
)
async def test_an_unknown_market_is_said_to_be_unknown(desk: Desk, question: Callable[[str], Any]) -> None:
    function, market, named = question("nowhere")
    with pytest.raises(errors.UnknownMarket):
        await desk.read(function, market, **named)


async def test_a_bid_or_supply_of_another_market_is_unknown(desk: Desk) -> None:
    await desk.run(hours.CreateMarket("west"))
    bid = await desk.bid(buy("u1", volume=1, price=1))
    supply = await desk.supply(sell(9))
    with pytest.raises(errors.UnknownBid):
        await desk.find_bid(bid.bid_id, market="west")
    with pytest.raises(errors.UnknownSupply):
        await desk.find_supply(supply.supply_id, market="west")
    with pytest.raises(errors.UnknownMarket):
        await desk.find_bid(bid.bid_id, market="nowhere")


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_pages_of_bids_repeat_and_miss_nothing_while_bids_come_and_go(desk: Desk) -> None:
    for number in range(7):
        await desk.bid(buy("u1", volume=10, price=number % 3))
    seen: list[int] = []
    after = None
    while page := await desk.read(hours.list_bids, MARKET, username="u1", state=None, after=after, limit=3):
        seen += [bid.bid_id for bid in page]
        assert seen == sorted(set(seen)), "a page shows again what was shown"
        after = seen[-1]
        if len(seen) <= 6:
            await desk.together(buy("u1", volume=1, price=9), cancel(seen[0]))
    assert set(range(1, 8)) <= set(seen)


async def test_pages_of_fills_go_back_from_the_newest_and_never_show_later_ones(desk: Desk) -> None:
    await desk.together(*(buy(f"u{n}", volume=1, price=5) for n in range(1, 6)))
    await desk.supply(sell(5))
    page = await desk.read(hours.list_fills, MARKET, before=None, limit=2)
    seen = [(fill.seq, fill.position) for fill in page]
    while page and len(seen) < 9:
        await desk.together(buy("u9", volume=1, price=5), sell(1))
        page = await desk.read(hours.list_fills, MARKET, before=seen[-1], limit=2)
        seen += [(fill.seq, fill.position) for fill in page]
    assert seen == [(6, 4), (6, 3), (6, 2), (6, 1), (6, 0)]


async def test_pages_of_allocations_go_on_from_the_oldest_and_show_those_that_come(desk: Desk) -> None:
    await desk.together(buy("u1", volume=1, price=5), buy("u2", volume=1, price=5), buy("u1", volume=1, price=5))
    await desk.supply(sell(3))
    page = await desk.read(hours.list_allocations, MARKET, username="u1", after=None, limit=1)
    await desk.together(buy("u1", volume=1, price=5), sell(1))
    last = (page[-1].seq, page[-1].position)
    rest = await desk.read(hours.list_allocations, MARKET, username="u1", after=last, limit=9)
    assert [(each.seq, each.position, each.bid_id) for each in (*page, *rest)] == [(4, 0, 1), (4, 2, 3), (6, 0, 5)]


async def test_what_a_user_got_last_is_listed_newest_first(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=30, price=3))
    await desk.bid(buy("u2", volume=10, price=2))
    for volume in (5, 6, 7, 20):
        await desk.supply(sell(volume))
    found = await desk.read(hours.list_newest_allocations, MARKET, username="u1", limit=3)
    assert [(one.volume, one.supply_id) for one in found] == [(12, 6), (7, 5), (6, 4)]
    assert await desk.read(hours.list_newest_allocations, MARKET, username="nobody", limit=3) == []
