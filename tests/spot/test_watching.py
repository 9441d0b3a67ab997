"""What a process that only looks on knows of a pool is what the books say, however often it is cut off."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from marketplace import spot
from marketplace.spot import asking, errors, listings
from marketplace.spot.watching import Watch
from tests.spot.desk import CREDIT, UNIT, Desk

POOL = "default"
ONE = spot.Container(image="app:1", cpu_millis=UNIT[0], memory_mib=UNIT[1])


async def waits(watch: Watch, bid_id: int) -> asking.Waiting:
    return await watch.ask(POOL, lambda tx, seen: asking.waiting(listings.find_bid(tx, bid_id), seen))


async def would_get(watch: Watch, price: float | None, container: spot.Container = ONE) -> asking.Answer:
    micros = None if price is None else round(price * CREDIT)
    return await watch.ask(POOL, lambda _tx, seen: asking.preview(seen, container, micros))


async def test_a_waiting_bid_is_told_how_it_stands_as_the_books_change(desk: Desk) -> None:
    watch = Watch(desk.database)
    first, second = await desk.place("ann", 3), await desk.place("bob", 2)
    assert [(await waits(watch, bid_id)).rank for bid_id in (first, second)] == [1, 2]
    assert "large enough" in str((await waits(watch, second)).because)
    await desk.add_node("n1", 1)
    assert await waits(watch, first) == (1, "It is about to be placed.", 10_000)
    await desk.match()
    assert await waits(watch, first) == asking.NOT_WAITING
    rank, because, least = await waits(watch, second)
    assert (rank, least) == (1, None)
    assert "No node has room" in str(because)
    await desk.start(first)
    desk.clock.advance(60)
    await desk.run(spot.AmendBid(second, 3_100_000))
    watch_later = Watch(desk.database)
    assert (await waits(watch_later, second)).least_micros in (None, 3_150_001)


async def test_what_a_preview_says_comes_true(desk: Desk) -> None:
    watch = Watch(desk.database)
    await desk.add_node("n1", 2)
    answer = await would_get(watch, None)
    assert (answer.runs_now, answer.least_micros, answer.price_micros) == (False, 10_000, 10_000)
    answer = await would_get(watch, 3)
    assert (answer.runs_now, answer.would_evict, answer.cost_micros) == (True, (), 10_000)
    placed: spot.Placed = await desk.run(desk.bid("ann", 3))
    assert placed.held_micros == answer.held_micros
    await desk.match()
    assert await desk.state(placed.bid_id) == "starting"


async def test_a_preview_refuses_what_a_bid_is_refused_for(desk: Desk) -> None:
    watch = Watch(desk.database)
    await desk.run(spot.SetPool(pool=POOL, images=("ours/*",), max_memory_mib=4_096))
    theirs = spot.Container(image="theirs/app", cpu_millis=100, memory_mib=64)
    large = spot.Container(image="ours/app", cpu_millis=100, memory_mib=4_097)
    small = spot.Container(image="ours/app", cpu_millis=1_000, memory_mib=64)
    for container, price, kind in (
        (theirs, None, errors.ImageNotAllowed),
        (large, 3, errors.TooLarge),
        (small, 0.009, errors.BelowReserve),
    ):
        with pytest.raises(kind):
            await would_get(watch, price, container)
    assert (await would_get(watch, None, small)).least_micros is None


async def test_a_pool_that_is_not_there_leaves_nothing_behind(desk: Desk) -> None:
    watch = Watch(desk.database)
    for name in ("nowhere", "neither"):
        with pytest.raises(errors.UnknownPool):
            await watch.ask(name, lambda _tx, seen: seen.seq)
    assert watch._pools == {}


async def test_who_is_cut_off_while_catching_up_knows_all_the_same(desk: Desk) -> None:
    watch = Watch(desk.database)
    ids = []
    for number in range(12):
        ids += [await desk.place(f"user-{number}", 1 + number), await desk.place("zoe", 50 - number)]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waits(watch, ids[0]), number / 3_000)
        if number % 3 == 0:
            await desk.run(spot.CancelBid(ids.pop(number % len(ids))))
    kept, fresh = watch, Watch(desk.database)
    for bid_id in ids:
        assert await waits(kept, bid_id) == await waits(fresh, bid_id)


async def test_many_ask_at_once(desk: Desk) -> None:
    watch = Watch(desk.database)
    ids = [await desk.place("ann", 1 + number) for number in range(5)]
    told = await asyncio.gather(*(waits(watch, bid_id) for bid_id in ids for _ in range(10)))
    assert [one.rank for one in told[::10]] == [5, 4, 3, 2, 1]
