"""Cancel, amend, expiry and matching reach for the same bids at once: one of them wins, and no hour is lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest

from marketplace.client import NEVER_AGAIN, AsyncClient, Conflict
from marketplace.wire import hours as wire
from tests.races.town import Town
from tests.races.traders import ANSWER_SECONDS, outcomes

BIDS = 16


class Clients:
    """A client for each server; `next` takes them in turns, so that neighbours reach different processes."""

    def __init__(self, town: Town) -> None:
        self._all = [AsyncClient(url, retry=NEVER_AGAIN, timeout_seconds=ANSWER_SECONDS) for url in town.urls]
        self._turn = 0

    def next(self) -> AsyncClient:
        self._turn += 1
        return self._all[self._turn % len(self._all)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._all:
            await client.close()


async def test_of_two_who_cancel_the_same_bid_one_is_told_that_it_did(town: Town) -> None:
    async with Clients(town) as clients:
        bid = await clients.next().place_bid("u1", volume=10, price=3)
        found = await outcomes(*(clients.next().cancel_bid(bid.bid_id) for _ in range(8)))
    assert sum(isinstance(each, wire.Bid) for each in found) == 1
    assert sum(isinstance(each, Conflict) for each in found) == 7
    assert (await town.read_books()).faults == []


async def test_a_cancel_and_a_sell_never_both_get_the_hours(town: Town) -> None:
    async with Clients(town) as clients:
        bids = [await clients.next().place_bid("u1", volume=10, price=3) for _ in range(BIDS)]
        cancels = [clients.next().cancel_bid(bid.bid_id) for bid in bids]
        sells = [clients.next().add_supply(5) for _ in range(2 * BIDS)]
        found = await outcomes(*(call for pair in zip(cancels, sells, strict=False) for call in pair), *sells[BIDS:])
    books = await town.read_books()
    assert books.faults == []
    given = sum(supply.allocated for supply in books.supplies.values())
    assert given == sum(bid.allocated for bid in books.bids.values()) == books.allocated
    for cancelled in (each for each in found if isinstance(each, wire.Bid)):
        assert books.bids[cancelled.bid_id].allocated == cancelled.allocated
        assert books.bids[cancelled.bid_id].state == "cancelled"
    for too_late in (each for each in found if isinstance(each, Conflict)):
        assert too_late.code == "hours.bid_closed"


async def test_cancel_amend_expiry_and_matching_lose_no_hour_and_give_none_twice(town: Town, *, is_soak: bool) -> None:
    async with Clients(town) as clients:
        for _ in range(60 if is_soak else 3):
            await reach_for_the_same(clients)
        await until_expired(clients)
    books = await town.read_books()
    assert books.faults == []
    states = {bid.state for bid in books.bids.values()}
    assert states == {"filled", "cancelled", "expired"}, "not everybody won once"
    given = sum(supply.allocated for supply in books.supplies.values())
    assert given == sum(bid.allocated for bid in books.bids.values()) == books.allocated


async def reach_for_the_same(clients: Clients) -> None:
    """Each bid is cancelled, made larger, made dearer and sold to at once, and expires within five seconds."""
    soon = datetime.now(UTC) + timedelta(seconds=5)
    bids = await asyncio.gather(
        *(
            clients.next().place_bid(f"u{number}", volume=10, price=number % 3, expires_at=soon)
            for number in range(BIDS)
        )
    )
    calls: list[Any] = []
    for number, bid in enumerate(bids):
        calls.append(clients.next().amend_bid(bid.bid_id, volume=20))
        calls.append(clients.next().amend_bid(bid.bid_id, price=5))
        if number % 3 == 0:
            calls.append(clients.next().cancel_bid(bid.bid_id))
        if number % 2 == 0:
            calls.append(clients.next().add_supply(11))
    await outcomes(*calls)


async def until_expired(clients: Clients) -> None:
    """Wait for the worker to have closed what nobody else did."""
    async with asyncio.timeout(30):
        while [bid async for bid in clients.next().bids(state="open")]:  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)


async def test_a_bid_acknowledged_before_another_was_sent_is_served_first_whichever_server_took_it(town: Town) -> None:
    async with Clients(town) as clients:
        placed = [(await clients.next().place_bid(f"u{n}", volume=1, price=3)).bid_id for n in range(40)]
        await clients.next().add_supply(25)
        served = [each.bid_id async for each in clients.next().allocations()]
    assert placed == sorted(placed)
    assert served == placed[:25]


@pytest.mark.parametrize("is_atomic", [False, True])
async def test_requests_of_many_orders_are_not_torn_apart(town: Town, *, is_atomic: bool) -> None:
    """Each sells and buys back as much at a price that nobody else reaches, so in one piece it leaves nothing."""
    orders: list[wire.BuyOrder | wire.SellOrder] = [
        wire.SellOrder(10, 9),
        wire.BuyOrder(4, 9, "u1"),
        wire.BuyOrder(6, 9, "u2"),
    ]
    async with Clients(town) as clients:
        found = await outcomes(*(clients.next().run_orders(orders, atomic=is_atomic) for _ in range(24)))
    for answer in found:
        supply, first, second = answer.results
        assert (supply.supply_id + 1, first.bid_id + 1) == (first.bid_id, second.bid_id)
        assert (first.allocated, second.allocated) == (4, 6)
    books = await town.read_books()
    assert books.faults == []
    assert books.allocated == 24 * 10
