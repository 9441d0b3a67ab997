"""Bids are held for, refused with a reason, amended, cancelled and expired."""

from __future__ import annotations

import pytest

from marketplace import spot
from marketplace.foundation.clock import SECOND
from marketplace.ledger.errors import NotCovered
from marketplace.spot import errors
from tests.spot.desk import CREDIT, Desk


async def test_what_a_bid_costs_in_its_minimum_runtime_is_held(desk: Desk) -> None:
    bid_id = await desk.place("ann", 6.00)
    assert (await desk.bid_of(bid_id)).held_micros == 100_000  # a minute of an hour
    assert await desk.has("ann") == (1_000 * CREDIT, 1_000 * CREDIT - 100_000)
    assert await desk.kinds() == ["spot_bid_submitted"]


async def test_a_bid_that_the_wallet_does_not_cover_is_refused(desk: Desk) -> None:
    await desk.refused(desk.bid("ann", 60_001.0), NotCovered)
    await desk.place("ann", 60_000.0)
    await desk.refused(desk.bid("ann", 0.01), NotCovered)


async def test_a_bid_that_the_pool_cannot_take_is_refused(desk: Desk) -> None:
    await desk.refused(desk.bid("ann", 1.0, pool="none"), errors.UnknownPool)
    await desk.refused(desk.bid("ann", 0.0099), errors.BelowReserve)
    await desk.refused(desk.bid("ann", 0.0149, units=1.5), errors.BelowReserve)
    await desk.place("ann", 0.015, units=1.5)
    await desk.refused(desk.bid("ann", 1.0, expires_at=desk.clock()), errors.ExpiresInPast)
    await desk.run(spot.SetPool(pool="default", images=("good/*",), max_cpu_millis=2_000))
    await desk.refused(desk.bid("ann", 1.0), errors.ImageNotAllowed)
    await desk.run(spot.SetPool(pool="default", images=("app:*",), needs_digest=True))
    await desk.refused(desk.bid("ann", 1.0), errors.ImageNotAllowed)
    await desk.run(spot.SetPool(pool="default", needs_digest=False))
    await desk.refused(desk.bid("ann", 9.0, units=3), errors.TooLarge)
    await desk.place("ann", 9.0, units=2)


async def test_another_price_queues_a_bid_anew_and_holds_anew(desk: Desk) -> None:
    first, second = await desk.place("ann", 6.00), await desk.place("bob", 6.00)
    await desk.run(spot.AmendBid(first, 12 * CREDIT))
    assert (await desk.bid_of(first)).held_micros == 200_000
    await desk.run(spot.AmendBid(first, 6 * CREDIT, username="ann"))
    assert (await desk.bid_of(first)).queue_seq > (await desk.bid_of(second)).queue_seq
    assert await desk.has("ann") == (1_000 * CREDIT, 1_000 * CREDIT - 100_000)
    await desk.refused(spot.AmendBid(first, 70_000 * CREDIT), NotCovered)
    await desk.refused(spot.AmendBid(first, 1), errors.BelowReserve)
    await desk.refused(spot.AmendBid(first, CREDIT, username="bob"), errors.UnknownBid)


async def test_a_bid_that_waits_is_cancelled_at_once_and_stays_so(desk: Desk) -> None:
    bid_id = await desk.place("ann", 6.00)
    await desk.refused(spot.CancelBid(bid_id, username="bob"), errors.UnknownBid)
    await desk.refused(spot.CancelBid(bid_id + 1), errors.UnknownBid)
    placed = await desk.run(spot.CancelBid(bid_id, username="ann"))
    assert (placed.state, placed.held_micros) == ("cancelled", None)
    assert await desk.has("ann") == (1_000 * CREDIT, 1_000 * CREDIT)
    before = await desk.everything()
    await desk.run(spot.CancelBid(bid_id))
    assert await desk.everything() == before
    await desk.refused(spot.AmendBid(bid_id, CREDIT), errors.BidOver)


async def test_a_bid_waits_no_longer_than_it_was_to(desk: Desk) -> None:
    now = desk.clock()
    bids = [await desk.place("ann", 1.0, expires_at=now + seconds * SECOND) for seconds in (30, 20, 10)]
    forever = await desk.place("ann", 1.0)
    desk.clock.advance(19.999)
    assert await desk.run(spot.ExpireBids(1)) == 1
    assert await desk.run(spot.ExpireBids()) == 0
    desk.clock.advance(20)
    assert sorted(await desk.together(spot.ExpireBids(1), spot.ExpireBids(1), spot.ExpireBids(1))) == [0, 1, 1]
    assert [await desk.state(bid_id) for bid_id in bids] == ["cancelled"] * 3
    assert await desk.state(forever) == "submitted"


@pytest.mark.parametrize("count", [40])
async def test_bids_that_come_together_are_decided_in_their_order(desk: Desk, count: int) -> None:
    outcomes = await desk.together(*(desk.bid("ann", 3_000.0) for _ in range(count)))
    assert [isinstance(outcome, spot.Placed) for outcome in outcomes] == [True] * 20 + [False] * (count - 20)
