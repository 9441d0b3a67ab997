"""Proves the books of auctions: every log leads by the rules to what the tables say, and what is promised is held.

the logs        replayed entry by entry (`replay`), they give the same orders, commitments, bids and records
the lane's log  has each entry of a book's log, word for word, as far as it was not cut
the money       budgets of orders that are not over and deposits of live commitments are held, all others are not
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from marketplace import ledger
from marketplace.auctions.replay import Line, Replay, Round, verify
from marketplace.auctions.tables import (
    auction_bids,
    auction_books,
    auction_commitments,
    auction_deposits,
    auction_log,
    auction_orders,
    auction_solvers,
)
from marketplace.database import log, money, proofs
from marketplace.database.proofs import SHOWN

ANNOUNCED = auction_orders.c.added_at.is_not(None)


def audit(tx: sa.Connection) -> list[str]:
    """Return what is wrong with the books, a sentence each; nothing for books that balance."""
    faults = [fault for book in tx.execute(_books).scalars() for fault in _check_book(tx, book)]
    return [*faults, *_check_holds(tx), *_check_lane(tx)]


def verify_book(tx: sa.Connection, book: str) -> list[str]:
    """Compute the decisions of a book again from its log alone; return what is wrong, a sentence each."""
    return verify(book, _lines(tx, book))[1]


_books = sa.select(auction_books.c.book).order_by(auction_books.c.book)


def _lines(tx: sa.Connection, book: str) -> Iterator[Line]:
    for row in proofs.pages(tx, auction_log, [auction_log.c.log_offset], auction_log.c.book == book):
        yield Line(row.log_offset, row.seq, row.at, row.kind, row.data)


# ── what the logs lead to ────────────────────────────────────────────────────────────────────────────────────────────


def _check_book(tx: sa.Connection, book: str) -> Iterator[str]:
    replay, faults = verify(book, _lines(tx, book))
    yield from faults
    if faults:
        return
    orders = proofs.pages(
        tx, auction_orders, [auction_orders.c.order_id], sa.and_(auction_orders.c.book == book, ANNOUNCED)
    )
    yield from proofs.differences(
        f"auction_orders of {book}",
        {order_id: _told_of_order(one) for order_id, one in replay.rounds.items()},
        ((row.order_id, (row.state, row.round, row.bids)) for row in orders),
    )
    yield from _check_commitments(tx, replay)
    yield from _check_bids(tx, replay)
    solvers = proofs.pages(tx, auction_solvers, [auction_solvers.c.solver], auction_solvers.c.book == book)
    names = list(auction_solvers.c.keys())
    yield from proofs.differences(
        f"auction_solvers of {book}",
        {solver: tuple(getattr(record, name) for name in names) for solver, record in replay.records.items()},
        ((row.solver, tuple(row)) for row in solvers),
    )


def _told_of_order(one: Round) -> tuple[Any, ...]:
    return one.order.state, one.order.round, len(one.sealed)


def _check_commitments(tx: sa.Connection, replay: Replay) -> Iterator[str]:
    commitments = auction_commitments.c
    rows = proofs.pages(tx, auction_commitments, [commitments.commitment_id], commitments.book == replay.book)
    yield from proofs.differences(
        f"auction_commitments of {replay.book}",
        {
            number: (one.said.order_id, one.said.bid_id, one.said.solver, one.said.ends_at, one.deposited, one.state)
            for number, one in replay.promises.items()
        },
        (
            (row.commitment_id, (row.order_id, row.bid_id, row.solver, row.ends_at, row.deposited, row.state))
            for row in rows
        ),
    )


def _check_bids(tx: sa.Connection, replay: Replay) -> Iterator[str]:
    """Compare live bids by their ids, and those that have been shown in full."""
    bids = auction_bids.c
    where = sa.and_(bids.book == replay.book, bids.state == "live")
    rows = proofs.pages(tx, auction_bids, [bids.order_id, bids.solver], where)
    expected: dict[Any, Any] = {}
    for order_id, one in replay.rounds.items():
        for bid_id in one.sealed:
            shown = one.shown.get(bid_id)
            expected[bid_id] = (order_id, shown and (shown.solver, shown.max_input, shown.min_output))
    found = []
    for row in rows:
        is_shown = expected.get(row.bid_id, (0, None))[1] is not None
        found.append((row.bid_id, (row.order_id, (row.solver, row.max_input, row.min_output) if is_shown else None)))
    yield from proofs.differences(f"auction_bids of {replay.book}", expected, found)


# ── the money ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_holds(tx: sa.Connection) -> Iterator[str]:
    has_budget = auction_orders.c.hold_id.is_not(None)
    orders = proofs.pages(tx, auction_orders, [auction_orders.c.book, auction_orders.c.order_id], has_budget)
    yield from _compare_holds(tx, "order", ((row.order_id, row.hold_id, row.ended_at is None) for row in orders))
    commitments = auction_commitments.c
    order = [commitments.book, commitments.commitment_id]
    for name in ("bond_hold_id", "input_hold_id"):
        rows = proofs.pages(tx, auction_commitments, order, commitments[name].is_not(None))
        named = ((row.commitment_id, getattr(row, name), row.state == "live") for row in rows)
        yield from _compare_holds(tx, f"commitment's {name}", named)
    live = set(tx.execute(sa.select(commitments.commitment_id).where(commitments.state == "live")).scalars())
    deposits = auction_deposits.c
    rows = proofs.pages(tx, auction_deposits, [deposits.book, deposits.commitment_id, deposits.hold_id])
    yield from _compare_holds(tx, "deposit of", ((r.commitment_id, r.hold_id, r.commitment_id in live) for r in rows))


def _compare_holds(tx: sa.Connection, what: str, expected: Iterator[tuple[int, int, bool]]) -> Iterator[str]:
    """Tell of holds that are open and should not be, or the other way round."""
    named = list(expected)
    open_ones = ledger.find_open_holds(tx, {hold_id for _, hold_id, _ in named})
    wrong = [each for each in named if (each[1] in open_ones) != each[2]]
    for number, hold_id, should_be in wrong[:SHOWN]:
        yield f"{what} {number}: its hold {hold_id} is {'not open' if should_be else 'open still'}"


# ── the lane's log ───────────────────────────────────────────────────────────────────────────────────────────────────


def _check_lane(tx: sa.Connection) -> Iterator[str]:
    """Tell of entries that the lane's log does not have word for word; what was cut off it is not looked for."""
    events, entry = log.events.c, auction_log.c
    same = sa.and_(events.lane == money.LANE, events.seq == entry.seq, events.at == entry.at, events.data == entry.data)
    lost = (
        sa.select(entry.book, entry.log_offset)
        .where(entry.seq > log.read_cut(tx, money.LANE), ~sa.exists().where(same))
        .order_by(entry.book, entry.log_offset)
        .limit(SHOWN)
    )
    for book, offset in tx.execute(lost):
        yield f"auction_log: the entry {offset} of {book} is not in the lane's log"
