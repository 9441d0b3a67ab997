"""Many rows in one statement, and many statements in one round trip.

A batch is read once and written once, whatever its size. So the rows of a statement travel as one parameter, a JSON
text that the database opens as a relation: `json_to_recordset` on Postgres, `json_each` on SQLite. Measured against one
array a column, which is the other way on Postgres, it costs the writer half the CPU.

The rows are structs (or dicts) with the columns' names as fields. Values are integers, text or null; a struct inside
one arrives in a text column as its JSON. On Postgres they travel as objects, which is what it opens; on SQLite as
arrays, whose values it finds by their place a fifth faster than by their name.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Build = Callable[[sa.FromClause], Any]

_encode = msgspec.json.Encoder().encode
_numbers = itertools.count(1)


class Bulk:
    """A statement over a relation of given rows: `build(rows)` makes it, `rows.c.NAME` are the columns.

    Where the engines need different statements `build` names one for each. It is never sent for no rows.
    """

    def __init__(self, columns: Mapping[str, sa.types.TypeEngine[Any]], build: Build | Mapping[str, Build]) -> None:
        # A name of its own for each, so that several can be parts of one statement.
        self._name = f"rows_{next(_numbers)}"
        rows = sa.bindparam(self._name, type_=sa.Text)
        self._columns = tuple(columns)
        sources = {"postgresql": _recordset(rows, columns), "sqlite": _each(rows, columns)}
        builds = dict.fromkeys(sources, build) if callable(build) else build
        self._on = {dialect: builds[dialect](source) for dialect, source in sources.items()}

    def execute(self, tx: sa.Connection, rows: Sequence[Any], **more: Any) -> sa.CursorResult[Any] | None:
        """Run the statement over `rows`; `more` are its other parameters. None where there are no rows."""
        if not rows:
            return None
        values = rows if tx.dialect.name == "postgresql" else _arrays(rows, self._columns)
        return tx.execute(self._on[tx.dialect.name], self.bind(values) | more)

    def fetch(self, tx: sa.Connection, rows: Sequence[Any], **more: Any) -> Sequence[sa.Row[Any]]:
        """Run a statement that returns rows; none for no rows."""
        result = self.execute(tx, rows, **more)
        return result.fetchall() if result is not None else []

    def bind(self, rows: Sequence[Any]) -> dict[str, str]:
        """Return the parameter that carries the rows."""
        return {self._name: _encode(rows).decode()}

    def part(self) -> sa.CTE:
        """Return the statement as a part of a larger one, on Postgres."""
        part: sa.CTE = self._on["postgresql"].cte(f"of_{self._name}")
        return part


Write = tuple[Bulk, Sequence[Any]]


def write(tx: sa.Connection, writes: Sequence[Write]) -> None:
    """Run several insertions and updates, no two of which touch the same row.

    On Postgres they go as parts of one statement, in one trip: foreign keys among them hold at its end. On SQLite,
    where there is no trip to save, one after the other.
    """
    wanted = [(statement, rows) for statement, rows in writes if rows]
    if tx.dialect.name == "postgresql" and len(wanted) > 1:
        bound: dict[str, str] = {}
        for statement, rows in wanted:
            bound |= statement.bind(rows)
        tx.execute(_together(tuple(statement for statement, _ in wanted)), bound)
    else:
        for statement, rows in wanted:
            statement.execute(tx, rows)


def insert_into(table: sa.Table, *names: str) -> Bulk:
    """Build the insertion of rows with the named columns."""

    def build(rows: sa.FromClause) -> Any:
        return sa.insert(table).from_select(names, sa.select(*(rows.c[name] for name in names)))

    return Bulk({name: table.c[name].type for name in names}, build)


def put_into(table: sa.Table, *names: str, changing: Sequence[str] = (), adding: Sequence[str] = ()) -> Bulk:
    """Build an insertion that, where the primary key is there already, changes that row instead.

    The `changing` columns take the given values, the given values of the `adding` ones are added to what is there.

    Also the way to change rows: an update that joins the given rows leaves it to the planner's guess of their number
    whether it reads the whole table; the key of a conflict is always looked up.
    """
    keys = [column.name for column in table.primary_key]

    def build_for(insert: Callable[[sa.Table], Any]) -> Build:
        def build(rows: sa.FromClause) -> Any:
            # The WHERE lets SQLite tell the ON of the conflict from that of a join.
            put = insert(table).from_select(names, sa.select(*(rows.c[name] for name in names)).where(sa.true()))
            changed = {name: put.excluded[name] for name in changing}
            added = {name: table.c[name] + put.excluded[name] for name in adding}
            return put.on_conflict_do_update(index_elements=keys, set_=changed | added)

        return build

    columns = {name: table.c[name].type for name in names}
    return Bulk(columns, {"postgresql": build_for(postgresql.insert), "sqlite": build_for(sqlite.insert)})


def find_in(table: sa.Table, keys: Mapping[str, str], columns: Sequence[sa.Column[Any]], *, lock: bool = False) -> Bulk:
    """Build the look-up of rows by a unique key; `keys` maps the given rows' names to the table's columns.

    On Postgres each given row is looked up by itself (LATERAL), since a join is left to the planner's guess as above.
    """
    given = {name: table.c[column].type for name, column in keys.items()}

    def condition(rows: sa.FromClause) -> sa.ColumnElement[bool]:
        return sa.and_(*(table.c[column] == rows.c[name] for name, column in keys.items()))

    def join(rows: sa.FromClause) -> Any:
        return sa.select(*columns).select_from(rows).join(table, condition(rows))

    def look_up(rows: sa.FromClause) -> Any:
        one = sa.select(*columns).where(condition(rows)).limit(1)
        found = (one.with_for_update() if lock else one).lateral("found")
        return sa.select(*found.c).select_from(rows).join(found, sa.true())

    return Bulk(given, {"postgresql": look_up, "sqlite": join})


_combinations: dict[tuple[Bulk, ...], sa.Select[Any]] = {}


def _together(parts: tuple[Bulk, ...]) -> sa.Select[Any]:
    """Return the statement of these parts, always the same object, so that it is compiled once."""
    if parts not in _combinations:
        _combinations[parts] = sa.select(sa.literal_column("1")).add_cte(*(part.part() for part in parts))
    return _combinations[parts]


def _recordset(rows: sa.BindParameter[Any], columns: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.FromClause:
    given = [sa.column(name, type_) for name, type_ in columns.items()]
    opened = sa.func.json_to_recordset(sa.cast(rows, postgresql.JSON)).table_valued(*given, name="rows")
    return opened.render_derived(with_types=True)


def _each(rows: sa.BindParameter[Any], columns: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.FromClause:
    each = sa.func.json_each(rows).table_valued("value", name="each")
    values = (
        sa.type_coerce(sa.func.json_extract(each.c.value, sa.literal_column(f"'$[{place}]'")), type_).label(name)
        for place, (name, type_) in enumerate(columns.items())
    )
    return sa.select(*values).subquery("rows")


def _arrays(rows: Sequence[Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    take: Any = operator.itemgetter if isinstance(rows[0], dict) else operator.attrgetter
    return [*zip(*(map(take(name), rows) for name in names), strict=True)]
