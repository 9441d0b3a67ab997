"""A bug meets one request and not its neighbours; and the writer survives whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace.database import Database, Lane, Log
from marketplace.foundation import errors
from marketplace.foundation.clock import Instant
from tests.database import counters
from tests.database.counters import POISON, Add, Books, Receipt, Take
from tests.database.lanes import Lanes, metered, outcomes, pile_up
from tests.services import raw


def stumbling(tx: sa.Connection, log: Log, commands: Sequence[Add], /, *, now: Instant) -> list[Any]:
    """Do as the counters do, but for one request meet a bug before anything is written."""
    if any(command.note == "stumble" for command in commands):
        raise ZeroDivisionError
    return counters.apply_adds(tx, log, commands, now=now)


@pytest.mark.parametrize("poison", [Add(57, note="stumble"), Add(POISON), Take(-POISON)], ids=["bug", "check", "other"])
@pytest.mark.parametrize("place", [0, 57, 99])
async def test_a_poisonous_request_among_a_hundred_is_refused_alone(
    poison: Any, place: int, lanes: Lanes, books: Books
) -> None:
    lane = await lanes.start(handlers={**counters.HANDLERS, Add: stumbling})
    before = metered("poisonous_total")
    commands = [Add(number) for number in range(100)]
    commands[place] = poison
    async with lanes.held():
        tasks = await pile_up(lane, commands)
    told = await outcomes(tasks)
    assert isinstance(told[place], errors.Broken)
    good = [number for number in range(100) if number != place]
    assert [told[number].balance for number in good] == [sum(good[: index + 1]) for index in range(99)]
    assert await books.amounts() == good
    assert metered("poisonous_total") == before + 1
    await books.check()


@pytest.mark.parametrize("poison", [Add(2**63), Add(1, note="\x00"), Add(1, note="\ud800")], ids=["int", "nul", "half"])
@pytest.mark.parametrize("engine", ["postgres"])
async def test_a_value_that_the_database_cannot_hold_is_a_bug_of_its_request_alone(
    poison: Add, lanes: Lanes, books: Books, engine: str
) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2), poison, Add(3)])
    told = await outcomes(tasks)
    assert [type(each) for each in told] == [Receipt, Receipt, errors.Broken, Receipt]
    assert await books.amounts() == [1, 2, 3]


async def test_two_poisonous_requests_are_both_found(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(POISON), Add(2), Add(3), Add(POISON), Add(4)])
    told = await outcomes(tasks)
    assert [isinstance(each, errors.Broken) for each in told] == [False, True, False, False, True, False]
    assert await books.amounts() == [1, 2, 3, 4]


async def test_a_command_that_nobody_handles_is_refused_alone(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), "no command", Add(2)])
    told = await outcomes(tasks)
    assert isinstance(told[1], errors.Broken)
    assert await books.amounts() == [1, 2]


async def test_a_module_that_loses_an_outcome_writes_nothing(lanes: Lanes, books: Books) -> None:
    # Otherwise somebody would be told another one's outcome, or that nothing happened when it did.
    def forgetful(tx: sa.Connection, log: Log, commands: Sequence[Add], /, *, now: Instant) -> list[Any]:
        return counters.apply_adds(tx, log, commands, now=now)[1:]

    lane = await lanes.start(handlers={**counters.HANDLERS, Add: forgetful})
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2), Take(0)])
    told = await outcomes(tasks)
    assert [type(each) for each in told] == [errors.Broken, errors.Broken, Receipt]
    assert await books.amounts() == [0]


async def test_the_writer_survives_what_reaches_its_rim(
    lanes: Lanes, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = await lanes.start()
    before = metered("writer_failures_total")

    def stumble(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Lane, "_isolate", stumble)
        with pytest.raises(errors.Broken):
            await lane.run(Add(POISON))
    assert metered("writer_failures_total") == before + 1
    assert (await lane.run(Add(1))).seq == 1
    assert await books.amounts() == [1]


async def test_who_has_committed_is_never_told_that_nothing_was_written(
    lanes: Lanes, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Meters of several processes live in files, and a disk may be full.
    def stumble(*_: object) -> None:
        raise OSError("no space left")

    lane = await lanes.start()
    with monkeypatch.context() as patch:
        patch.setattr(lane._meters.orders, "inc", stumble)
        assert (await lane.run(Add(1))).seq == 1
    assert (await lane.run(Add(2))).seq == 2
    assert await books.amounts() == [1, 2]


async def test_the_writer_survives_a_lane_that_is_not_there(database: Database, lanes: Lanes, books: Books) -> None:
    # A schema too old, say: counted, and served once it is there.
    await raw.execute(database, "ALTER TABLE commits RENAME TO hidden")
    lane = await lanes.start()
    with pytest.raises(errors.Refusal):
        await lane.run(Add(1))
    await raw.execute(database, "ALTER TABLE hidden RENAME TO commits")
    assert (await lane.run(Add(2))).seq == 1
    assert await books.amounts() == [2]
