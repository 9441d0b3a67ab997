"""`report`: the reporting views, as a table or as CSV."""

from __future__ import annotations

import asyncio
import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.flags import DatabaseFlags, load_settings
from marketplace.cli.stored import opened

if TYPE_CHECKING:
    import sqlalchemy as sa

    from marketplace.foundation.settings import Settings

REPORT_SECONDS = 60

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
    from marketplace import hours

    if name is None:
        terminal.output().print("\n".join(hours.REPORTS))
        return
    if name not in hours.REPORTS:
        raise terminal.Stop(f"There is no report {name!r}; there are {', '.join(hours.REPORTS)}.", exit_code=2)
    columns, rows = asyncio.run(_read(load_settings(database), name, limit=limit))
    _print(columns, rows[:limit], as_csv=csv)
    if len(rows) > limit:
        terminal.output(is_error=True).print("There are more rows: raise --limit.")


async def _read(settings: Settings, name: str, *, limit: int) -> Rows:
    async with opened(settings) as database:
        return await database.read(_select, name, limit=limit + 1, is_postgres=database.is_postgres)


def _select(tx: sa.Connection, name: str, *, limit: int, is_postgres: bool) -> Rows:
    """Read a view; `name` is one of ours, never a user's text."""
    import sqlalchemy as sa

    if is_postgres:
        tx.execute(sa.text(f"SET LOCAL statement_timeout = '{REPORT_SECONDS}s'"))
    result = tx.execute(sa.text(f"SELECT * FROM report_{name} LIMIT :limit"), {"limit": limit})  # noqa: S608
    return list(result.keys()), [tuple(row) for row in result]


def _print(columns: list[str], rows: list[Sequence[Any]], *, as_csv: bool) -> None:
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return
    numbers = [name for at, name in enumerate(columns) if rows and not isinstance(rows[0][at], str)]
    shown = terminal.table(*columns, right=numbers)
    for row in rows:
        terminal.add_row(shown, *(None if cell is None else str(cell) for cell in row))
    terminal.output().print(shown if rows else "No rows.")
