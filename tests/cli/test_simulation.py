"""The parts of a simulation that need no server: its orders, its figures, and that its audit finds what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec
import pytest

from marketplace.cli.simulation import audit, measures
from marketplace.cli.simulation.audit import Books
from marketplace.cli.simulation.journal import Journal
from marketplace.cli.simulation.orders import Batch, Buy, Cancel, Mix, Sell, draw
from marketplace.client import Unreachable
from marketplace.wire import hours

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MIX = Mix(sells=0.2, cancels=0.1, batches=0.05, batch_size=20, users=50)
ALL = (
    audit.find_lost_orders,
    audit.find_strange_orders,
    audit.find_wrong_cancels,
    audit.find_unbalanced,
    audit.find_wrong_book,
)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_draws_the_same_orders() -> None:
    first, again = (list(islice(draw(MIX, seed=5, client=3), 200)) for _ in range(2))
    assert first == again


def test_other_seeds_and_other_clients_draw_other_orders() -> None:
    drawn = {tuple(map(repr, islice(draw(MIX, seed=s, client=c), 20))) for s in (1, 2) for c in (1, 2)}
    assert len(drawn) == 4


def test_requests_come_in_the_shares_asked_for() -> None:
    kinds = [type(action) for action in islice(draw(MIX, seed=1, client=0), 10_000)]
    shares = {kind: kinds.count(kind) / len(kinds) for kind in (Buy, Sell, Cancel, Batch)}
    assert shares == pytest.approx({Buy: 0.65, Sell: 0.2, Cancel: 0.1, Batch: 0.05}, abs=0.02)


def test_cancels_alone_can_be_all_there_is() -> None:
    mix = Mix(sells=0, cancels=1, batches=0, batch_size=1, users=1)
    assert {type(action) for action in islice(draw(mix, seed=1, client=0), 9)} == {Cancel}


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("share", "expected"), [(0.5, 5), (0.9, 9), (0.99, 10), (1.0, 10), (0.0, 1)])
def test_a_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert measures.percentile(list(range(1, 11)), share) == expected


# ── the audit ────────────────────────────────────────────────────────────────────────────────────────────────────────


def bid(**changes: Any) -> hours.Bid:
    made = hours.Bid(1, "m", "u1", 10, 4, 6, 5, "gtc", "open", NOON, None)
    return msgspec.structs.replace(made, **changes)


def supply(**changes: Any) -> hours.Supply:
    made = hours.Supply(2, "m", "p1", 6, 0, 6, 3, "exhausted", NOON)
    return msgspec.structs.replace(made, **changes)


def allocation(**changes: Any) -> hours.Allocation:
    return msgspec.structs.replace(hours.Allocation("2-0", "m", "u1", 1, 2, 6, 5, NOON), **changes)


def books(**changes: Any) -> Books:
    parts: dict[str, Any] = {
        "bids": {1: bid()},
        "supplies": {2: supply()},
        "allocations": [allocation()],
        "book": hours.Book("m", 2, [hours.Level(5, 1, 4, 4)], []),
    }
    return Books(**(parts | changes))


def journal() -> Journal:
    """A bid that waited, and a supply that gave it 6 of 10."""
    made = Journal()
    made.note(Buy("u1", 10, 5), 1, allocated=0)
    made.note(Sell("p1", 6, 3), 2, allocated=6)
    return made


def faults(found: Books, noted: Journal | None = None) -> list[str]:
    return [fault for check in ALL for fault in check(found, noted or journal())]


def test_books_that_balance_have_no_faults() -> None:
    assert faults(books()) == []


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"bids": {}}, "The bid 1 was acknowledged and is not there"),
    ({"supplies": {}}, "The supply 2 was acknowledged and is not there"),
    ({"bids": {1: bid(price=6)}}, "The bid 1 is Buy"),
    ({"supplies": {2: supply(allocated=5, remaining=1)}}, "The supply 2 was given 6 hours and has 5"),
    ({"bids": {1: bid(), 3: bid(bid_id=3)}}, "was never acknowledged"),
    ({"supplies": {2: supply(), 4: supply(supply_id=4)}}, "was never acknowledged"),
    ({"bids": {1: bid(state="cancelled")}}, "The bid 1 is cancelled and nobody heard so"),
    ({"allocations": []}, "The bid 1 says 6 of 10, its allocations 0"),
    ({"allocations": [allocation(volume=7)]}, "The supply 2 says 6 of 6, its allocations 7"),
    ({"allocations": [allocation(username="u2")]}, "went to u2"),
    ({"allocations": [allocation(price=4)]}, "at 4, unlike its bid"),
    ({"supplies": {2: supply(min_price=6)}}, "unlike its bid or supply"),
    ({"allocations": [allocation(), allocation(bid_id=9, volume=0)]}, "has no bid or no supply"),
    ({"bids": {1: bid(remaining=3)}}, "The bid 1 says 6 of 10"),
    ({"book": hours.Book("m", 2, [], [])}, "The book shows 0 hours of bids, but 4 are open"),
    (
        {"book": hours.Book("m", 2, [hours.Level(5, 1, 4, 4)], [hours.Level(5, 1, 1, 1)])},
        "A bid at 5 waits beside supply from 5",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), FAULTS)
def test_the_audit_finds_what_is_wrong(changes: dict[str, Any], sentence: str) -> None:
    assert any(sentence in fault for fault in faults(books(**changes))), faults(books(**changes))


def test_an_order_without_an_answer_may_be_there_once_but_not_twice() -> None:
    noted = journal()
    with pytest.raises(Unreachable), noted.watch([Buy("u1", 10, 5)]):
        raise Unreachable("lost", code="timeout", outcome_known=False)
    waiting = {"remaining": 10, "allocated": 0}
    level = hours.Level(5, 2, 14, 14)
    once = {1: bid(), 3: bid(bid_id=3, **waiting)}
    assert faults(books(bids=once, book=hours.Book("m", 3, [level], [])), noted) == []
    twice = once | {4: bid(bid_id=4, **waiting)}
    assert any("is there twice" in fault for fault in faults(books(bids=twice), noted))


def test_an_order_that_was_surely_refused_may_not_be_there() -> None:
    noted = journal()
    with pytest.raises(Unreachable), noted.watch([Buy("u1", 10, 5)]):
        raise Unreachable("refused", code="unreachable", outcome_known=True)
    assert any("never acknowledged" in fault for fault in faults(books(bids={1: bid(), 3: bid(bid_id=3)}), noted))


@pytest.mark.parametrize(
    ("note", "found", "sentence"),
    [
        (lambda noted: noted.cancelled.update({1: 6}), bid(), "was cancelled with 6 hours and is open with 6"),
        (lambda noted: noted.cancelled.update({1: 5}), bid(state="cancelled"), "with 5 hours and is cancelled with 6"),
        (lambda noted: noted.too_late.add(1), bid(), "its cancel was refused because it was closed"),
        (lambda noted: noted.note(Buy("u1", 10, 5), 1, allocated=0), bid(), "acknowledged for two orders"),
    ],
)
def test_the_audit_finds_wrong_cancels_and_ids(
    note: Callable[[Journal], object], found: hours.Bid, sentence: str
) -> None:
    noted = journal()
    note(noted)
    assert any(sentence in fault for fault in faults(books(bids={1: found}), noted))


def test_a_cancel_without_an_answer_may_have_taken_effect() -> None:
    noted = journal()
    noted.unanswered_cancels.add(1)
    emptied = hours.Book("m", 3, [], [])
    assert faults(books(bids={1: bid(state="cancelled")}, book=emptied), noted) == []
