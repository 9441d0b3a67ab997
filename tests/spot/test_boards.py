"""What boards show of a pool: what is open and what it costs by now, what is over, and who had room where."""

from __future__ import annotations

import pytest

from marketplace import spot
from marketplace.foundation.clock import HOUR, MINUTE, SECOND
from marketplace.spot import boards, errors, invoices
from tests.spot.desk import CREDIT, Desk

POOL = "default"


async def test_open_bids_are_listed_newest_first_with_their_lease_and_cost(desk: Desk) -> None:
    await desk.add_node("n1", 2)
    runs = await desk.running("ann", 3, units=2)
    waits = await desk.place("bob", 1, units=4)
    cy = await desk.place("cy", 2)
    found = await desk.read(boards.list_open, POOL, username=None, limit=9, now=desk.clock())
    assert [one.bid_id for one in found] == [cy, waits, runs]
    assert [(one.state, one.lease_state, one.node, one.cost) for one in found[:2]] == [
        ("submitted", None, None, None)
    ] * 2
    lease = await desk.lease_of(runs)
    assert (found[2].lease_id, found[2].lease_state, found[2].node) == (lease.lease_id, "running", "n1")
    (of_bob,) = await desk.read(boards.list_open, POOL, username="bob", limit=9, now=desk.clock())
    assert of_bob == found[1]
    assert len(await desk.read(boards.list_open, POOL, username=None, limit=2, now=desk.clock())) == 2
    assert await desk.read(boards.list_open, "nowhere", username=None, limit=9, now=desk.clock()) == []


async def test_what_a_lease_has_cost_by_now_is_what_it_is_billed_if_it_ends_now(desk: Desk) -> None:
    await desk.add_node("n1", 1)
    bid_id = await desk.running("ann", 3)
    lease_id = (await desk.lease_of(bid_id)).lease_id
    desk.clock.advance(7.123456)
    cost = await desk.read(boards.read_cost, lease_id, now=desk.clock())
    (listed,) = await desk.read(boards.list_open, POOL, username="ann", limit=1, now=desk.clock())
    assert listed.cost == cost
    assert cost.until == desk.clock()
    price = (await desk.read(spot.current_price, POOL)).unit_price_micros
    assert cost.micros_per_hour == price
    await desk.end(bid_id)
    bill = await desk.read(invoices.lease_bill, lease_id, after=None, limit=99)
    assert bill.charged_micros == cost.charged_micros > 0
    assert await desk.read(boards.read_cost, lease_id, now=desk.clock()) is None, "it does not run any more"
    with pytest.raises(errors.UnknownLease):
        await desk.read(boards.read_cost, 99, now=desk.clock())


async def test_a_lease_of_a_node_that_is_not_heard_of_costs_no_more_than_it_will_be_billed(desk: Desk) -> None:
    await desk.add_node("n1", 1)
    bid_id = await desk.place("ann", 3)
    await desk.match()
    await desk.start(bid_id)
    await desk.run(spot.Heartbeat(POOL, "n1"))
    heard_at = desk.clock()
    desk.clock.advance(3_600)
    (one,) = await desk.read(boards.list_open, POOL, username=None, limit=9, now=desk.clock())
    assert one.cost.until == heard_at + 30 * SECOND


async def test_bids_that_are_over_are_listed_with_what_they_cost(desk: Desk) -> None:
    await desk.add_node("n1", 1)
    done = await desk.running("ann", 3)
    await desk.end(done)
    cancelled = await desk.place("bob", 1)
    await desk.run(spot.CancelBid(cancelled))
    found = await desk.read(boards.list_over, POOL, username=None, limit=9)
    assert [(one.bid_id, one.state) for one in found] == [(cancelled, "cancelled"), (done, "completed")]
    assert found[0].charged_micros == 0 < found[1].charged_micros < 3 * CREDIT
    assert [one.bid_id for one in await desk.read(boards.list_over, POOL, username="ann", limit=9)] == [done]


async def test_who_had_room_is_told_from_the_start_to_the_end(desk: Desk) -> None:
    await desk.add_node("n1", 1)
    began = desk.clock()
    first = await desk.running("ann", 3)
    await desk.end(first)
    ended = desk.clock()
    second = await desk.running("bob", 2)
    stays = await desk.read(boards.list_stays, POOL, since=0)
    came = (await desk.lease_of(second)).start_at
    assert stays == [("n1", 1_000, 2_048, came, None), ("n1", 1_000, 2_048, began, ended)]
    assert await desk.read(boards.list_stays, POOL, since=ended) == [stays[0]], "what ended before is not told"


def test_use_is_that_share_of_an_hour_and_of_what_more_is_taken() -> None:
    stays = [
        spot.history.Stay("n1", 500, 100, 15 * MINUTE, HOUR + 30 * MINUTE),
        spot.history.Stay("n1", 500, 900, HOUR, None),
        spot.history.Stay("gone", 500, 900, HOUR, None),
        spot.history.Stay("n2", 2_000, 100, -HOUR, HOUR),
    ]
    room = {"n1": (1_000, 1_000), "n2": (1_000, 1_000), "n3": (1_000, 1_000), "none": (0, 0)}
    found = spot.history.hourly_use(stays, room, since=0, until=HOUR + 30 * MINUTE)
    assert found == {"n1": [37, 100], "n2": [200, 0], "n3": [0, 0]}
