"""Reading the reporting views: each is named `report_NAME`, its key is at most its first three columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

# NULLS LAST, since the engines differ where it is left out.
_ORDER = ", ".join(f"{column} NULLS LAST" for column in (1, 2, 3))


class Report(NamedTuple):
    columns: list[str]
    rows: list[Sequence[Any]]


def read_report(tx: sa.Connection, name: str, *, limit: int) -> Report:
    """Return the first rows of a report, in the order of its key. Run it by `database.report`: it may take a while."""
    assert name.isidentifier(), "a report's name is one of ours"
    statement = sa.text(f"SELECT * FROM report_{name} ORDER BY {_ORDER} LIMIT :limit")  # noqa: S608
    result = tx.execute(statement, {"limit": limit})
    return Report(list(result.keys()), [tuple(row) for row in result])
