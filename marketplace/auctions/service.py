"""What the lane runs for auctions: which function runs which command, and the books themselves."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from msgspec import UNSET

from marketplace.auctions import bids, entries, errors, model, orders, sql, ticks
from marketplace.auctions.book import Journal, as_credits, known_books
from marketplace.auctions.model import BOUNDS, Book, OpenBook, SetBook
from marketplace.database import Apply, Log
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal


def handlers(*, starting_credits: int = 0) -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it.

    `starting_credits`, in micro-credits, are what a wallet opens with. Kinds of commands that change the same rows have
    functions of their own, so that what one has changed is written before the next one reads.
    """
    ordering = functools.partial(orders.apply, starting_credits=starting_credits)
    delivering = functools.partial(bids.apply_deliveries, starting_credits=starting_credits)
    return {
        **dict.fromkeys((OpenBook, SetBook), apply_books),
        **dict.fromkeys((model.PlaceOrder, model.CancelOrder), ordering),
        model.PlaceBid: bids.apply_bids,
        **dict.fromkeys((model.Deposit, model.Claim), delivering),
        model.Tick: functools.partial(ticks.apply_ticks, starting_credits=starting_credits),
    }


def apply_books(
    tx: sa.Connection, log: Log, commands: Sequence[OpenBook | SetBook], /, *, now: Instant
) -> list[Book | Refusal]:
    """Open books and change their settings. What has begun goes on as it began."""
    journal = Journal(tx, log)
    books = known_books(tx, log, {command.book for command in commands})
    changed: dict[str, Book] = {}
    outcomes: list[Book | Refusal] = []
    for command in commands:
        book = _opened(books, command, now=now) if isinstance(command, OpenBook) else _set(books, command)
        outcomes.append(book if isinstance(book, Refusal) else copy.copy(book))
        if not isinstance(book, Refusal) and book != books.get(book.book):
            books[book.book] = changed[book.book] = book
            journal.announce(_said(book, is_new=isinstance(command, OpenBook)))
    log.write_later([sql.put_books(list(changed.values()))])
    return outcomes


def _opened(books: dict[str, Book], command: OpenBook, *, now: Instant) -> Book | Refusal:
    if command.book in books:
        return errors.BookExists(command.book)
    settings = {name: getattr(command, name) for name in OpenBook.__struct_fields__}
    book = Book(**settings, batched_at=0, opened_at=now)
    return _out_of_bounds(book) or book


def _set(books: dict[str, Book], command: SetBook) -> Book | Refusal:
    book = books.get(command.book)
    if book is None:
        return errors.UnknownBook(command.book)
    given = {name: value for name in SetBook.__struct_fields__ if (value := getattr(command, name)) is not UNSET}
    changed = msgspec.structs.replace(book, **given)
    return _out_of_bounds(changed) or changed


def _out_of_bounds(book: Book) -> errors.BadBook | None:
    if not 1 <= len(book.book) <= 64:
        return errors.BadBook("A book's name has 1 to 64 characters.", field="book")
    for name, (least, most) in BOUNDS.items():
        value = getattr(book, name)
        if value is not None and not least <= value <= most:
            return errors.BadBook(f"{name} is from {least} to {most}, not {value}.", field=name)
    return None


def _said(book: Book, *, is_new: bool) -> entries.BookOpened:
    kind = entries.BookOpened if is_new else entries.BookSet
    return kind(
        book.book,
        book.tick_micros,
        book.batch_size,
        book.bidding_window_micros,
        book.fulfil_micros,
        book.grace_micros,
        as_credits(book.bond),
        book.escrow,
    )
