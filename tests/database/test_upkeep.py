"""Time in a lane, and forgetting."""

from __future__ import annotations

import pytest

from marketplace.database import Database, upkeep
from marketplace.database import log as logs
from marketplace.database.upkeep import Forget
from marketplace.foundation.clock import DAY, HOUR, SECOND
from tests.database.counters import LANE, Add, Books, Take
from tests.database.lanes import Lanes, ask
from tests.services import raw
from tests.services.clock import SettableClock


async def test_an_effect_has_the_clocks_time(lanes: Lanes, books: Books, clock: SettableClock) -> None:
    lane = await lanes.start()
    await lane.run(Add())
    later = clock.advance(5)
    await lane.run(Add())
    assert await books.instants() == [later - 5 * SECOND, later]


async def test_now_never_goes_back_when_the_clock_does(lanes: Lanes, books: Books, clock: SettableClock) -> None:
    lane = await lanes.start()
    await lane.run(Add())
    was = clock()
    clock.advance(-3600)
    await lane.run(Add())
    other = await lanes.start()
    await other.run(Add())
    clock.advance(3601)
    await lane.run(Add())
    assert await books.instants() == [was, was, was, was + SECOND]


@pytest.mark.parametrize(
    "attempt", range(8)
)  # the rows' tokens are made up: a wrong order among them shows half the time
async def test_now_never_goes_back_behind_a_refusal_that_was_remembered(
    attempt: int, lanes: Lanes, books: Books, clock: SettableClock
) -> None:
    lane = await lanes.start()
    await lane.run(Add())
    latest = clock.advance(100)
    await ask(lane, Take(50), "k")
    clock.advance(-50)
    other = await lanes.start()  # another process, which can know it from the books only
    await other.run(Add())
    assert (await books.instants())[-1] == latest


async def test_old_answers_are_forgotten_and_young_ones_are_not(
    lanes: Lanes, books: Books, clock: SettableClock
) -> None:
    lane = await lanes.start()
    await ask(lane, Add(), "old")
    clock.advance(71 * 3600)
    await ask(lane, Add(), "young")
    clock.advance(2 * 3600)
    assert await lane.run(Forget()) >= 1
    assert await books.answers() == [("ann", "young", 200)]
    assert (await ask(lane, Add(), "young")).replayed
    assert not (await ask(lane, Add(), "old")).replayed


async def test_old_commits_are_forgotten_but_never_the_last(lanes: Lanes, books: Books, clock: SettableClock) -> None:
    lane = await lanes.start()
    for amount in range(1, 6):
        await lane.run(Add(amount))
    clock.advance(10 * 86_400)
    assert await lane.run(Forget()) == 4
    assert (await lane.run(Add(6))).seq == 6
    assert await books.amounts() == [1, 2, 3, 4, 5, 6]


async def test_commits_of_nothing_but_remembered_refusals_are_forgotten_too(
    lanes: Lanes, database: Database, clock: SettableClock
) -> None:
    lane = await lanes.start()
    for number in range(5):
        await ask(lane, Take(1), f"k{number}")
        clock.advance(1)
    clock.advance(10 * 86_400)
    await lane.run(Forget())
    assert len(await commit_rows(database)) <= 2  # the last one, and this upkeep's own
    assert (await lane.run(Add())).seq == 1


async def test_forgetting_is_bounded(lanes: Lanes, books: Books, clock: SettableClock) -> None:
    lane = await lanes.start()
    for number in range(6):
        await ask(lane, Add(), f"k{number}")
    clock.advance(10 * 86_400)
    assert await lane.run(Forget(limit=2)) == 4
    assert [key for _, key, _ in await books.answers()] == ["k2", "k3", "k4", "k5"]


async def test_forgetting_nothing_is_no_commit(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    await ask(lane, Add(), "k")
    assert await lane.run(Forget()) == 0
    assert await books.commit_counts() == [1]


async def test_another_lanes_answers_are_left_alone(lanes: Lanes, database: Database, clock: SettableClock) -> None:
    answer = {"lane": "hours", "caller": "ann", "key": "k", "fingerprint": "f", "status": 200, "body": "{}", "at": 0}
    await raw.write(database, lambda tx: tx.execute(logs.answers.insert(), answer))
    lane = await lanes.start()
    await lane.run(Add())
    clock.advance(10 * 86_400)
    await lane.run(Forget())
    assert await database.read(logs.read_answers, "hours", [("ann", "k")])


async def commit_rows(database: Database) -> list[object]:
    query = logs.commits.select().where(logs.commits.c.lane == LANE)
    return list(await database.read(lambda tx: tx.execute(query).fetchall()))


def test_answers_are_kept_for_72_hours_and_commits_for_a_day() -> None:
    assert (upkeep.ANSWERS_KEPT, upkeep.COMMITS_KEPT) == (72 * HOUR, DAY)
