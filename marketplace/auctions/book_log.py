"""Reading the books' logs: functions of a read-only `tx`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.auctions import errors
from marketplace.auctions.tables import auction_books, auction_log
from marketplace.foundation import clock

_COLUMNS = [
    auction_log.c.book,
    auction_log.c.log_offset,
    auction_log.c.seq,
    auction_log.c.at,
    auction_log.c.order_id,
    auction_log.c.kind,
    auction_log.c.data,
]
_book = sa.bindparam("book", type_=sa.Text)
_last = (
    sa.select(auction_log.c.log_offset)
    .where(auction_log.c.book == _book)
    .order_by(auction_log.c.log_offset.desc())
    .limit(1)
    .scalar_subquery()
)
_read_head = sa.select(sa.func.coalesce(_last, -1) + 1).where(auction_books.c.book == _book)
_read_entries = (
    sa.select(*_COLUMNS)
    .where(auction_log.c.book == _book, auction_log.c.log_offset >= sa.bindparam("first", type_=sa.BigInteger))
    .order_by(auction_log.c.log_offset)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)

_find_entries = _read_entries.where(
    auction_log.c.log_offset < sa.bindparam("last", type_=sa.BigInteger),
    auction_log.c.order_id == sa.bindparam("order_id", type_=sa.BigInteger),
)


class Logged(msgspec.Struct, frozen=True):
    """An entry of a book's log. `seq` is its offset; `json` all of it as the API writes it, made once for all."""

    seq: int
    order_id: int | None
    kind: str
    data: str
    json: bytes


class _Written(msgspec.Struct, frozen=True):
    """What `wire.auctions.Entry` reads, its data as it is stored."""

    book: str
    offset: int
    seq: int
    at: Any
    order_id: int | None
    kind: str
    data: msgspec.Raw


_encode = msgspec.json.Encoder().encode


def read_head(tx: sa.Connection, book: str) -> int:
    """Return the offset that a book's next entry will have. A single statement. Raises UnknownBook."""
    head = tx.execute(_read_head, {"book": book}).scalar()
    if head is None:
        raise errors.UnknownBook(book)
    return int(head)


def read_entries(tx: sa.Connection, book: str, *, first: int, limit: int) -> list[Logged]:
    """Return a book's entries from an offset on. A single statement."""
    return [_logged(row) for row in tx.execute(_read_entries, {"book": book, "first": first, "limit": limit})]


def find_entries(tx: sa.Connection, book: str, order_id: int, *, first: int, last: int) -> list[Logged]:
    """Return what is about an order among the entries from one offset to before another. A single statement, which
    looks at all of these."""
    bound = {"book": book, "order_id": order_id, "first": first, "last": last, "limit": max(last - first, 0)}
    return [_logged(row) for row in tx.execute(_find_entries, bound)]


def read_page(tx: sa.Connection, book: str, *, first: int, limit: int) -> tuple[int, list[Logged]]:
    """Return a book's head, and its entries from an offset on. Run it in a snapshot. Raises UnknownBook."""
    return read_head(tx, book), read_entries(tx, book, first=first, limit=limit)


def _logged(row: Sequence[Any]) -> Logged:
    book, offset, seq, at, order_id, kind, data = row
    written = _Written(book, offset, seq, clock.to_datetime(at), order_id, kind, msgspec.Raw(data.encode()))
    return Logged(offset, order_id, kind, data, _encode(written))
