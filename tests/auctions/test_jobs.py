"""The sequencer's clock: a tick for each book when its time has come, and no harm from a second one."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.auctions import jobs, lookups, meters
from marketplace.auctions.jobs import Sequencer
from marketplace.auctions.model import SetBook, Ticked
from marketplace.foundation import errors
from marketplace.foundation.clock import SECOND
from tests.auctions.desk import FULFIL, GRACE, WINDOW, Desk


class Hearing:
    """A sequencer on the desk's clock, and what it told."""

    def __init__(self, desk: Desk, name: str = "q") -> None:
        self.desk = desk
        self.told: list[tuple[str, Ticked]] = []
        self.sequencer = Sequencer(name, told=lambda book, ticked: self.told.append((book, ticked)), clock=desk.clock)

    async def look(self, seconds: float = 0) -> int:
        self.desk.clock.advance(seconds)
        return await self.sequencer.look(self.desk.database, self.desk.lane)


async def test_a_book_is_ticked_once_in_each_of_its_ticks(desk: Desk) -> None:
    hearing = Hearing(desk)
    for _ in range(3):
        await hearing.look()
    assert [book for book, _ in hearing.told] == ["default"]
    await hearing.look(1.9)
    assert len(hearing.told) <= 2
    await hearing.look(2)
    await hearing.look()
    assert len(hearing.told) in (2, 3)


async def test_each_book_has_ticks_of_its_own(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BOOKS_SECONDS", 0)
    hearing = Hearing(desk)
    await desk.open_book("slow", tick_micros=60 * SECOND)
    for _ in range(30):
        await hearing.look(2)
    books = [book for book, _ in hearing.told]
    assert books.count("default") == 30
    assert books.count("slow") in (1, 2)


async def test_a_tick_does_all_that_is_due_in_chunks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "Tick", _in_twos)
    await desk.run(SetBook("default", batch_size=5))
    hearing = Hearing(desk)
    orders = [await desk.place(input_budget=None) for _ in range(5)]
    assert await hearing.look(2) == 5
    for order in orders:
        await desk.bid(order.order_id, most=1)
    assert await hearing.look(WINDOW + 1) == 5
    assert [ticked.selected for _, ticked in hearing.told if ticked.selected] == [2, 2, 1]


def _in_twos(book: str, name: str) -> Any:
    from marketplace.auctions.model import Tick

    return Tick(book, name, limit=2)


async def test_a_second_sequencer_finds_nothing_left_to_do(desk: Desk) -> None:
    first, second = Hearing(desk, "q1"), Hearing(desk, "q2")
    await desk.place()
    assert (await first.look(2), await second.look()) == (1, 0)


async def test_what_fell_due_while_the_database_was_away_is_done_afterwards(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BOOKS_SECONDS", 0)
    monkeypatch.setattr(jobs, "PAUSE_SECONDS", 0)
    hearing = Hearing(desk)
    await desk.place()

    async def away(*_: Any, **__: Any) -> Any:
        raise errors.Busy("The database is away.")

    with monkeypatch.context() as patch:
        patch.setattr(desk.database, "read_one", away)
        assert await hearing.look(2) == 0
    with monkeypatch.context() as patch:
        patch.setattr(desk.lane, "run", away)
        assert await hearing.look() == 0
    assert hearing.told == []
    assert await hearing.look() == 1


async def test_it_is_told_how_long_the_first_order_waits_for_a_tick(desk: Desk) -> None:
    async def overdue() -> float:
        standings = await desk.read(lookups.read_standings, limit=10)
        (gauge,) = [one for one in meters.gauges(standings, now=desk.clock()) if one.name.endswith("overdue_seconds")]
        assert [sample.labels for sample in gauge.samples] == [{"book": "default"}]
        return gauge.samples[0].value

    assert await overdue() == 0, "there is nothing to do"
    order = await desk.announced(expires_at=desk.clock() + 3_600 * SECOND)
    await desk.bid(order.order_id)
    desk.clock.advance(WINDOW - 1)
    assert await overdue() == 0, "its window is open"
    desk.clock.advance(8)
    assert await overdue() == 7
    await desk.tick()
    assert await overdue() == 0
    desk.clock.advance(FULFIL + GRACE + 3)
    assert await overdue() == 3, "its solver has not delivered"
    assert (await desk.tick()).reopened == 1
    await desk.clock_past(order.placed_at + 3_600 * SECOND)
    await desk.tick()
    assert await overdue() == 0, "it has expired"
