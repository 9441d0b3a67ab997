"""What somebody sees who watches a book: its orders by phase, what is owed, who keeps their word, the newest entries.

Functions of a read-only `tx`. All lists are bounded. An order that waits for its batch is in `read_own` alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from marketplace.auctions import book_log, lookups
from marketplace.auctions.book_log import Logged
from marketplace.auctions.lookups import Promised, Standing
from marketplace.auctions.model import Book, Order, SolverBid
from marketplace.auctions.tables import auction_commitments, auction_descriptions, auction_log, auction_orders
from marketplace.database import money
from marketplace.database.log import read_head
from marketplace.foundation.clock import Instant

RECENT = 500
"""Among so many of a book's newest orders those are looked for that have ended: nobody keeps a list of these."""
WINDOW = 5_000
"""Entries that are looked at in search of an order's, after it was announced and before its end or the log's."""
MOST_ENTRIES = 200
"""Of an order, that are shown."""

_limit = sa.bindparam("limit", type_=sa.Integer)
_book, _owner = sa.bindparam("book", type_=sa.Text), sa.bindparam("owner", type_=sa.Text)


class Board(msgspec.Struct, frozen=True):
    """What everybody sees of a book, of one instant; `seq` is the lane's by then."""

    book: Book
    standing: Standing
    soliciting: list[Order]
    """The newest first."""
    committed: list[Promised]
    """Those that are due soonest first."""
    ended: list[Order]
    """The newest first, among the newest RECENT orders."""
    entries: list[Logged]
    """The newest first."""
    seq: int


class Own(NamedTuple):
    """What a member has in a book: orders that it put out, and what it has promised, the newest first."""

    orders: list[Order]
    promises: list[Promised]


class Sheet(msgspec.Struct, frozen=True):
    """An order with what may be seen of it: entries newest first, of the bids those that are not sealed."""

    order: Order
    book: Book
    commitments: list[Promised]
    bids: list[SolverBid]
    entries: list[Logged]
    seq: int


# ── a book ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_orders = lookups.SELECT_ORDERS.order_by(None).order_by(auction_orders.c.order_id.desc()).limit(_limit)
_soliciting = _orders.where(auction_orders.c.book == _book, auction_orders.c.state == lookups.literal("open"))
_recent = (
    sa.select(*auction_orders.c)
    .where(auction_orders.c.book == _book)
    .order_by(auction_orders.c.order_id.desc())
    .limit(RECENT)
    .subquery("recent")
)
_ended = (
    sa.select(*[(_recent if name in _recent.c else auction_descriptions).c[name] for name in Order.__struct_fields__])
    .select_from(_recent)
    .join(
        auction_descriptions,
        sa.and_(auction_descriptions.c.book == _recent.c.book, auction_descriptions.c.order_id == _recent.c.order_id),
    )
    # One that was never announced is its owner's alone to see.
    .where(_recent.c.ended_at.is_not(None), _recent.c.added_at.is_not(None))
    .order_by(_recent.c.order_id.desc())
    .limit(_limit)
)
_promises = lookups.SELECT_COMMITMENTS.order_by(None).limit(_limit)
_due = _promises.where(
    auction_commitments.c.book == _book, auction_commitments.c.state == lookups.literal("live")
).order_by(auction_commitments.c.due_at, auction_commitments.c.commitment_id)


def read_board(tx: sa.Connection, book: str, *, limit: int, entries: int) -> Board:
    """Return a book as everybody sees it, so many of each list and entries of its log. Run it in a snapshot.

    Raises UnknownBook.
    """
    seq = read_head(tx, money.LANE).last_seq
    head = book_log.read_head(tx, book)
    return Board(
        lookups.find_book(tx, book),
        lookups.find_standing(tx, book),
        list_soliciting(tx, book, limit=limit),
        list_due(tx, book, limit=limit),
        list_ended(tx, book, limit=limit),
        book_log.read_entries(tx, book, first=max(head - entries, 0), limit=entries)[::-1],
        seq,
    )


def list_soliciting(tx: sa.Connection, book: str, *, limit: int) -> list[Order]:
    """Return orders that take bids, the newest first. A single statement."""
    return [Order(*row) for row in tx.execute(_soliciting, {"book": book, "limit": limit})]


def list_due(tx: sa.Connection, book: str, *, limit: int) -> list[Promised]:
    """Return commitments under way, those that are due soonest first. A single statement."""
    return [lookups.to_promised(row) for row in tx.execute(_due, {"book": book, "limit": limit})]


def list_ended(tx: sa.Connection, book: str, *, limit: int) -> list[Order]:
    """Return orders that are over, the newest first, among the newest RECENT ones. A single statement."""
    return [Order(*row) for row in tx.execute(_ended, {"book": book, "limit": limit})]


# The book is asked of the other table: asked of this one, SQLite sorts all orders of the owner.
_own_orders = _orders.where(auction_descriptions.c.book == _book, auction_orders.c.owner == _owner)
_own_promises = _promises.where(
    auction_orders.c.book == _book, auction_commitments.c.solver == sa.bindparam("solver", type_=sa.Text)
).order_by(auction_commitments.c.commitment_id.desc())


def read_own(tx: sa.Connection, book: str, username: str, *, limit: int) -> Own:
    """Return what a member has in a book. Run it in a snapshot."""
    return Own(
        [Order(*row) for row in tx.execute(_own_orders, {"book": book, "owner": username, "limit": limit})],
        [
            lookups.to_promised(row)
            for row in tx.execute(_own_promises, {"book": book, "solver": username, "limit": limit})
        ],
    )


class Placed(msgspec.Struct, frozen=True):
    """A solver's line in the league: by orders filled, then by fewer failures. `kept_rate` None: nothing has ended."""

    place: int
    solver: str
    commitments: int
    filled: int
    failed: int
    kept_rate: float | None
    average_seconds_to_fill: float | None
    is_blocked: bool


_league = sa.text(
    "SELECT place, solver, commitments, filled, failed, kept_rate, average_seconds_to_fill, blocked_until IS NOT NULL"
    "  FROM report_auction_solvers"
    # Who has bid and was never committed is nobody's to know: its bids are sealed.
    " WHERE book = :book AND commitments > 0"
    " ORDER BY place, solver"
    " LIMIT :limit"
)


def read_league(tx: sa.Connection, book: str, *, limit: int) -> list[Placed]:
    """Return the first of a book's league table, as the report has it, of those who were committed.

    A single statement, over all bids of the book: run it by `database.report`.
    """
    found = tx.execute(_league, {"book": book, "limit": limit})
    return [_placed(row) for row in found]


def _placed(row: Any) -> Placed:
    place, solver, commitments, filled, failed, kept_rate, seconds, is_blocked = row
    return Placed(
        place,
        solver,
        int(commitments),
        int(filled),
        int(failed),
        None if kept_rate is None else float(kept_rate),
        None if seconds is None else float(seconds),
        bool(is_blocked),
    )


# ── an order ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_sheet(tx: sa.Connection, order_id: int, *, seen_by: str | None, bids_of: str, limit: int) -> Sheet:
    """Return an order as a member sees it; with None it is seen by whoever may see all, but for sealed bids.

    `bids_of` is the solver whose own bid is seen in any case. Run it in a snapshot. Raises UnknownOrder.
    """
    seq = read_head(tx, money.LANE).last_seq
    order = lookups.find_seen_order(tx, order_id, seen_by=seen_by)
    wanted = lookups.WantedCommitments(order.book, order_id)
    return Sheet(
        order,
        lookups.find_book(tx, order.book),
        lookups.list_commitments(tx, wanted, after=None, limit=limit),
        lookups.list_bids(tx, order, seen_by=bids_of, after=None, limit=limit),
        _entries_of(tx, order),
        seq,
    )


_at = sa.select(auction_log.c.at).where(
    auction_log.c.book == _book, auction_log.c.log_offset == sa.bindparam("log_offset", type_=sa.BigInteger)
)


def _first_since(tx: sa.Connection, book: str, at: Instant, *, head: int) -> int:
    """Return the offset of a book's first entry of an instant or later; offsets go with instants, which never go
    back."""
    low, high = 0, head
    while low < high:
        middle = (low + high) // 2
        found = tx.execute(_at, {"book": book, "log_offset": middle}).scalar()
        if found is not None and found < at:
            low = middle + 1
        else:
            high = middle
    return low


def _entries_of(tx: sa.Connection, order: Order) -> list[Logged]:
    """Return what a book's log says of an order, the newest first.

    No index leads from an order to its entries, of which every bid would pay for one: they are looked for in the time
    of the order, WINDOW from its beginning on and WINDOW before its end.
    """
    if order.added_at is None:
        return []
    head = book_log.read_head(tx, order.book)
    first = _first_since(tx, order.book, order.added_at, head=head)
    last = head if order.ended_at is None else _first_since(tx, order.book, order.ended_at + 1, head=head)
    found = book_log.find_entries(tx, order.book, order.order_id, first=first, last=min(first + WINDOW, last))
    later = max(first + WINDOW, last - WINDOW)
    if later < last:
        found += book_log.find_entries(tx, order.book, order.order_id, first=later, last=last)
    return found[::-1][:MOST_ENTRIES]
