"""An Idempotency-Key: one effect, and the same bytes to whoever asks again."""

from __future__ import annotations

import asyncio

import pytest

from marketplace.database import Key
from marketplace.foundation import errors
from tests.database.counters import POISON, Add, Books, Take, encode
from tests.database.lanes import Lanes, ask, insist, outcomes, pile_up, until


async def test_the_first_copy_is_run_and_told_so(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    answer = await ask(lane, Add(5), "k")
    assert (answer.status, answer.body, answer.replayed) == (200, b'{"seq":1,"balance":5}', False)
    assert await books.answers() == [("ann", "k", 200)]


async def test_a_later_copy_gets_the_same_bytes_and_has_no_effect(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    first = await ask(lane, Add(5), "k")
    await lane.run(Add(100))
    assert await ask(lane, Add(5), "k") == first._replace(replayed=True)
    assert await books.amounts() == [5, 100]
    assert await books.commit_counts() == [1, 1]


async def test_copies_in_one_batch_have_one_effect_and_one_answer(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(ask(lane, Add(5), "k")))
            await until(lambda number=number: lane.waiting_orders == number + 1)  # type: ignore[misc]
    told = await outcomes(tasks)
    assert {answer.body for answer in told} == {b'{"seq":1,"balance":5}'}
    assert [answer.replayed for answer in told] == [False, True, True, True, True]
    assert await books.amounts() == [5]


async def test_another_request_under_the_same_key_is_a_mismatch(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    await ask(lane, Add(5), "k", fingerprint="five")
    with pytest.raises(errors.Mismatch):
        await ask(lane, Add(6), "k", fingerprint="six")
    assert await books.amounts() == [5]


async def test_another_request_under_the_same_key_in_one_batch_is_a_mismatch(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        first = asyncio.create_task(ask(lane, Add(5), "k", fingerprint="five"))
        await until(lambda: lane.waiting_orders == 1)
        second = asyncio.create_task(ask(lane, Add(6), "k", fingerprint="six"))
        await until(lambda: lane.waiting_orders == 2)
    told = await outcomes([first, second])
    assert told[0].status == 200
    assert isinstance(told[1], errors.Mismatch)
    assert await books.amounts() == [5]


async def test_a_key_belongs_to_its_caller(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    await ask(lane, Add(5), "k", caller="ann")
    assert not (await ask(lane, Add(6), "k", caller="bob", fingerprint="six")).replayed
    assert await books.amounts() == [5, 6]


async def test_a_refusal_is_remembered(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    first = await ask(lane, Take(5), "k")
    await lane.run(Add(100))
    assert first.status == 409
    assert await ask(lane, Take(5), "k") == first._replace(replayed=True)
    assert await books.amounts() == [100]


async def test_a_copy_is_answered_although_its_lane_runs_in_another_process(lanes: Lanes, books: Books) -> None:
    one, two = await lanes.start(), await lanes.start()
    told = await outcomes(asyncio.create_task(ask(lane, Add(5), "k")) for lane in [one, two] * 5)
    assert {answer.body for answer in told} == {b'{"seq":1,"balance":5}'}
    assert [answer.replayed for answer in told].count(False) == 1
    assert await books.amounts() == [5]


async def test_busy_is_not_remembered(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start(max_waiting_seconds=0.05)
    async with lanes.held():
        (told,) = await outcomes([asyncio.create_task(ask(lane, Add(5), "k"))])
    assert isinstance(told, errors.Busy)
    answer = await insist(lambda: ask(lane, Add(5), "k"))
    assert (answer.status, answer.replayed) == (200, False)
    assert await books.amounts() == [5]


async def test_a_bug_is_not_remembered(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    with pytest.raises(errors.Broken):
        await ask(lane, Add(POISON), "k")
    assert (await books.answers(), await books.amounts()) == ([], [])
    assert (await ask(lane, Add(5), "k")).replayed is False


async def test_an_answer_that_cannot_be_made_undoes_its_effect_and_no_other(lanes: Lanes, books: Books) -> None:
    # Effect and answer are one transaction, so without the answer there is no effect.
    def stumble(_outcome: object) -> tuple[int, bytes]:
        raise TypeError("not JSON")

    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2)])
        tasks.append(asyncio.create_task(lane.answer(Add(3), key=Key("ann", "k", "f"), encode=stumble)))
        await until(lambda: lane.waiting_orders == 3)
        tasks += await pile_up(lane, [Add(4)])
    told = await outcomes(tasks)
    assert [isinstance(each, errors.Broken) for each in told] == [False, False, True, False]
    assert await books.amounts() == [1, 2, 4]
    assert await books.answers() == []


async def test_what_a_key_remembers_may_be_any_text(lanes: Lanes) -> None:
    note = 'Zoë \\ "quoted" \u2028 😀 {"json": [null]}'
    lane = await lanes.start()

    def encode_note(outcome: object) -> tuple[int, bytes]:
        return encode(outcome)[0], note.encode()

    key = Key("Zoë 😀", '\\"k"', "f")
    await lane.answer(Add(5), key=key, encode=encode_note)
    again = await lane.answer(Add(5), key=key, encode=encode_note)
    assert (again.body.decode(), again.replayed) == (note, True)
