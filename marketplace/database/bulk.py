"""Many rows in one statement.

A batch is read once and written once, whatever its size, so a statement takes its rows as parameters whose number does
not grow: on Postgres one array a column, opened by `unnest`; on SQLite one JSON text, opened by `json_each`. Both give
a relation with the named columns in the given order, so a statement built on it means the same on either engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

Row = tuple[Any, ...]
Builder = Callable[[sa.FromClause], sa.Executable]

_encode = msgspec.json.Encoder().encode


class Bulk:
    """A statement over a relation of given rows: `build(rows)` makes it, `rows.c.NAME` are the columns.

    Values are integers, text or null. No statement is sent for no rows.
    """

    def __init__(self, columns: Mapping[str, sa.types.TypeEngine[Any]], build: Builder) -> None:
        self._names = [f"rows_{name}" for name in columns]
        self._on_postgres = build(_unnested(columns))
        self._on_sqlite = build(_from_json(columns))

    def execute(self, tx: sa.Connection, rows: Sequence[Row], **more: Any) -> sa.CursorResult[Any] | None:
        """Run the statement over `rows`; `more` are its other parameters. None where there are no rows."""
        if not rows:
            return None
        if tx.dialect.name == "postgresql":
            columns = dict(zip(self._names, map(list, zip(*rows, strict=True)), strict=True))
            return tx.execute(self._on_postgres, {**columns, **more})
        return tx.execute(self._on_sqlite, {"rows_json": _encode(rows).decode(), **more})

    def fetch(self, tx: sa.Connection, rows: Sequence[Row], **more: Any) -> Sequence[sa.Row[Any]]:
        """Run a statement that returns rows; none for no rows."""
        result = self.execute(tx, rows, **more)
        return result.fetchall() if result is not None else []


def insert_into(table: sa.Table, *names: str) -> Bulk:
    """Build the insertion of rows given as tuples of the named columns."""

    def build(rows: sa.FromClause) -> sa.Executable:
        return sa.insert(table).from_select(names, sa.select(*(rows.c[name] for name in names)))

    return Bulk({name: table.c[name].type for name in names}, build)


def _unnested(columns: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.FromClause:
    arrays = (
        sa.bindparam(f"rows_{name}", type_=postgresql.ARRAY(_plain(type_), dimensions=1))
        for name, type_ in columns.items()
    )
    given = [sa.column(name, type_) for name, type_ in columns.items()]
    return sa.func.unnest(*arrays).table_valued(*given, name="rows").render_derived()


def _from_json(columns: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.FromClause:
    each = sa.func.json_each(sa.bindparam("rows_json", type_=sa.Text)).table_valued("value", name="each")
    values = (
        sa.type_coerce(sa.func.json_extract(each.c.value, sa.literal_column(f"'$[{position}]'")), type_).label(name)
        for position, (name, type_) in enumerate(columns.items())
    )
    return sa.select(*values).subquery("rows")


def _plain(type_: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """Return the type an array can carry: a collation belongs to the column, not to what is sent."""
    return sa.Text() if isinstance(type_, sa.String) else type_
