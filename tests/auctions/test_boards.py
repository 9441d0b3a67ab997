"""What watchers of a book see: each order in its phase, bounded, and an order's entries wherever the log has them."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace import auctions
from marketplace.auctions import boards, errors
from tests.auctions.desk import FULFIL, GRACE, WINDOW, Desk


async def read(desk: Desk, *, limit: int = 30) -> auctions.Board:
    return await desk.database.read(auctions.read_board, "default", limit=limit, entries=limit)


async def read_sheet(desk: Desk, order_id: int, *, seen_by: str | None = None, bids_of: str = "") -> auctions.Sheet:
    return await desk.database.read(auctions.read_sheet, order_id, seen_by=seen_by, bids_of=bids_of, limit=100)


def ids(orders: list[auctions.Order]) -> list[int]:
    return [one.order_id for one in orders]


async def announce(desk: Desk, count: int = 1) -> list[int]:
    """Put orders out and let them take bids."""
    return [(await desk.announced()).order_id for _ in range(count)]


async def test_each_order_is_in_its_phase_the_newest_first(desk: Desk) -> None:
    first, second, third = await announce(desk, 3)
    await desk.bid(first, "s1")
    waiting = await desk.place()
    board = await read(desk)
    assert (ids(board.soliciting), board.committed, board.ended) == ([third, second, first], [], [])
    assert (board.standing.pending, board.standing.bidding) == (1, 3), "as many as have a window"
    await desk.cancel(third)
    await desk.cancel(waiting.order_id)
    await desk.tick(WINDOW)
    board = await read(desk)
    assert [one.commitment.order_id for one in board.committed] == [first]
    assert ids(board.ended) == [third], "one that was never announced is nobody's to see"
    own = await desk.database.read(auctions.read_own, "default", "ann", limit=30)
    assert ids(own.orders) == [waiting.order_id, third, second, first]
    assert own.promises == []
    own = await desk.database.read(auctions.read_own, "default", "s1", limit=30)
    assert [one.commitment.order_id for one in own.promises] == [first]
    offsets = [entry.seq for entry in board.entries]
    assert offsets == sorted(offsets, reverse=True)
    assert board.entries[0].kind == "CommitmentCreated"


async def test_every_list_is_bounded(desk: Desk) -> None:
    await announce(desk, 4)
    board = await read(desk, limit=2)
    assert len(board.soliciting) == len(board.entries) == 2
    with pytest.raises(errors.UnknownBook):
        await desk.database.read(auctions.read_board, "nowhere", limit=2, entries=2)


async def test_the_league_names_nobody_whose_bids_are_sealed(desk: Desk) -> None:
    (order_id,) = await announce(desk)
    await desk.bid(order_id, "s1")
    await desk.bid(order_id, "s2", output=21)
    assert await desk.database.report(auctions.read_league, "default", limit=9) == []
    await desk.tick(WINDOW)
    (one,) = await desk.database.report(auctions.read_league, "default", limit=9)
    assert (one.place, one.solver, one.commitments, one.kept_rate) == (1, "s2", 1, None)
    await desk.tick(FULFIL + GRACE)
    league = await desk.database.report(auctions.read_league, "default", limit=9)
    assert [(one.solver, one.filled, one.failed) for one in league] == [("s1", 0, 0), ("s2", 0, 1)]


async def test_of_an_order_its_own_entries_are_found_between_those_of_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "WINDOW", 3)
    before, order_id, after = await announce(desk, 3)
    for number in range(5):
        await desk.bid(before, f"s{number}")
    await desk.bid(order_id, "s1")
    await desk.cancel(order_id)
    await desk.bid(after, "s1")
    sheet = await read_sheet(desk, order_id)
    assert [entry.kind for entry in sheet.entries] == ["OrderCancelled", "BidReceived", "OrderAdded"]
    assert all(entry.order_id == order_id for entry in sheet.entries)
    assert [entry.kind for entry in (await read_sheet(desk, after)).entries] == ["BidReceived", "OrderAdded"]


async def test_a_sheet_shows_of_sealed_bids_the_viewers_own(desk: Desk) -> None:
    (order_id,) = await announce(desk)
    await desk.bid(order_id, "s1")
    await desk.bid(order_id, "s2")

    async def solvers(**who: Any) -> list[str]:
        return [one.solver for one in (await read_sheet(desk, order_id, **who)).bids]

    assert await solvers(bids_of="s1") == ["s1"]
    assert await solvers() == []
    await desk.tick(WINDOW)
    assert await solvers() == ["s1", "s2"]


async def test_an_order_that_waits_is_its_owners_alone(desk: Desk) -> None:
    order = await desk.place()
    assert (await read_sheet(desk, order.order_id, seen_by="ann")).entries == []
    with pytest.raises(errors.UnknownOrder):
        await read_sheet(desk, order.order_id, seen_by="bob")
