"""One writer at a time, arrival order, and who shares a transaction with whom."""

from __future__ import annotations

import asyncio

import pytest

from marketplace.database import Database, open_database
from marketplace.foundation import errors
from tests.database.counters import POISON, Add, AllOrNone, Books, Several, Take
from tests.database.lanes import Lanes, metered, outcomes, pile_up
from tests.services.clock import SettableClock


async def test_commands_are_run_in_arrival_order(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    tasks = [asyncio.create_task(lane.run(Add(amount))) for amount in range(1, 301)]
    receipts = await outcomes(tasks)
    assert await books.amounts() == list(range(1, 301))
    assert [receipt.seq for receipt in receipts] == list(range(1, 301))
    await books.check()


async def test_what_arrives_while_the_lane_is_taken_commits_together(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(amount) for amount in range(30)])
    await outcomes(tasks)
    assert await books.commit_counts() == [30]


async def test_an_idle_lane_runs_a_request_at_once_and_alone(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    for _ in range(3):
        await lane.run(Add())
    assert await books.commit_counts() == [1, 1, 1]


async def test_at_most_max_batch_orders_share_a_transaction(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_batch=10)
    async with lanes.held():
        tasks = await pile_up(lane, [Add() for _ in range(25)])
    await outcomes(tasks)
    assert await books.commit_counts() == [10, 10, 5]


async def test_max_batch_counts_orders_and_not_requests(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_batch=10)
    async with lanes.held():
        tasks = await pile_up(lane, [Several((1,) * 4), Several((1,) * 4), Several((1,) * 4), Add()])
    await outcomes(tasks)
    assert await books.commit_counts() == [8, 5]


async def test_a_request_of_more_orders_than_max_batch_goes_alone(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_batch=10)
    async with lanes.held():
        tasks = await pile_up(lane, [Add(), Several((1,) * 30), Add(), Add()])
    await outcomes(tasks)
    assert await books.commit_counts() == [1, 30, 2]


async def test_max_batch_one_is_a_transaction_an_order(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_batch=1)
    async with lanes.held():
        tasks = await pile_up(lane, [Add() for _ in range(5)])
    await outcomes(tasks)
    assert await books.commit_counts() == [1, 1, 1, 1, 1]


async def test_a_batch_of_two_modules_is_cut_into_runs_in_arrival_order(lanes: Lanes, books: Books) -> None:
    # Were all adds run first, or all takes, the second take would find enough or the first one would not.
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(10), Take(10), Take(1), Add(5), Add(5), Take(7)])
    told = await outcomes(tasks)
    assert [getattr(each, "balance", "refused") for each in told] == [10, 0, "refused", 5, 10, 3]
    assert await books.amounts() == [10, -10, 5, 5, -7]
    assert await books.commit_counts() == [5]
    await books.check()


async def test_two_processes_on_one_lane_never_abort_each_other(
    lanes: Lanes, books: Books, database: Database, clock: SettableClock
) -> None:
    # On SQLite a second process is refused; two lanes of one process share its writer.
    other = open_database(database.url) if database.is_postgres else database
    one, two = await lanes.start(), await lanes.start(database=other)
    before = metered("retries_total", cause="collision")
    receipts = await outcomes(
        asyncio.create_task(client(lane, number)) for number, lane in enumerate([one, two] * 8, start=1)
    )
    assert sorted(seq for seqs in receipts for seq in seqs) == list(range(1, 16 * 20 + 1))
    assert all(seqs == sorted(seqs) for seqs in receipts), "a later request was put before an earlier one"
    assert metered("retries_total", cause="collision") == before
    await books.check()
    await lanes.drain()
    if other is not database:
        await other.close()


async def client(lane: object, number: int) -> list[int]:
    """Send twenty requests, one after the other; return their seqs."""
    return [(await lane.run(Add(number))).seq for _ in range(20)]  # type: ignore[attr-defined]


async def test_a_batch_holds_what_another_process_committed_before_it(
    lanes: Lanes, books: Books, database: Database
) -> None:
    one, two = await lanes.start(), await lanes.start()
    for turn in range(1, 11):
        receipt = await (one if turn % 2 else two).run(Add(1))
        assert (receipt.seq, receipt.balance) == (turn, turn)


async def test_what_a_module_keeps_in_mind_is_forgotten_when_somebody_else_writes(lanes: Lanes, books: Books) -> None:
    one, other = await lanes.start(), await lanes.start()
    for balance, lane in enumerate([one, one, other, other, one, other], start=1):
        assert (await lane.run(Add(1))).balance == balance
    await books.check()


async def test_what_a_module_keeps_in_mind_is_forgotten_with_what_was_undone(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    await lane.run(Add(5))
    for undone in (AllOrNone((3, -100)), Add(POISON)):
        with pytest.raises(errors.Refusal):
            await lane.run(undone)
        assert (await lane.run(Add(0))).balance == 5
    await books.check()
