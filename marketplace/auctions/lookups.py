"""What can be asked of auctions: functions of a read-only `tx`, run by `database.read` or `read_one`.

Lists are keyset pages by id, oldest first, or by name. An order that waits for its batch is nobody's but its owner's to
see; a bid is its solver's alone until its round is selected.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa

from marketplace.auctions import errors
from marketplace.auctions.model import Book, Commitment, CommitmentState, Order, OrderState, SolverBid, SolverRecord
from marketplace.auctions.tables import (
    auction_bids,
    auction_books,
    auction_commitments,
    auction_descriptions,
    auction_orders,
    auction_solvers,
)
from marketplace.foundation.clock import Instant

Row = TypeVar("Row", bound=msgspec.Struct)


def _columns(struct: type[msgspec.Struct], *tables: sa.Table) -> list[sa.Column[Any]]:
    """Return the column for each field of a struct, from the first table that has one of that name."""
    return [next(table.c[name] for table in tables if name in table.c) for name in struct.__struct_fields__]


def _all(tx: sa.Connection, struct: type[Row], statement: sa.Select[Any], **bound: Any) -> list[Row]:
    return [struct(*row) for row in tx.execute(statement, bound)]


def literal(word: str) -> sa.ColumnElement[str]:
    """Write one of our own words into a statement, so that a plan knows which partial index it may use."""
    assert word.isalpha(), "a state is one of ours"
    return sa.literal_column(f"'{word}'", sa.Text)


_limit = sa.bindparam("limit", type_=sa.Integer)

# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_books = sa.select(*_columns(Book, auction_books)).order_by(auction_books.c.book)
_find_book = _books.where(auction_books.c.book == sa.bindparam("book"))


def find_book(tx: sa.Connection, book: str) -> Book:
    """Return a book. A single statement. Raises UnknownBook."""
    found = _all(tx, Book, _find_book, book=book)
    if not found:
        raise errors.UnknownBook(book)
    return found[0]


def list_books(tx: sa.Connection, *, after: str | None, limit: int) -> list[Book]:
    """Return books by name. A single statement."""
    query = _books.limit(_limit)
    return _all(tx, Book, query if after is None else query.where(auction_books.c.book > after), limit=limit)


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SELECT_ORDERS = (
    sa.select(*_columns(Order, auction_orders, auction_descriptions))
    .join(
        auction_descriptions,
        sa.and_(
            auction_descriptions.c.book == auction_orders.c.book,
            auction_descriptions.c.order_id == auction_orders.c.order_id,
        ),
    )
    .order_by(auction_orders.c.order_id)
)
_find_order = SELECT_ORDERS.where(auction_orders.c.order_id == sa.bindparam("order_id"))


class Wanted(NamedTuple):
    """Which orders are asked for. `seen_by` is a member who sees of those that wait for a batch only its own."""

    book: str | None = None
    owner: str | None = None
    state: OrderState | None = None
    seen_by: str | None = None


def find_order(tx: sa.Connection, order_id: int) -> Order:
    """Return an order. A single statement. Raises UnknownOrder."""
    found = _all(tx, Order, _find_order, order_id=order_id)
    if not found:
        raise errors.UnknownOrder(order_id)
    return found[0]


def find_seen_order(tx: sa.Connection, order_id: int, *, seen_by: str | None) -> Order:
    """Return an order, if it is there for a member; with None for anybody. A single statement. Raises UnknownOrder."""
    order = find_order(tx, order_id)
    if order.added_at is None and seen_by not in (None, order.owner):
        raise errors.UnknownOrder(order_id)
    return order


def list_orders(tx: sa.Connection, wanted: Wanted, *, after: int | None, limit: int) -> list[Order]:
    """Return orders from the oldest on. A single statement."""
    query, columns = SELECT_ORDERS.limit(_limit), auction_orders.c
    if wanted.book is not None:
        query = query.where(columns.book == wanted.book)
    if wanted.owner is not None:
        query = query.where(columns.owner == wanted.owner)
    if wanted.state is not None:
        query = query.where(columns.state == literal(wanted.state))
    if wanted.seen_by is not None:
        query = query.where(sa.or_(columns.added_at.is_not(None), columns.owner == wanted.seen_by))
    if after is not None:
        query = query.where(columns.order_id > after)
    return _all(tx, Order, query, limit=limit)


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_bids = (
    sa.select(*_columns(SolverBid, auction_bids))
    .where(auction_bids.c.book == sa.bindparam("book"), auction_bids.c.order_id == sa.bindparam("order_id"))
    .order_by(auction_bids.c.solver)
    .limit(_limit)
)
_of_order = (
    auction_commitments.c.book == sa.bindparam("book"),
    auction_commitments.c.order_id == sa.bindparam("order_id"),
)
_last_round = sa.select(sa.func.max(auction_commitments.c.round)).where(*_of_order).scalar_subquery()
# A round's selection shows the bids that came before it, and its first commitment is made at once.
_shown_until = (
    sa.select(sa.func.min(auction_commitments.c.commitment_id))
    .where(*_of_order, auction_commitments.c.round == _last_round)
    .scalar_subquery()
)


def list_bids(
    tx: sa.Connection, order: Order, *, seen_by: str | None, after: str | None, limit: int
) -> list[SolverBid]:
    """Return the bids on an order that a member may see, its own and those of rounds that are selected; with None all.

    By solver. A single statement.
    """
    query = _bids
    if seen_by is not None:
        query = query.where(sa.or_(auction_bids.c.solver == seen_by, auction_bids.c.bid_id < _shown_until))
    if after is not None:
        query = query.where(auction_bids.c.solver > after)
    return _all(tx, SolverBid, query, book=order.book, order_id=order.order_id, limit=limit)


# ── commitments ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Promised(NamedTuple):
    """A commitment with what its amounts are amounts of."""

    commitment: Commitment
    input_asset: str
    input_decimals: int
    output_asset: str
    output_decimals: int


_commitment_columns = _columns(Commitment, auction_commitments)
SELECT_COMMITMENTS = (
    sa.select(
        *_commitment_columns,
        auction_orders.c.input_asset,
        auction_orders.c.input_decimals,
        auction_orders.c.output_asset,
        auction_orders.c.output_decimals,
    )
    .join(
        auction_orders,
        sa.and_(
            auction_orders.c.book == auction_commitments.c.book,
            auction_orders.c.order_id == auction_commitments.c.order_id,
        ),
    )
    .order_by(auction_commitments.c.commitment_id)
)


_find_commitment = SELECT_COMMITMENTS.where(
    auction_commitments.c.book == sa.bindparam("book"),
    auction_commitments.c.commitment_id == sa.bindparam("commitment_id"),
)


class WantedCommitments(NamedTuple):
    """Which commitments are asked for."""

    book: str
    order_id: int | None = None
    solver: str | None = None
    state: CommitmentState | None = None


def find_commitment(tx: sa.Connection, book: str, commitment_id: int) -> Promised:
    """Return a commitment. A single statement. Raises NoSuchCommitment."""
    row = tx.execute(_find_commitment, {"book": book, "commitment_id": commitment_id}).first()
    if row is None:
        raise errors.NoSuchCommitment(book, commitment_id)
    return to_promised(row)


def list_commitments(tx: sa.Connection, wanted: WantedCommitments, *, after: int | None, limit: int) -> list[Promised]:
    """Return a book's commitments from the oldest on. A single statement."""
    query, columns = SELECT_COMMITMENTS.limit(_limit), auction_commitments.c
    for name, value in wanted._asdict().items():
        if value is not None:
            query = query.where(columns[name] == (literal(value) if name == "state" else value))
    if after is not None:
        query = query.where(columns.commitment_id > after)
    return [to_promised(row) for row in tx.execute(query, {"limit": limit})]


def to_promised(row: Any) -> Promised:
    """Make it of a row of SELECT_COMMITMENTS."""
    count = len(_commitment_columns)
    return Promised(Commitment(*row[:count]), *row[count:])


# ── solvers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_solvers = sa.select(*_columns(SolverRecord, auction_solvers)).order_by(auction_solvers.c.solver)
_of_book = _solvers.where(auction_solvers.c.book == sa.bindparam("book"))


def find_solver(tx: sa.Connection, book: str, solver: str) -> SolverRecord:
    """Return how a solver has kept its word in a book. A single statement. Raises UnknownSolver."""
    found = _all(tx, SolverRecord, _of_book.where(auction_solvers.c.solver == solver), book=book)
    if not found:
        raise errors.UnknownSolver(book, solver)
    return found[0]


def list_solvers(tx: sa.Connection, book: str, *, after: str | None, limit: int) -> list[SolverRecord]:
    """Return the solvers of a book that were committed there, by name. Raises UnknownBook."""
    find_book(tx, book)
    query = _of_book.limit(_limit)
    query = query if after is None else query.where(auction_solvers.c.solver > after)
    return _all(tx, SolverRecord, query, book=book, limit=limit)


# ── how the books stand ──────────────────────────────────────────────────────────────────────────────────────────────


class Standing(NamedTuple):
    """Orders of a book that wait for something, and its commitments that have ended.

    `due_at` is when the first of them that a tick has to look at became due, or will; None where there is none.
    """

    book: str
    pending: int
    bidding: int
    committed: int
    filled: int
    failed: int
    due_at: Instant | None


def _count(table: sa.Table, *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    """Count rows of a book; each condition is that of a partial index."""
    query = sa.select(sa.func.count()).select_from(table).where(table.c.book == auction_books.c.book, *where)
    return query.correlate(auction_books).scalar_subquery()


def _first(column: sa.Column[Any], *where: sa.ColumnElement[bool] | sa.TextClause) -> sa.ScalarSelect[Any]:
    """Return the first instant of a book; each condition is that of a partial index."""
    query = sa.select(sa.func.min(column)).where(column.table.c.book == auction_books.c.book, *where)
    return query.correlate(auction_books).scalar_subquery()


def _sum(name: str) -> sa.ScalarSelect[Any]:
    query = sa.select(sa.func.coalesce(sa.func.sum(auction_solvers.c[name]), 0))
    return query.where(auction_solvers.c.book == auction_books.c.book).correlate(auction_books).scalar_subquery()


_standings = (
    sa.select(
        auction_books.c.book,
        _count(auction_orders, auction_orders.c.state == literal("pending")),
        _count(auction_orders, auction_orders.c.closes_at.is_not(None)),
        _count(auction_commitments, auction_commitments.c.state == literal("live")),
        _sum("filled"),
        _sum("failed"),
        _first(auction_commitments.c.due_at, auction_commitments.c.state == literal("live")),
        _first(auction_orders.c.closes_at, auction_orders.c.closes_at.is_not(None)),
        _first(
            auction_orders.c.expires_at,
            sa.text("auction_orders.state IN ('pending', 'open')"),
            auction_orders.c.expires_at.is_not(None),
        ),
    )
    .order_by(auction_books.c.book)
    .limit(_limit)
)
_find_standing = _standings.where(auction_books.c.book == sa.bindparam("book"))


def read_standings(tx: sa.Connection, *, limit: int) -> list[Standing]:
    """Return how each book stands, by name. A single statement."""
    return [_standing(row) for row in tx.execute(_standings, {"limit": limit})]


def find_standing(tx: sa.Connection, book: str) -> Standing:
    """Return how a book stands. A single statement. Raises UnknownBook."""
    row = tx.execute(_find_standing, {"book": book, "limit": 1}).first()
    if row is None:
        raise errors.UnknownBook(book)
    return _standing(row)


def _standing(row: Any) -> Standing:
    return Standing._make([row[0], *map(int, row[1:6]), min(filter(None, row[6:]), default=None)])
