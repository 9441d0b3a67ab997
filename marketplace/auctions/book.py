"""What a batch has in its hands: the settings of books, and the entries that it adds to their logs.

Every entry goes into the log of its book, under the next offset, and into the lane's, in the same transaction: neither
has one that the other lacks.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from marketplace import ledger
from marketplace.auctions import entries, sql
from marketplace.auctions.model import Book, LogEntry, Order, SolverRecord
from marketplace.database import Log, bulk
from marketplace.foundation import money

MOST_KEPT = 20_000
"""Records that are kept in mind; there may be any number of names."""

_encode = msgspec.json.Encoder().encode


def known_books(tx: sa.Connection, log: Log, names: Iterable[str]) -> dict[str, Book]:
    """Return books by name; they are read again only if another process has written."""
    known: dict[str, Book] = log.kept("auctions.books")
    missing = set(names).difference(known)
    known.update((book.book, book) for book in (sql.read_books(tx, missing) if missing else ()))
    return known


def known_solvers(tx: sa.Connection, log: Log, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], SolverRecord]:
    """Return the records of solvers by (book, solver), a clean one for who has none; read again as books are.

    Whoever writes a record puts the new one in here.
    """
    known: dict[tuple[str, str], SolverRecord] = log.kept("auctions.solvers")
    if len(known) > MOST_KEPT:
        known.clear()
    missing = set(names).difference(known)
    if missing:
        found = sql.read_solvers(tx, missing)
        known.update((name, found.get(name) or SolverRecord(*name)) for name in missing)
    return known


class Journal:
    """Adds entries to the logs of books."""

    def __init__(self, tx: sa.Connection, log: Log) -> None:
        self._tx = tx
        self._log = log
        self._next: dict[str, int] = log.kept("auctions.offsets")
        self._entries: list[LogEntry] = []

    def next_offset(self, book: str) -> int:
        """Return the offset that the next entry of a book will have."""
        if book not in self._next:
            self._next[book] = sql.read_next_offset(self._tx, book)
        return self._next[book]

    def note(self, book: str, said: entries.BookEntry, order_id: int | None) -> int:
        """Append an entry to both logs and return its seq. Everybody may read it."""
        offset = self.next_offset(book)
        self._next[book] = offset + 1
        data = msgspec.Raw(_encode(said))
        subject = book if order_id is None else f"{book}/{order_id}"
        seq = self._append(said, subject, member=None, data=data)
        self._entries.append(LogEntry(book, offset, seq, self._log.at, order_id, type(said).__name__, data))
        return seq

    def tell(self, said: entries.OrderPlaced | entries.OrderWithdrawn, book: str) -> int:
        """Tell an order's owner, and nobody else."""
        return self._append(said, f"{book}/{said.order_id}", member=said.owner, data=said)

    def announce(self, said: entries.BookOpened) -> int:
        """Append what is about a book itself to the lane's log."""
        return self._append(said, said.book, member=None, data=said)

    def take_writes(self) -> bulk.Write:
        """Return the entries that are to be written."""
        entries, self._entries = self._entries, []
        return sql.insert_log(entries)

    def _append(self, said: msgspec.Struct, subject: str, *, member: str | None, data: object) -> int:
        kind = str(said.__struct_config__.tag)
        return self._log.append(topic=entries.TOPIC, kind=kind, subject=subject, member=member, data=data)


# ── amounts and accounts of an order ─────────────────────────────────────────────────────────────────────────────────


def as_input(order: Order, units: int) -> str:
    """Write an amount of what the order gives."""
    return money.format_amount(units, decimals=order.input_decimals)


def as_output(order: Order, units: int) -> str:
    """Write an amount of what the order wants."""
    return money.format_amount(units, decimals=order.output_decimals)


def as_credits(units: int | None) -> str | None:
    """Write a bond, if there is one."""
    return None if units is None else money.format_amount(units, decimals=ledger.CREDIT_DECIMALS)


def escrow_of(order: Order) -> ledger.AccountKey:
    """Name the account that a budget is held for until it is known whose it is."""
    return ledger.escrow(f"auctions/{order.book}", asset=order.input_asset)


def input_wallet(order: Order, username: str) -> ledger.AccountKey:
    """Name a member's wallet of what the order gives."""
    return ledger.wallet(username, asset=order.input_asset)


def output_wallet(order: Order, username: str) -> ledger.AccountKey:
    """Name a member's wallet of what the order wants."""
    return ledger.wallet(username, asset=order.output_asset)
