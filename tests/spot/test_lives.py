"""The life of a bid, from its match to its end and back into the queue."""

from __future__ import annotations

import pytest

from marketplace import spot
from marketplace.foundation.clock import SECOND
from marketplace.spot import errors
from tests.spot.desk import CREDIT, Desk

WEALTH = 1_000 * CREDIT


async def test_a_bid_that_fits_starts_at_once_and_is_billed_for_what_it_ran(desk: Desk) -> None:
    await desk.add_node("a", 2)
    bid_id = await desk.place("ann", 3.60)
    await desk.match()
    assert await desk.state(bid_id) == "starting"
    desk.clock.advance(2)
    await desk.start(bid_id)
    assert await desk.state(bid_id) == "running"
    desk.clock.advance(3_600)
    assert await desk.end(bid_id)
    assert not await desk.end(bid_id)
    assert await desk.state(bid_id) == "completed"
    assert await desk.has("ann") == (WEALTH - 10_000, WEALTH - 10_000)  # an hour at the reserve price
    assert await desk.kinds() == [
        "node_set",
        "spot_bid_submitted",
        "spot_bid_matched",
        "container_started",
        "spot_bid_completed",
    ]


async def test_a_higher_bid_displaces_a_lower_one_and_waits_for_it_to_go(desk: Desk) -> None:
    await desk.add_node("a")
    low = await desk.running("ann", 1.00, on_eviction="requeue")
    high = await desk.place("bob", 1.06)
    await desk.match()
    assert [await desk.state(bid_id) for bid_id in (low, high)] == ["evicting", "matched"]
    notice = await desk.lease_of(low)
    assert notice.reason == f"The bid {high} pays 1.06 an hour for a unit, and it pays 1.00."
    assert notice.stop_at == desk.clock() + 120 * SECOND
    desk.clock.advance(5)
    await desk.end(low, 143)
    assert [await desk.state(bid_id) for bid_id in (low, high)] == ["submitted", "matched"]
    await desk.match()
    assert [await desk.state(bid_id) for bid_id in (low, high)] == ["submitted", "starting"]
    await desk.start(high)
    # Queued again it is tried after its backoff, and not before: it would displace nobody, and the node is full.
    assert (await desk.bid_of(low)).not_before == desk.clock() + 60 * SECOND
    await desk.end(high)
    await desk.match()
    assert await desk.state(low) == "submitted"
    desk.clock.advance(60)
    await desk.match()
    assert await desk.state(low) == "starting"
    assert [kind for kind in await desk.kinds() if "price" in kind] == ["price_changed"] * 4


async def test_who_does_not_wish_to_be_queued_again_is_evicted(desk: Desk) -> None:
    await desk.add_node("a")
    low = await desk.running("ann", 1.00)
    await desk.place("bob", 2.00)
    await desk.match()
    await desk.end(low, 137)
    assert await desk.state(low) == "evicted"
    assert await desk.has("ann") == (WEALTH - await paid(desk, low),) * 2


async def paid(desk: Desk, bid_id: int) -> int:
    """Return what a bid has cost, and was paid."""
    charged, lease = (await desk.bid_of(bid_id)).charged_micros, await desk.lease_of(bid_id)
    assert lease.paid_micros == lease.charged_micros
    return charged


async def test_a_bid_is_evicted_no_more_often_than_it_wishes(desk: Desk) -> None:
    await desk.add_node("a")
    bid_id = await desk.running("ann", 1.00, on_eviction="requeue", max_preemptions=1)
    for expected in ("submitted", "evicted"):
        lease = await desk.lease_of(bid_id)
        await desk.run(spot.EvictLease(lease.lease_id))
        assert await desk.state(bid_id) == "evicting"
        await desk.refused(spot.EvictLease(lease.lease_id), errors.LeaseNotRunning)
        await desk.end(bid_id, 143)
        assert await desk.state(bid_id) == expected
        if expected == "submitted":
            desk.clock.advance(60)
            await desk.match()
            await desk.start(bid_id)
            desk.clock.advance(60)


@pytest.mark.parametrize(
    ("exit_code", "out_of_memory", "on_eviction", "state", "cause"),
    [
        (0, False, "terminate", "completed", "exited"),
        (3, False, "terminate", "failed", "exited"),
        (137, True, "terminate", "failed", "out_of_memory"),
        (None, False, "terminate", "failed", "vanished"),
        (None, False, "requeue", "submitted", "vanished"),
        (3, False, "requeue", "failed", "exited"),
    ],
)
async def test_how_a_container_ended_says_what_becomes_of_the_bid(
    desk: Desk, exit_code: int | None, out_of_memory: bool, on_eviction: str, state: str, cause: str
) -> None:
    await desk.add_node("a", 2)
    bid_id = await desk.running("ann", 1.00, on_eviction=on_eviction)
    await desk.end(bid_id, exit_code, out_of_memory=out_of_memory)
    bid = await desk.bid_of(bid_id)
    assert (bid.state, bid.cause) == (state, cause)
    assert await paid(desk, bid_id) == 166  # a minute at the reserve price


async def test_a_container_that_exits_before_its_notice_has_exited_by_itself(desk: Desk) -> None:
    await desk.add_node("a")
    early, late = await desk.running("ann", 1.00), await desk.place("bob", 2.00)
    lease = await desk.lease_of(early)
    await desk.match()
    desk.clock.advance(1)
    await desk.run(spot.RecordEnded(lease.lease_id, desk.clock() - 2 * SECOND, 0))
    assert await desk.state(early) == "completed"
    await desk.match()
    assert await desk.state(late) == "starting"


async def test_cancelling_stops_what_runs_and_gives_up_what_waits(desk: Desk) -> None:
    await desk.add_node("a")
    low = await desk.running("ann", 1.00)
    high = await desk.place("bob", 2.00)
    await desk.match()
    await desk.run(spot.CancelBid(high))
    assert await desk.state(high) == "cancelled"
    assert await desk.has("bob") == (WEALTH, WEALTH)
    placed = await desk.run(spot.StopLease((await desk.lease_of(low)).lease_id, username="ann"))
    assert placed.state == "running"
    lease = await desk.lease_of(low)
    assert (lease.state, lease.stop_at) == ("stopping", desk.clock() + 10 * SECOND)
    before = await desk.everything()
    await desk.run(spot.CancelBid(low))
    assert await desk.everything() == before
    await desk.end(low, 0)
    assert await desk.state(low) == "cancelled"


async def test_a_container_runs_no_longer_than_its_ttl(desk: Desk) -> None:
    await desk.add_node("a", 2)
    bid_id = await desk.running("ann", 1.00, ttl_seconds=90)
    other = await desk.running("ann", 1.00)
    assert await desk.run(spot.StopOverdue()) == 1
    assert await desk.run(spot.StopOverdue()) == 0
    desk.clock.advance(1)
    await desk.end(bid_id, 143)
    assert await desk.state(bid_id) == "completed"
    assert await desk.state(other) == "running"


async def test_a_start_that_fails_is_tried_elsewhere_and_never_billed(desk: Desk) -> None:
    for node in "ab":
        await desk.add_node(node)
    bid_id = await desk.place("ann", 1.00)
    nodes = []
    for state in ("submitted", "failed"):
        await desk.match()
        lease = await desk.lease_of(bid_id)
        nodes.append(lease.node)
        await desk.run(spot.RecordTry(lease.lease_id, desk.clock() + SECOND))
        assert await desk.run(spot.RecordFailed(lease.lease_id, "no such image"))
        assert not await desk.run(spot.RecordFailed(lease.lease_id, "no such image"))
        assert await desk.state(bid_id) == state
    assert sorted(nodes) == ["a", "b"]
    assert await desk.has("ann") == (WEALTH, WEALTH)


async def test_what_starts_and_ends_is_recorded_once(desk: Desk) -> None:
    await desk.add_node("a")
    bid_id = await desk.place("ann", 1.00)
    await desk.match()
    lease = await desk.lease_of(bid_id)
    assert await desk.run(spot.RecordStarted(lease.lease_id, "r", desk.clock() - 9_000 * SECOND))
    assert (await desk.lease_of(bid_id)).started_at == desk.clock()
    before = await desk.everything()
    assert await desk.run(spot.RecordStarted(lease.lease_id, "r", desk.clock()))
    assert not await desk.run(spot.RecordFailed(lease.lease_id, "late"))
    assert await desk.everything() == before
    await desk.run(spot.RecordClean((lease.lease_id,)))
    assert await desk.everything() == before  # it has not ended
    desk.clock.advance(1)
    await desk.run(spot.RecordEnded(lease.lease_id, desk.clock() + 9 * SECOND, 0))
    assert not await desk.run(spot.RecordStarted(lease.lease_id, "r", desk.clock()))
    assert (await desk.lease_of(bid_id)).ended_at == desk.clock()
    await desk.run(spot.RecordClean((lease.lease_id, 12_345)))
    assert (await desk.lease_of(bid_id)).is_clean


async def test_a_bid_whose_container_vanishes_each_time_fails(desk: Desk) -> None:
    await desk.add_node("a")
    bid_id = await desk.running("ann", 1.00, on_eviction="requeue")
    states = []
    for _ in range(spot.MAX_FAILURES):
        await desk.end(bid_id, None)
        states.append(await desk.state(bid_id))
        if states[-1] == "submitted":
            await desk.match()
            await desk.start(bid_id)
    assert states == ["submitted", "submitted", "failed"]


async def test_who_was_displaced_stands_behind_its_equals_and_who_could_not_start_before_them(desk: Desk) -> None:
    for node in "ab":
        await desk.add_node(node)
    displaced = await desk.running("ann", 1.00, on_eviction="requeue")
    failed = await desk.place("ann", 1.00)
    await desk.match()
    equal = await desk.place("bob", 1.00)
    await desk.run(spot.EvictLease((await desk.lease_of(displaced)).lease_id))
    await desk.run(spot.RecordFailed((await desk.lease_of(failed)).lease_id, "no such image"))
    await desk.end(displaced, 143)
    places = [(await desk.bid_of(bid_id)).queue_seq for bid_id in (failed, equal, displaced)]
    assert places == sorted(places)
    assert places[:2] == [failed, equal]
