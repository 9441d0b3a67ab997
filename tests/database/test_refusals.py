"""A refusal is a value: it leaves no trace, whether it was decided before the first write or after it."""

from __future__ import annotations

import asyncio

import pytest

from marketplace.foundation import errors
from tests.database.counters import Add, AllOrNone, Books, ComeBackLater, NotEnough, Receipt, Take
from tests.database.lanes import Lanes, ask, outcomes, pile_up


async def test_a_refusal_is_raised_to_its_caller_with_its_fields(lanes: Lanes) -> None:
    lane = await lanes.start()
    await lane.run(Add(3))
    with pytest.raises(NotEnough) as refused:
        await lane.run(Take(5))
    assert refused.value.extra == {"missing": 2}


async def test_a_refusal_takes_no_seq(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Take(5), Add(1), Take(5), Take(2)])
    told = await outcomes(tasks)
    assert [each.seq for each in told if isinstance(each, Receipt)] == [1, 2, 3]
    await books.check()


async def test_nothing_but_refusals_is_no_commit(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Take(5) for _ in range(3)])
    assert {type(each) for each in await outcomes(tasks)} == {NotEnough}
    assert (await books.commit_counts(), await books.amounts()) == ([], [])
    assert (await lane.run(Add(1))).seq == 1


async def test_a_command_that_is_abandoned_after_its_writes_leaves_none_of_them(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    with pytest.raises(NotEnough):
        await lane.run(AllOrNone((5, 5, -11)))
    assert (await books.commit_counts(), await books.amounts()) == ([], [])
    assert [receipt.seq for receipt in await lane.run(AllOrNone((5, 5, -10)))] == [1, 2, 3]
    await books.check()


async def test_a_command_that_runs_alone_shares_its_transaction_with_nobody(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        commands = [Add(1), Add(1), AllOrNone((1, 1, 1)), AllOrNone((-9,)), Add(1), Add(1)]
        tasks = await pile_up(lane, commands)
    told = await outcomes(tasks)
    assert isinstance(told[3], NotEnough)
    assert await books.commit_counts() == [2, 3, 2]
    await books.check()


async def test_an_abandoned_command_with_a_key_is_undone_and_its_refusal_remembered(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    first = await ask(lane, AllOrNone((5, -6)), "k")
    assert (first.status, first.replayed) == (409, False)
    assert await books.amounts() == []
    await lane.run(Add(100))
    assert await ask(lane, AllOrNone((5, -6)), "k") == first._replace(replayed=True)
    assert await books.amounts() == [100]
    await books.check()


async def test_an_abandoned_command_whose_refusal_may_pass_is_not_remembered(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    with pytest.raises(ComeBackLater):
        await ask(lane, Take(1, note="later"), "k")
    assert await books.answers() == []
    await lane.run(Add(1))
    assert (await ask(lane, Take(1, note="later"), "k")).status == 200


async def test_a_refusal_between_accepted_ones_changes_nothing_for_them(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    tasks = [asyncio.create_task(lane.run(Take(3) if number % 3 == 0 else Add(1))) for number in range(60)]
    told = await outcomes(tasks)
    accepted = [each for each in told if isinstance(each, Receipt)]
    assert all(isinstance(each, errors.Refusal | Receipt) for each in told)
    assert [receipt.seq for receipt in accepted] == list(range(1, len(accepted) + 1))
    assert all(receipt.balance >= 0 for receipt in accepted)
    assert sum(await books.amounts()) == accepted[-1].balance
