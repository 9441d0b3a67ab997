"""`report`: the reporting views, as a table or as CSV."""

from __future__ import annotations

import asyncio
import csv
import re
import sys
from collections.abc import Callable, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.flags import DatabaseFlags, load_settings
from marketplace.cli.stored import opened, require_schema

if TYPE_CHECKING:
    from marketplace.foundation.settings import Settings

INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")

Rows = tuple[list[str], list[Sequence[Any]]]


def report(
    name: str | None = None,
    /,
    *,
    csv: Annotated[bool, Parameter(negative="")] = False,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 1000,
    database: DatabaseFlags | None = None,
) -> None:
    """Print a report from the database; without a name, list the reports.

    Each is a view named report_NAME that any SQL client may read too; docs/reporting.md tells their columns.

    Parameters
    ----------
    name
        Which report.
    csv
        Comma-separated values with a header, for other programs.
    limit
        How many rows at most.
    """
    readers = _readers()
    if name is None:
        terminal.output().print("\n".join(readers))
        return
    if name not in readers:
        raise terminal.Stop(f"There is no report {name!r}; there are {', '.join(readers)}.", exit_code=2)
    columns, rows = asyncio.run(_read(load_settings(database), name, limit=limit))
    _print(columns, rows[:limit], as_csv=csv)
    if len(rows) > limit:
        terminal.say_there_is_more()


def _readers() -> dict[str, Callable[..., Rows]]:
    """Return every report with the function that reads it."""
    from marketplace import addresses, hours, ledger, spot

    modules = (hours, addresses, ledger, spot)
    return {name: module.read_report for module in modules for name in module.REPORTS}


async def _read(settings: Settings, name: str, *, limit: int) -> Rows:
    async with opened(settings) as database:
        await require_schema(database)
        return await database.report(_readers()[name], name, limit=limit + 1)


def _print(columns: list[str], rows: list[Sequence[Any]], *, as_csv: bool) -> None:
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return
    numbers = [name for at, name in enumerate(columns) if all(isinstance(row[at], Number | None) for row in rows)]
    shown = terminal.table(*map(_words, columns), right=[*map(_words, numbers)])
    for row in rows:
        terminal.add_row(shown, *map(_readable, row))
    terminal.output().print(shown if rows else "No rows.")


def _words(column: str) -> str:
    """Let a long header wrap between its words; CSV keeps the names as SQL has them."""
    return column.replace("_", " ")


def _readable(cell: object) -> str | None:
    """Show an instant, which SQLite has as text, to the second."""
    text = str(cell)
    return None if cell is None else text[:19].replace("T", " ") if INSTANT.match(text) else text
