"""Who waits, for how long, and how many; who leaves the queue; and the end of a lane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace.database import Limits, Log
from marketplace.database.failures import Cause
from marketplace.database.lane import _pause_seconds as pause_seconds
from marketplace.database.meters import LaneMeters
from marketplace.database.waiting import Entry, Waiting
from marketplace.foundation import errors
from marketplace.foundation.clock import Instant
from tests.database import counters
from tests.database.counters import Add, Books, Several
from tests.database.lanes import PATIENCE_SECONDS, Lanes, insist, metered, outcomes, pile_up, until

# ── cancelled ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_cancelled_before_its_batch_is_cut_is_dropped(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2), Add(3)])
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
    await outcomes(tasks)
    assert await books.amounts() == [1, 3]
    assert lane.waiting_orders == 0


async def test_a_batch_of_nothing_but_cancelled_requests_is_no_transaction(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2)])
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert (await lane.run(Add(3))).seq == 1
    assert await books.commit_counts() == [1]


async def test_a_request_cancelled_after_its_batch_is_cut_commits_unheard(lanes: Lanes, books: Books) -> None:
    leave: list[asyncio.Task[Any]] = []

    def apply(tx: sa.Connection, log: Log, commands: Sequence[Add], /, *, now: Instant) -> list[Any]:
        leave.pop().cancel()
        return counters.apply_adds(tx, log, commands, now=now)

    lane = await lanes.start(handlers={Add: apply})
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2), Add(3)])
        leave.append(tasks[1])
    told = await outcomes(tasks)
    assert isinstance(told[1], asyncio.CancelledError)
    assert [told[0].seq, told[2].seq] == [1, 3]
    assert await books.amounts() == [1, 2, 3]


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_past_the_bound_of_orders_a_request_is_refused_at_once(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_waiting_orders=10)
    before = metered("busy_total", reason="full")
    async with lanes.held():
        tasks = await pile_up(lane, [Several((1,) * 6), Add(1), Add(1)])
        with pytest.raises(errors.Busy) as refused:
            await asyncio.wait_for(lane.run(Several((1,) * 3)), PATIENCE_SECONDS)
        tasks += await pile_up(lane, [Several((7,) * 2)])
    await outcomes(tasks)
    assert refused.value.retry_after_seconds >= 1
    assert await books.amounts() == [1] * 8 + [7] * 2
    assert metered("busy_total", reason="full") == before + 1


async def test_a_request_larger_than_the_bound_is_taken_by_an_empty_queue(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_waiting_orders=10)
    await lane.run(Several((1,) * 50))
    assert len(await books.amounts()) == 50


async def test_who_waited_too_long_is_refused_and_nothing_happened(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_waiting_seconds=0.2)
    async with lanes.held():
        started = time.monotonic()
        told = await outcomes(await pile_up(lane, [Add(1), Add(2), Add(3)]))
        waited = time.monotonic() - started
    assert [type(each) for each in told] == [errors.Busy] * 3
    assert 0.2 <= waited < PATIENCE_SECONDS
    assert (await insist(lambda: lane.run(Add(9)))).seq == 1
    assert await books.amounts() == [9]


async def test_who_came_later_waits_on_when_the_first_is_refused(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_waiting_seconds=60)
    async with lanes.held():
        first, second = await pile_up(lane, [Add(1), Add(2)])
        lane._waiting._entries[0].arrived -= 60
        lane._waiting._refuse_overdue()  # as its timer does
        assert isinstance((await outcomes([first]))[0], errors.Busy)
        assert not second.done()
    await outcomes([second])
    assert await books.amounts() == [2]


async def test_behind_one_who_waited_too_long_a_new_request_is_refused_at_once() -> None:
    # The timer that refuses the first has not come round yet: the process was busy with something else.
    waiting = Waiting(Limits(max_waiting_seconds=1.0), LaneMeters(counters.LANE), divides=True)
    first = Entry(Add(1), key=None, encode=None)
    waiting.add(first)
    first.arrived -= 1.5
    with pytest.raises(errors.Busy):
        waiting.add(Entry(Add(2), key=None, encode=None))
    assert waiting.cut() == [first]


async def test_the_age_of_the_oldest_and_the_number_of_orders_can_be_asked(lanes: Lanes) -> None:
    lane = await lanes.start()
    assert (lane.waiting_orders, lane.oldest_waiting_seconds()) == (0, 0.0)
    async with lanes.held():
        tasks = await pile_up(lane, [Several((1,) * 4), Add(1)])
        await until(lambda: lane.oldest_waiting_seconds() > 0.01)
        assert lane.waiting_orders == 5
        assert metered("waiting_orders") == 5
    await outcomes(tasks)
    assert (lane.waiting_orders, lane.oldest_waiting_seconds()) == (0, 0.0)
    assert metered("waiting_orders") == 0


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_drained_lane_has_answered_everything_it_accepted(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_batch=10)
    async with lanes.held():
        tasks = await pile_up(lane, [Add(amount) for amount in range(25)])
        end = asyncio.create_task(lane.drain())
        await asyncio.sleep(0)
        with pytest.raises(errors.Busy):
            await lane.run(Add(99))
    await asyncio.wait_for(end, PATIENCE_SECONDS)
    assert all(task.done() for task in tasks)
    assert await books.amounts() == list(range(25))


async def test_an_idle_lane_drains_at_once(lanes: Lanes) -> None:
    lane = await lanes.start()
    await lane.run(Add(1))
    await asyncio.wait_for(lane.drain(), PATIENCE_SECONDS)


async def test_a_lane_that_is_held_up_drains_by_refusing(lanes: Lanes, books: Books) -> None:
    # Accepted is not forgotten, nor kept waiting for ever.
    lane = await lanes.start(max_waiting_seconds=0.2)
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2)])
        end = asyncio.create_task(lane.drain())
        assert [type(each) for each in await outcomes(tasks)] == [errors.Busy] * 2
    await asyncio.wait_for(end, PATIENCE_SECONDS)
    assert await books.amounts() == []


@pytest.mark.parametrize("cause", list(Cause))
def test_the_pause_before_another_try_is_bounded_however_many_there_were(cause: Cause) -> None:
    assert all(0 < pause_seconds(cause, attempt) <= 0.5 for attempt in (1, 5, 50, 5_000))
