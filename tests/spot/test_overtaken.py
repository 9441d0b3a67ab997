"""A plan is decided outside of the lane: what came before it decides whether it still holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace import spot
from marketplace.foundation.clock import SECOND
from marketplace.spot import deciding
from marketplace.spot.projection import Projection
from tests.spot.desk import CREDIT, Desk

Happen = Callable[[Desk, int], Awaitable[Any]]


async def decide(desk: Desk) -> spot.ApplyPlan:
    """Decide anew, as a process does that has just started, without handing it in."""
    projection = Projection(spot.DEFAULT_POOL, clock=desk.clock)
    await desk.read(projection.catch_up)
    command = deciding.as_command(projection.state.decide(projection.now()), projection)
    assert command is not None
    return command


async def stop_lease(desk: Desk, bid_id: int) -> Any:
    return await desk.run(spot.StopLease((await desk.lease_of(bid_id)).lease_id))


async def drill(desk: Desk, bid_id: int) -> Any:
    return await desk.run(spot.EvictLease((await desk.lease_of(bid_id)).lease_id))


def set_node(state: Any) -> Happen:
    return lambda desk, _: desk.run(spot.SetNode(pool="default", node="a", state=state))


async def expire(desk: Desk, _: int) -> Any:
    desk.clock.advance(100)
    assert await desk.run(spot.ExpireBids()) == 1


async def lose(desk: Desk, _: int) -> Any:
    desk.clock.advance(100)
    assert await desk.run(spot.LoseNodes()) == 1


TAKES: dict[str, Happen] = {
    "the bid is cancelled": lambda desk, bid_id: desk.run(spot.CancelBid(bid_id)),
    "the bid is amended": lambda desk, bid_id: desk.run(spot.AmendBid(bid_id, CREDIT)),
    "the bid has waited too long": expire,
    "the node is cordoned": set_node("cordoned"),
    "the node is to be emptied": set_node("draining"),
    "the node is lost": lose,
    "the node shrinks": lambda desk, _: desk.add_node("a", 1, owner="x"),
    "the pool asks for more": lambda desk, _: desk.run(spot.SetPool(pool="default", reserve_micros=9 * CREDIT)),
    "another process had the same plan": lambda desk, _: desk.match(),
}


@pytest.mark.parametrize("what", TAKES)
async def test_a_plan_is_not_done_once_what_it_rests_on_was_taken_away(desk: Desk, what: str) -> None:
    await desk.add_node("a", 2)
    bid_id = await desk.place("ann", 3.00, units=2, expires_at=desk.clock() + 50 * SECOND)
    plan = await decide(desk)
    await TAKES[what](desk, bid_id)
    before = await desk.everything()
    assert await desk.run(plan) is False
    assert await desk.everything() == before


@pytest.mark.parametrize("happen", [stop_lease, drill])
async def test_who_was_told_to_go_meanwhile_is_not_evicted(desk: Desk, happen: Happen) -> None:
    await desk.add_node("a")
    low = await desk.running("ann", 1.00)
    await desk.place("bob", 2.00)
    plan = await decide(desk)
    assert len(plan.evictions) == 1
    await happen(desk, low)
    assert await desk.run(plan) is False
    assert (await desk.lease_of(low)).for_bid is None


async def test_nobody_is_evicted_for_room_that_has_opened_meanwhile(desk: Desk) -> None:
    await desk.add_node("a")
    await desk.add_node("b")
    low, other = await desk.running("ann", 1.00), await desk.running("ann", 1.50)
    high = await desk.place("bob", 2.00)
    plan = await decide(desk)
    assert [one.bid_id for one in plan.evictions] == [low]
    await desk.end(other)
    assert await desk.run(plan) is False
    await desk.match()
    assert [await desk.state(bid_id) for bid_id in (low, high)] == ["running", "starting"]


async def test_a_plan_without_evictions_holds_where_room_has_opened_and_bids_have_come(desk: Desk) -> None:
    await desk.add_node("a", 2)
    running = await desk.running("ann", 1.00)
    bid_id = await desk.place("bob", 2.00)
    plan = await decide(desk)
    await desk.end(running)
    await desk.place("cy", 9.00)
    await desk.add_node("b")
    assert await desk.run(plan) is True
    assert await desk.state(bid_id) == "starting"


async def test_in_one_transaction_who_came_first_is_first(desk: Desk) -> None:
    await desk.add_node("a", 2)
    first, second = await desk.place("ann", 1.00), await desk.place("bob", 1.00)
    plan = await decide(desk)
    cancelled, done = await desk.together(spot.CancelBid(first), plan)
    assert (cancelled.state, done) == ("cancelled", False)
    plan = await decide(desk)
    done, cancelled = await desk.together(plan, spot.CancelBid(second))
    assert (done, cancelled.state) == (True, "running")
    assert (await desk.lease_of(second)).state == "stopping"


async def test_two_that_decide_at_once_place_nobody_twice_and_both_go_on(desk: Desk) -> None:
    for node in "abc":
        await desk.add_node(node, 2)
    bids = [await desk.place("ann", 1.00 + number / 100) for number in range(10)]
    others = [Projection(spot.DEFAULT_POOL, clock=desk.clock) for _ in range(3)]
    await asyncio.gather(*(deciding.step(one, desk.database, desk.lane) for one in others))
    for one in others:
        while not (await deciding.step(one, desk.database, desk.lane)).is_done:
            pass
    states = [await desk.state(bid_id) for bid_id in bids]
    assert states == ["submitted"] * 4 + ["starting"] * 6  # the dearest six


async def test_a_plan_of_a_pool_that_is_not_there_is_not_done(desk: Desk) -> None:
    plan = spot.ApplyPlan(pool="none", seq=9, starts=(), evictions=(), released=(), unit_price_micros=1)
    assert await desk.run(plan) is False
