"""Every statement by which auctions decide: what a batch reads, and what it writes.

Bids and deposits of many orders are read as one JSON text an order: each order is then looked up by itself, by its key,
whatever the planner believes of the tables' sizes, and a hundred thousand bids are ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from marketplace.auctions.model import Batch, Book, Commitment, DepositRow, LogEntry, Order, SolverBid, SolverRecord
from marketplace.auctions.tables import (
    auction_batches,
    auction_bids,
    auction_books,
    auction_commitments,
    auction_deposits,
    auction_descriptions,
    auction_log,
    auction_orders,
    auction_solvers,
)
from marketplace.database import bulk
from marketplace.foundation.clock import Instant

ORDER_COLUMNS = list(auction_orders.c)
"""Those of an Order without its description and payload."""
BID_COLUMNS = [auction_bids.c[name] for name in SolverBid.__struct_fields__]
COMMITMENT_COLUMNS = [auction_commitments.c[name] for name in Commitment.__struct_fields__]
BOOK_COLUMNS = [auction_books.c[name] for name in Book.__struct_fields__]
SOLVER_COLUMNS = [auction_solvers.c[name] for name in SolverRecord.__struct_fields__]
DEPOSIT_COLUMNS = [auction_deposits.c[name] for name in DepositRow.__struct_fields__]
BATCH_COLUMNS = [auction_batches.c[name] for name in Batch.__struct_fields__]

Key = tuple[str, int]
"""A book, and the id of something in it."""
Record = TypeVar("Record", Book, Order, Commitment, SolverBid, SolverRecord, DepositRow)

_book, _limit = sa.bindparam("book", type_=sa.Text), sa.bindparam("limit", type_=sa.Integer)
_now = sa.bindparam("now", type_=sa.BigInteger)
# Written into the statement and not sent as a parameter, so that a prepared statement's plan may use a partial index.
_live: sa.ColumnElement[str] = sa.literal_column("'live'")


class BidOfText(SolverBid, array_like=True, gc=False):
    """A bid as it is read with all others of its order."""


class DepositOfText(DepositRow, frozen=True, array_like=True):
    """A deposit as it is read with all others of its commitment."""


_read_bids = msgspec.json.Decoder(list[BidOfText]).decode
_read_deposits = msgspec.json.Decoder(list[DepositOfText]).decode

# ── reads by key ─────────────────────────────────────────────────────────────────────────────────────────────────────

_find_books = bulk.find_in(auction_books, {"book": "book"}, BOOK_COLUMNS)
_find_orders = bulk.find_in(auction_orders, {"order_id": "order_id"}, ORDER_COLUMNS)
_find_descriptions = bulk.find_in(
    auction_descriptions,
    {"book": "book", "order_id": "order_id"},
    [auction_descriptions.c[name] for name in ("order_id", "description", "payload")],
)
_find_bids = bulk.find_in(auction_bids, {"book": "book", "order_id": "order_id", "solver": "solver"}, BID_COLUMNS)
_find_solvers = bulk.find_in(auction_solvers, {"book": "book", "solver": "solver"}, SOLVER_COLUMNS)
_find_deposits = bulk.find_in(
    auction_deposits,
    {"book": "book", "commitment_id": "commitment_id", "reference": "reference"},
    DEPOSIT_COLUMNS,
)


def _find_live() -> bulk.Bulk:
    """Look up the one live commitment of an order."""

    def condition(rows: sa.FromClause) -> sa.ColumnElement[bool]:
        commitments = auction_commitments.c
        return sa.and_(
            commitments.book == rows.c.book, commitments.order_id == rows.c.order_id, commitments.state == _live
        )

    def join(rows: sa.FromClause) -> Any:
        return sa.select(*COMMITMENT_COLUMNS).select_from(rows).join(auction_commitments, condition(rows))

    def look_up(rows: sa.FromClause) -> Any:
        found = sa.select(*COMMITMENT_COLUMNS).where(condition(rows)).limit(1).lateral("found")
        return sa.select(*found.c).select_from(rows).join(found, sa.true())

    columns = {name: auction_commitments.c[name].type for name in ("book", "order_id")}
    return bulk.Bulk(columns, {"postgresql": look_up, "sqlite": join})


def _find_past() -> bulk.Bulk:
    """Look up, of all commitments that a solver has had on an order, deposits with a reference."""
    commitments, deposits = auction_commitments.c, auction_deposits.c
    columns = [*DEPOSIT_COLUMNS, *COMMITMENT_COLUMNS]
    together = auction_commitments.join(auction_deposits)

    def condition(rows: sa.FromClause) -> sa.ColumnElement[bool]:
        return sa.and_(
            commitments.book == rows.c.book,
            commitments.order_id == rows.c.order_id,
            commitments.solver == rows.c.solver,
            deposits.reference == rows.c.reference,
        )

    def join(rows: sa.FromClause) -> Any:
        return sa.select(*columns).select_from(rows.join(together, condition(rows)))

    def look_up(rows: sa.FromClause) -> Any:
        newest = sa.select(*(column.label(f"of_{place}") for place, column in enumerate(columns)))
        found = (
            newest.select_from(together)
            .where(condition(rows))
            .order_by(commitments.commitment_id.desc())
            .limit(1)
            .lateral("found")
        )
        return sa.select(*found.c).select_from(rows).join(found, sa.true())

    given = {name: commitments[name].type for name in ("book", "order_id", "solver")} | {"reference": sa.Text()}
    return bulk.Bulk(given, {"postgresql": look_up, "sqlite": join})


def _gather(table: sa.Table, columns: Sequence[sa.Column[Any]], key: str, *where: sa.ColumnElement[bool]) -> bulk.Bulk:
    """Read, for each given key, all rows that have it, as one JSON list of lists."""

    def build_for(array: Any, aggregate: Any) -> bulk.Build:
        def build(rows: sa.FromClause) -> Any:
            is_of = (table.c.book == rows.c.book, table.c[key] == rows.c[key])
            all_of_it = sa.select(aggregate(array(*columns))).where(*is_of, *where).scalar_subquery()
            return sa.select(rows.c[key], sa.cast(all_of_it, sa.Text).label("found"))

        return build

    given = {name: table.c[name].type for name in ("book", key)}
    return bulk.Bulk(
        given,
        {
            "postgresql": build_for(sa.func.json_build_array, sa.func.json_agg),
            "sqlite": build_for(sa.func.json_array, sa.func.json_group_array),
        },
    )


_find_live_commitments = _find_live()
_find_past_deposits = _find_past()
_gather_bids = _gather(auction_bids, BID_COLUMNS, "order_id", auction_bids.c.state == _live)
_gather_deposits = _gather(auction_deposits, DEPOSIT_COLUMNS, "commitment_id")


def _rows(keys: Iterable[Key], name: str) -> list[dict[str, Any]]:
    return [{"book": book, name: number} for book, number in sorted(set(keys))]


def read_books(tx: sa.Connection, names: Iterable[str]) -> list[Book]:
    """Return those of the named books that there are."""
    return [Book(*row) for row in _find_books.fetch(tx, [{"book": name} for name in sorted(names)])]


def read_orders(tx: sa.Connection, ids: Iterable[int]) -> dict[int, Order]:
    """Return orders by their ids, without description and payload."""
    given = [{"order_id": one} for one in sorted(set(ids))]
    return {order.order_id: order for order in (Order(*row) for row in _find_orders.fetch(tx, given))}


def read_descriptions(tx: sa.Connection, orders: Iterable[Order]) -> None:
    """Fill in the description and payload of orders."""
    by_id = {order.order_id: order for order in orders}
    found = _find_descriptions.fetch(tx, _rows(((one.book, one.order_id) for one in by_id.values()), "order_id"))
    for order_id, description, payload in found:
        by_id[order_id].description, by_id[order_id].payload = description, payload


def read_bids(tx: sa.Connection, keys: Iterable[tuple[str, int, str]]) -> dict[tuple[int, str], SolverBid]:
    """Return bids by (order_id, solver), asked for with their book."""
    given = [{"book": book, "order_id": number, "solver": solver} for book, number, solver in sorted(set(keys))]
    return {(bid.order_id, bid.solver): bid for bid in (SolverBid(*row) for row in _find_bids.fetch(tx, given))}


def read_bids_of(tx: sa.Connection, orders: Iterable[Key]) -> dict[int, Sequence[SolverBid]]:
    """Return all live bids of orders, by order."""
    found = _gather_bids.fetch(tx, _rows(orders, "order_id"))
    return {order_id: _read_bids(text) for order_id, text in found if text}


def read_solvers(tx: sa.Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], SolverRecord]:
    """Return the records of solvers by (book, solver), those that there are."""
    given = [{"book": book, "solver": solver} for book, solver in sorted(set(keys))]
    return {(one.book, one.solver): one for one in (SolverRecord(*row) for row in _find_solvers.fetch(tx, given))}


def read_live_commitments(tx: sa.Connection, orders: Iterable[Key]) -> dict[int, Commitment]:
    """Return the live commitments of orders, by order."""
    found = (Commitment(*row) for row in _find_live_commitments.fetch(tx, _rows(orders, "order_id")))
    return {one.order_id: one for one in found}


def read_deposits(tx: sa.Connection, keys: Iterable[tuple[str, int, str]]) -> dict[tuple[int, str], DepositRow]:
    """Return deposits by (commitment_id, reference), asked for with their book."""
    given = [{"book": book, "commitment_id": one, "reference": name} for book, one, name in sorted(set(keys))]
    found = (DepositRow(*row) for row in _find_deposits.fetch(tx, given))
    return {(one.commitment_id, one.reference or ""): one for one in found}


def read_past_deposits(
    tx: sa.Connection, keys: Iterable[tuple[str, int, str, str]]
) -> dict[tuple[int, str, str], tuple[DepositRow, Commitment]]:
    """Return deposits by (order_id, solver, reference), asked for with their book, of any commitment: the newest."""
    names = ("book", "order_id", "solver", "reference")
    rows = _find_past_deposits.fetch(tx, [dict(zip(names, key, strict=True)) for key in sorted(set(keys))])
    found = {}
    for row in sorted(rows, key=lambda row: int(row[1])):  # by the commitment
        deposit = DepositRow(*row[: len(DEPOSIT_COLUMNS)])
        commitment = Commitment(*row[len(DEPOSIT_COLUMNS) :])
        found[commitment.order_id, commitment.solver, deposit.reference or ""] = deposit, commitment
    return found


def read_deposits_of(tx: sa.Connection, commitments: Iterable[Key]) -> dict[int, Sequence[DepositRow]]:
    """Return all deposits of commitments, by commitment."""
    found = _gather_deposits.fetch(tx, _rows(commitments, "commitment_id"))
    return {commitment_id: _read_deposits(text) for commitment_id, text in found if text}


# ── what is due ──────────────────────────────────────────────────────────────────────────────────────────────────────

_orders, _commitments = auction_orders.c, auction_commitments.c
_find_due = (
    sa.select(*COMMITMENT_COLUMNS)
    .where(_commitments.book == _book, _commitments.state == _live, _commitments.due_at <= _now)
    .order_by(_commitments.due_at, _commitments.commitment_id)
    .limit(_limit)
)
_find_expiring = (
    sa.select(*ORDER_COLUMNS)
    .where(_orders.book == _book, sa.text("auction_orders.state IN ('pending', 'open')"))
    .where(_orders.expires_at <= _now)
    .order_by(_orders.expires_at, _orders.order_id)
    .limit(_limit)
)
_find_closing = (
    sa.select(*ORDER_COLUMNS)
    .where(_orders.book == _book, _orders.closes_at <= _now)
    .order_by(_orders.closes_at, _orders.order_id)
    .limit(_limit)
)
_find_pending = (
    sa.select(*ORDER_COLUMNS)
    .where(_orders.book == _book, _orders.state == sa.literal_column("'pending'"))
    .where(sa.or_(_orders.expires_at.is_(None), _orders.expires_at > _now))
    .order_by(_orders.order_id)
    .limit(_limit)
)
_find_blocked = (
    sa.select(auction_solvers.c.solver)
    .where(auction_solvers.c.book == _book, auction_solvers.c.blocked_until > _now)
    .order_by(auction_solvers.c.blocked_until, auction_solvers.c.solver)
)
_find_last_offset = (
    sa.select(auction_log.c.log_offset)
    .where(auction_log.c.book == _book)
    .order_by(auction_log.c.log_offset.desc())
    .limit(1)
)
_find_batch = sa.select(*BATCH_COLUMNS).where(
    auction_batches.c.book == _book,
    auction_batches.c.sequencer == sa.bindparam("sequencer"),
    auction_batches.c.batch_number == sa.bindparam("batch_number", type_=sa.BigInteger),
)
_find_last_batch = (
    sa.select(auction_batches.c.batch_number)
    .where(auction_batches.c.book == _book, auction_batches.c.sequencer == sa.bindparam("sequencer"))
    .order_by(auction_batches.c.batch_number.desc())
    .limit(1)
)


def read_due(tx: sa.Connection, book: str, *, now: Instant, limit: int) -> list[Commitment]:
    """Return live commitments that a tick has to look at, the longest due first."""
    return [Commitment(*row) for row in tx.execute(_find_due, {"book": book, "now": now, "limit": limit})]


def read_expiring(tx: sa.Connection, book: str, *, now: Instant, limit: int) -> list[Order]:
    """Return orders that no solver is committed to and whose time is over, the longest overdue first."""
    return [Order(*row) for row in tx.execute(_find_expiring, {"book": book, "now": now, "limit": limit})]


def read_closing(tx: sa.Connection, book: str, *, now: Instant, limit: int) -> list[Order]:
    """Return open orders whose window is over, the longest over first."""
    return [Order(*row) for row in tx.execute(_find_closing, {"book": book, "now": now, "limit": limit})]


def read_pending(tx: sa.Connection, book: str, *, now: Instant, limit: int) -> list[Order]:
    """Return orders that wait for a batch, first come first, without those that expire."""
    return [Order(*row) for row in tx.execute(_find_pending, {"book": book, "now": now, "limit": limit})]


def read_blocked(tx: sa.Connection, book: str, *, now: Instant) -> set[str]:
    """Return the solvers that are blocked."""
    return set(tx.execute(_find_blocked, {"book": book, "now": now}).scalars())


def read_next_offset(tx: sa.Connection, book: str) -> int:
    """Return the offset that the next entry of a book's log has."""
    last = tx.execute(_find_last_offset, {"book": book}).scalar()
    return 0 if last is None else last + 1


def read_batch(tx: sa.Connection, book: str, sequencer: str, batch_number: int) -> Batch | None:
    """Return a sequencer's batch by its number."""
    row = tx.execute(_find_batch, {"book": book, "sequencer": sequencer, "batch_number": batch_number}).first()
    return Batch(*row) if row else None


def read_next_batch_number(tx: sa.Connection, book: str, sequencer: str) -> int:
    """Return the number after the last batch of a sequencer, from 1."""
    last = tx.execute(_find_last_batch, {"book": book, "sequencer": sequencer}).scalar()
    return 1 if last is None else last + 1


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_put_books = bulk.put_into(
    auction_books,
    *Book.__struct_fields__,
    changing=[*(name for name in Book.__struct_fields__ if name not in ("book", "opened_at"))],
)
_put_orders = bulk.put_into(
    auction_orders,
    *auction_orders.c.keys(),
    changing=["state", "round", "bids", "added_at", "closes_at", "ended_at", "ranking"],
)
_insert_descriptions = bulk.insert_into(auction_descriptions, *auction_descriptions.c.keys())
_put_bids = bulk.put_into(
    auction_bids,
    *SolverBid.__struct_fields__,
    changing=["bid_id", "max_input", "conversion_rate", "min_output", "valid_till", "state", "placed_at"],
)
_insert_commitments = bulk.insert_into(auction_commitments, *Commitment.__struct_fields__)
_put_commitments = bulk.put_into(
    auction_commitments,
    *Commitment.__struct_fields__,
    changing=["due_at", "claimed_at", "state", "slashed", "ended_at"],
)
_insert_deposits = bulk.insert_into(auction_deposits, *DepositRow.__struct_fields__)
_insert_batches = bulk.insert_into(auction_batches, *Batch.__struct_fields__)
_insert_log = bulk.insert_into(auction_log, *LogEntry.__struct_fields__, apart="data")
_put_solvers = bulk.put_into(
    auction_solvers, *SolverRecord.__struct_fields__, changing=list(SolverRecord.__struct_fields__[2:])
)


def put_books(books: Sequence[Book]) -> bulk.Write:
    return _put_books, books


def put_orders(orders: Sequence[Order]) -> bulk.Write:
    return _put_orders, orders


def insert_descriptions(orders: Sequence[Order]) -> bulk.Write:
    """Write what new orders say in words."""
    return _insert_descriptions, orders


def put_bids(bids: Sequence[SolverBid]) -> bulk.Write:
    return _put_bids, bids


def insert_commitments(commitments: Sequence[Commitment]) -> bulk.Write:
    return _insert_commitments, commitments


def put_commitments(commitments: Sequence[Commitment]) -> bulk.Write:
    """Write how commitments go on and end; what was deposited is counted by the database."""
    return _put_commitments, commitments


def insert_deposits(deposits: Sequence[DepositRow]) -> bulk.Write:
    return _insert_deposits, deposits


def insert_batches(batches: Sequence[Batch]) -> bulk.Write:
    return _insert_batches, batches


def insert_log(entries: Sequence[LogEntry]) -> bulk.Write:
    return _insert_log, entries


def put_solvers(records: Sequence[SolverRecord]) -> bulk.Write:
    return _put_solvers, records
