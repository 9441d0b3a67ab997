"""`auction books`, `open` and `set`: the books of orders, and their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from marketplace.wire import auctions

NONE = "none"

Json = Annotated[bool, Parameter(negative="", help="A JSON document a line, for other programs.")]
Tick = Annotated[float | None, Parameter(name="--tick", help="Seconds from one batch to the next (2).")]
BatchSize = Annotated[int | None, Parameter(help="Orders in a batch at most (5).")]
Window = Annotated[float | None, Parameter(name="--window", help="Seconds that bids are waited for (5).")]
Fulfil = Annotated[float | None, Parameter(name="--fulfil", help="Seconds that a solver has to deliver (10).")]
Grace = Annotated[float | None, Parameter(name="--grace", help="Seconds after that in which it still may (2).")]
Bond = Annotated[str | None, Parameter(help="Credits that are held while a solver is committed, or none (none).")]
Escrow = Annotated[
    Literal["ledger", "claim"] | None, Parameter(help="Whether a deposit counts, or a solver's word (ledger).")
]


def books(*, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List the books and their settings."""
    with connect(url, key) as client:
        found = list(client.auction_books())
    if json:
        terminal.print_json(*found)
        return
    numbers = ("tick", "batch", "window", "fulfil", "grace", "bond")
    shown = terminal.table("book", *numbers, "escrow", right=numbers)
    for one in found:
        terminal.add_row(shown, *_cells(one))
    terminal.output().print(shown)


def open_(
    book: str,
    *,
    tick: Tick = None,
    batch_size: BatchSize = None,
    window: Window = None,
    fulfil: Fulfil = None,
    grace: Grace = None,
    bond: Bond = None,
    escrow: Escrow = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Open a book of orders.

    Parameters
    ----------
    book
        Its name.
    """
    given = _given(tick, batch_size, window, fulfil, grace, bond, escrow)
    with connect(url, key) as client:
        client.open_auction_book(book, **given)
    terminal.output().print(f"The book {book} is open.")


def set_(
    book: str,
    *,
    tick: Tick = None,
    batch_size: BatchSize = None,
    window: Window = None,
    fulfil: Fulfil = None,
    grace: Grace = None,
    bond: Bond = None,
    escrow: Escrow = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Change settings of a book; windows and commitments that have begun keep theirs.

    Parameters
    ----------
    book
        The book.
    """
    given = _given(tick, batch_size, window, fulfil, grace, bond, escrow)
    if not given:
        raise terminal.Stop("Say what to change, such as --tick 1.", exit_code=2)
    with connect(url, key) as client:
        changed = client.change_auction_book(book, **given)
    if json:
        terminal.print_json(changed)
    else:
        terminal.output().print(f"The book {book} is changed.")


def _given(
    tick: float | None,
    batch_size: int | None,
    window: float | None,
    fulfil: float | None,
    grace: float | None,
    bond: str | None,
    escrow: str | None,
) -> dict[str, Any]:
    """Return the settings that were given; a bond of `none` is one that is given."""
    named = {
        "tick_seconds": tick,
        "batch_size": batch_size,
        "bidding_window_seconds": window,
        "fulfil_seconds": fulfil,
        "grace_seconds": grace,
        "escrow": escrow,
    }
    found = {name: value for name, value in named.items() if value is not None}
    return found if bond is None else found | {"bond": None if bond == NONE else bond}


def _cells(one: auctions.AuctionBook) -> tuple[terminal.Cell, ...]:
    seconds = (one.bidding_window_seconds, one.fulfil_seconds, one.grace_seconds)
    bond = one.bond or NONE
    return one.book, f"{one.tick_seconds:g}", one.batch_size, *(f"{each:g}" for each in seconds), bond, one.escrow
