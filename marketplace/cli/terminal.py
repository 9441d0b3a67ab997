"""What the commands print on, and how they end early.

Output is for people at a terminal and readable in a pipe: no colour codes there, and lines wide enough for a table.
Nothing that a user named is taken for markup.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from msgspec import Struct

PIPE_COLUMNS = 1000
"""So wide that no line of a table is broken; a pipe has no edge."""

LARGEST_PAGE = 1000
"""The largest that every list of the server gives out."""

Cell = str | int | Text | None

Row = TypeVar("Row", bound="Struct")


class Stop(Exception):
    """End the command with one sentence on standard error. 1: it did not work; 2: it was asked for wrongly."""

    def __init__(self, sentence: str, *, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit_code = exit_code


def output(*, is_error: bool = False, pipe_columns: int = PIPE_COLUMNS) -> Console:
    """Return the console for standard output or standard error as they are now."""
    stream = sys.stderr if is_error else sys.stdout
    has_width = stream.isatty() or "COLUMNS" in os.environ
    width = None if has_width else pipe_columns
    return Console(stderr=is_error, width=width, markup=False, highlight=False, emoji=False)


def table(*columns: str, title: str | None = None, right: Sequence[str] = ()) -> Table:
    """Return an empty table; the columns named in `right` hold numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False, box=None)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


def add_row(to: Table, *cells: Cell, style: str | None = None) -> None:
    """Add a row; None is shown as a dash."""
    to.add_row(*(cell if isinstance(cell, Text) else "–" if cell is None else str(cell) for cell in cells), style=style)


def print_json(*rows: Struct) -> None:
    """Print a JSON document a line, for other programs."""
    import msgspec

    for row in rows:
        output().out(msgspec.json.encode(row).decode(), highlight=False)


def print_first(
    limit: int, listing: Callable[[int], Iterable[Row]], show: Callable[[list[Row]], None], *, as_json: bool = False
) -> None:
    """Print the first rows of a list by `show`, or as JSON, and say on standard error if there are more.

    `listing` takes the size of the pages to ask for: one row more than is printed tells that there are more.
    """
    found = list(itertools.islice(listing(min(max(limit, 0) + 1, LARGEST_PAGE)), max(limit, 0) + 1))
    rows = found[: max(limit, 0)]
    if as_json:
        print_json(*rows)
    else:
        show(rows)
    if len(found) > len(rows):
        say_there_is_more()


def say_there_is_more() -> None:
    """Say on standard error that a list was cut: what is read by a program stays whole."""
    output(is_error=True).print("There are more: raise --limit.")
