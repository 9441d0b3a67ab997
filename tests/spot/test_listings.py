"""What the spot market shows, on both engines."""

from __future__ import annotations

import pytest

from marketplace import spot
from marketplace.foundation.clock import SECOND
from marketplace.spot import errors, listings, pool_listings, tallies
from marketplace.spot.tallies import Tally
from tests.spot.desk import CREDIT, Desk

POOL = "default"
ALL = {"username": None, "pool": None, "state": None, "after": None, "limit": 100}


async def test_bids_are_listed_in_their_order_a_page_at_a_time(desk: Desk) -> None:
    ids = [await desk.place(name, 1) for name in ("ann", "bob", "ann", "cy", "ann")]
    listed = await desk.read(listings.list_bids, **ALL)
    assert [one.bid_id for one in listed] == ids
    page = await desk.read(listings.list_bids, **ALL | {"username": "ann", "limit": 2})
    rest = await desk.read(listings.list_bids, **ALL | {"username": "ann", "after": page[-1].bid_id})
    assert [one.bid_id for one in (*page, *rest)] == [ids[0], ids[2], ids[4]]
    assert await desk.read(listings.find_bid, ids[1]) == listed[1]
    with pytest.raises(errors.UnknownBid):
        await desk.read(listings.find_bid, 99)


async def test_leases_are_found_by_bid_member_pool_and_state(desk: Desk) -> None:
    await desk.add_node("n1", 2)
    first, second = await desk.running("ann", 3), await desk.running("bob", 3)
    await desk.end(first)
    wanted = {"username": None, "pool": None, "bid_id": None, "state": None, "after": None, "limit": 100}
    both = await desk.read(listings.list_leases, **wanted)
    assert [one.bid_id for one in both] == [first, second]
    for named, expected in (
        ({"bid_id": second}, [second]),
        ({"username": "ann"}, [first]),
        ({"state": "running"}, [second]),
        ({"pool": "nowhere"}, []),
        ({"after": both[0].lease_id}, [second]),
    ):
        found = await desk.read(listings.list_leases, **wanted | named)
        assert [one.bid_id for one in found] == expected, named
    assert await desk.read(listings.find_lease, both[1].lease_id) == both[1]
    assert await desk.read(listings.newest_leases, POOL, second, limit=9) == [both[1]]
    with pytest.raises(errors.UnknownLease):
        await desk.read(listings.find_lease, first)


async def test_what_is_reserved_for_a_bid_is_not_used_before_its_victims_are_gone(desk: Desk) -> None:
    await desk.add_node("n1", 2)
    low = await desk.running("ann", 1, units=2)
    await desk.place("bob", 9)
    await desk.match()
    node = await desk.read(pool_listings.find_node, POOL, "n1")
    assert (node.used_cpu_millis, node.used_memory_mib, node.leases) == (2_000, 4_096, 1)
    use = await desk.read(pool_listings.read_use, POOL)
    assert (use.nodes, use.running, use.leaving, use.waiting, use.value_micros) == (1, 0, 1, 0, 0)
    await desk.end(low, None)
    await desk.match()
    node = await desk.read(pool_listings.find_node, POOL, "n1")
    assert (node.used_cpu_millis, node.leases) == (1_000, 1)
    use = await desk.read(pool_listings.read_use, POOL)
    assert (use.used_cpu_millis, use.running, use.leaving, use.value_micros) == (1_000, 1, 0, 9 * CREDIT)


async def test_prices_lie_end_to_end_and_last_as_long_as_they_did(desk: Desk) -> None:
    desk.clock.advance(1_000)
    await desk.add_node("n1", 1)
    bid_id = await desk.running("ann", 3)
    desk.clock.advance(40)
    await desk.end(bid_id)
    await desk.match()
    desk.clock.advance(100)
    newest, *before = await desk.read(pool_listings.list_prices, POOL, before=None, limit=10)
    assert (newest.to_at, newest.unit_price_micros) == (None, 10_000)
    assert [one.to_at for one in before] == [newest.from_at, *(one.from_at for one in before[:-1])]
    assert await desk.read(pool_listings.current_price, POOL) == newest
    assert await desk.read(pool_listings.list_prices, POOL, before=newest.from_at, limit=1) == before[:1]
    since, until = before[0].from_at - 10 * SECOND, desk.clock() - 50 * SECOND
    between = await desk.read(pool_listings.prices_between, POOL, since=since, until=until)
    assert between == [before[1], before[0], newest]
    lasted = await desk.read(pool_listings.price_durations, POOL, since=since, until=until)
    assert lasted == [(10_000, 60 * SECOND), (3 * CREDIT, 100 * SECOND)]
    assert await desk.read(pool_listings.price_durations, POOL, since=until, until=since) == []


async def test_a_node_that_was_taken_out_is_not_shown(desk: Desk) -> None:
    await desk.add_node("n1")
    await desk.add_node("n2")
    await desk.run(spot.RemoveNode(POOL, "n1"))
    assert [one.node for one in await desk.read(pool_listings.list_nodes, POOL, after=None, limit=9)] == ["n2"]
    with pytest.raises(errors.UnknownNode):
        await desk.read(pool_listings.find_node, POOL, "n1")
    with pytest.raises(errors.UnknownPool):
        await desk.read(pool_listings.list_nodes, "nowhere", after=None, limit=9)


# ── totals ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_totals_that_were_kept_up_are_those_that_are_added_up_at_once(desk: Desk) -> None:
    await desk.add_node("n1", 12)
    kept = Tally()
    bids = [await desk.running(f"user-{number}", 3 + number, units=1 + number % 2) for number in range(6)]
    for leaving in (bids[4:], bids[:2], bids[2:3]):
        for bid_id in leaving:
            lease = await desk.lease_of(bid_id)
            if bid_id % 2:
                await desk.run(spot.EvictLease(lease.lease_id))
                await desk.read(kept.catch_up)
            desk.clock.advance(1)
            assert await desk.end(bid_id)
        await desk.read(kept.catch_up)
        await desk.running("late", 1, units=1)
    await desk.place("eve", 50, units=12)
    await desk.match()
    for lease in await desk.read(listings.list_leases, **ALL | {"bid_id": None, "state": "evicting"}):
        await desk.end(lease.bid_id)
    await desk.read(kept.catch_up)
    fresh = Tally()
    await desk.read(fresh.catch_up)
    assert fresh.totals == kept.totals
    assert fresh.totals, "nothing has ended"
    ended = await desk.read(listings.list_leases, **ALL | {"bid_id": None, "state": "ended"})
    assert sum(one.leases for one in fresh.totals.values()) == len(ended)
    assert fresh.by_pool()[POOL].charged_micros == sum(one.charged_micros for one in ended)
    assert fresh.by_pool()[POOL].ran == sum(one.ended_at - one.started_at for one in ended if one.started_at)
    evicted = [one for one in ended if one.cause == "evicted"]
    assert len(evicted) > 1
    assert fresh.evicted_milliunits()[POOL] >= 1_000 * len(evicted)
    assert fresh.by_pool()[POOL].starts[-1] == len(ended)


async def test_who_should_have_started_or_ended_long_ago_is_late(desk: Desk) -> None:
    await desk.add_node("n1", 1)
    await desk.place("ann", 3)
    await desk.match()
    desk.clock.advance(7)
    (late,) = await desk.read(tallies.read_open, now=desk.clock())
    assert (late.pool, late.lag, late.ran) == (POOL, 7 * SECOND, 0)
