"""The reports: views named `report_NAME`, made by migrations, described column by column in docs/reporting.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

REPORTS = (
    "allocations",
    "daily_volume",
    "open_interest",
    "supply_utilisation",
    "fill_times",
)

# Their key is at most the first three columns. NULLS LAST, since the engines differ where it is left out.
_ORDER = ", ".join(f"{column} NULLS LAST" for column in (1, 2, 3))
_statements = {name: sa.text(f"SELECT * FROM report_{name} ORDER BY {_ORDER} LIMIT :limit") for name in REPORTS}  # noqa: S608


class Report(NamedTuple):
    columns: list[str]
    rows: list[Sequence[Any]]


def read_report(tx: sa.Connection, name: str, *, limit: int) -> Report:
    """Return the first rows of a report, in the order of its key. Run it by `database.report`: it may take a while."""
    result = tx.execute(_statements[name], {"limit": limit})
    return Report(list(result.keys()), [tuple(row) for row in result])
