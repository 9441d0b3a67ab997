"""The book drawn as a ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from marketplace.cli import terminal

if TYPE_CHECKING:
    from marketplace.wire import hours

BAR_CELLS = 30


def draw(book: hours.Book, *, bar: str = "█") -> RenderableType:
    """Draw supplies above and bids below, the best of each next to the middle.

    A bar's length is its level's share of the largest level shown; no level is without one.
    """
    title = Text(f"Market {book.market}, as of seq {book.seq}", style="bold")
    if not book.bids and not book.supplies:
        return Group(title, Text("The book is empty."))
    columns = ("", "price", "volume", "cumulative", "offers")
    shown = terminal.table(*columns, "size", right=columns[1:])
    largest = max(level.volume for level in (*book.bids, *book.supplies))
    for level in reversed(book.supplies):
        _add(shown, "supply", level, largest, bar=bar, style="red")
    terminal.add_row(shown, Text(_middle(book), style="dim"), "", "", "", "")
    for level in book.bids:
        _add(shown, "bid", level, largest, bar=bar, style="green")
    return Group(title, shown)


def _add(to: Table, side: str, level: hours.Level, largest: int, *, bar: str, style: str) -> None:
    cells = max(1, round(BAR_CELLS * level.volume / largest))
    figures = (level.price, level.volume, level.cumulative_volume, level.count)
    terminal.add_row(to, Text(side, style=style), *figures, Text(bar * cells, style=style))


def _middle(book: hours.Book) -> str:
    if not book.bids:
        return "no bids"
    if not book.supplies:
        return "no supply"
    return f"spread {book.supplies[0].price - book.bids[0].price}"
