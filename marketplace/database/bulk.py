"""Many rows in one statement, and many statements in one round trip.

A batch is read once and written once, whatever its size. So the rows of a statement travel as one parameter, a JSON
text that the database opens as a relation: `json_to_recordset` on Postgres, `json_each` on SQLite. Measured against one
array a column, which is the other way on Postgres, it costs the writer half the CPU.

Two exceptions, for what is faster. Rows that SQLite only puts into a table, it takes one by one through one prepared
statement: there is no network between, and a third of the CPU is gone with the JSON. A long text in many rows travels
to Postgres beside them, as an array: it would be read as JSON twice on its way into a column of text, character by
character, and that takes twice as long as everything else that becomes of the row.

The rows are structs (or dicts) with the columns' names as fields. Values are integers, text or null; a struct inside
one arrives in a text column as its JSON. On Postgres they travel as objects, which is what it opens; on SQLite as
arrays, whose values it finds by their place a fifth faster than by their name.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

Build = Callable[[sa.FromClause], Any]

Form = Literal["postgresql", "apart", "sqlite"]
"""How rows travel: to Postgres, to it with a long text beside them, or to SQLite."""

APART_FROM = 64
"""Rows from which on a long text travels beside them; a few are sooner read as they are."""

_encode = msgspec.json.Encoder().encode
_numbers = itertools.count(1)
_postgres: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


class Bulk:
    """A statement over a relation of given rows: `build(rows)` makes it, `rows.c.NAME` are the columns.

    Where the engines need different statements `build` names one for each. It is never sent for no rows.
    `one` says the same of a single row, for SQLite; `apart` names a column of text that is long.
    """

    def __init__(
        self,
        columns: Mapping[str, sa.types.TypeEngine[Any]],
        build: Build | Mapping[str, Build],
        *,
        one: sa.Insert | None = None,
        apart: str | None = None,
    ) -> None:
        # A name of its own for each, so that several can be parts of one statement.
        self._name = f"rows_{next(_numbers)}"
        rows = sa.bindparam(self._name, type_=sa.Text)
        self._columns = columns
        builds = dict.fromkeys(("postgresql", "sqlite"), build) if callable(build) else build
        self._in: dict[Form, Any] = {
            "postgresql": builds["postgresql"](_recordset(rows, columns)),
            "sqlite": builds["sqlite"](_each(rows, columns)),
        }
        self._one = None if one is None else _OneByOne(one, columns)
        self._apart = None if apart is None else _Apart(self._name, columns, apart)
        if self._apart is not None:
            self._in["apart"] = builds["postgresql"](self._apart.rows)

    def execute(self, tx: sa.Connection, rows: Sequence[Any], **more: Any) -> sa.CursorResult[Any] | None:
        """Run the statement over `rows`; `more` are its other parameters. None where there are no rows."""
        if not rows:
            return None
        form = self.form(tx, rows)
        if form == "sqlite" and self._one is not None:
            return self._one.execute(tx, rows)
        return tx.execute(self._in[form], self.bind(rows, form) | more)

    def fetch(self, tx: sa.Connection, rows: Sequence[Any], **more: Any) -> Sequence[Any]:
        """Run a statement that returns rows; none for no rows."""
        result = self.execute(tx, rows, **more)
        return result.fetchall() if result is not None else []

    def form(self, tx: sa.Connection, rows: Sequence[Any]) -> Form:
        """Say how these rows travel."""
        if tx.dialect.name != "postgresql":
            return "sqlite"
        return "postgresql" if self._apart is None or len(rows) < APART_FROM else "apart"

    def bind(self, rows: Sequence[Any], form: Form) -> dict[str, Any]:
        """Return the parameters that carry the rows."""
        if form == "apart" and self._apart is not None:
            return self._apart.bind(rows)
        return {self._name: _encode(_arrays(rows, tuple(self._columns)) if form == "sqlite" else rows).decode()}

    def part(self, form: Form) -> sa.CTE:
        """Return the statement as a part of a larger one, on Postgres."""
        part: sa.CTE = self._in[form].cte(f"of_{self._name}")
        return part


class _OneByOne:
    """An insertion that SQLite prepares once and runs for each row."""

    def __init__(self, one: sa.Insert, columns: Mapping[str, sa.types.TypeEngine[Any]]) -> None:
        compiled = one.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        assert isinstance(compiled, SQLCompiler)
        assert compiled.positiontup is not None
        self._text = str(compiled)
        self._names = compiled.positiontup
        self._texts = [isinstance(columns[name], sa.Text) for name in self._names]

    def execute(self, tx: sa.Connection, rows: Sequence[Any]) -> sa.CursorResult[Any]:
        take: Any = operator.itemgetter if isinstance(rows[0], dict) else operator.attrgetter
        values: list[Any] = [map(take(name), rows) for name in self._names]
        for place, is_text in enumerate(self._texts):
            if is_text:
                values[place] = map(_text, values[place])
        return tx.exec_driver_sql(self._text, [*zip(*values, strict=True)])


class _Apart:
    """Rows whose long text travels in an array of its own; Postgres lays the two side by side."""

    def __init__(self, name: str, columns: Mapping[str, sa.types.TypeEngine[Any]], apart: str) -> None:
        others = [column for column in columns if column != apart]
        self._name, self._apart = name, apart
        self._row = msgspec.defstruct(name, [str(column) for column in others], gc=False)
        self._take_others = operator.attrgetter(*others)
        types = ", ".join(f"{column} {columns[column].compile(dialect=_postgres)}" for column in others)
        together = sa.text(
            f"SELECT * FROM ROWS FROM (json_to_recordset(CAST(:{name} AS JSON)) AS ({types}), "  # noqa: S608 (no values)
            f"unnest(CAST(:{name}_apart AS TEXT[]))) AS given ({', '.join([*others, apart])})"
        ).bindparams(sa.bindparam(name, type_=sa.Text), sa.bindparam(f"{name}_apart", type_=postgresql.ARRAY(sa.Text)))
        self.rows = together.columns(*(sa.column(one, columns[one]) for one in [*others, apart])).subquery("rows")

    def bind(self, rows: Sequence[Any]) -> dict[str, Any]:
        row, take, apart = self._row, self._take_others, self._apart
        return {
            self._name: _encode([row(*take(one)) for one in rows]).decode(),
            f"{self._name}_apart": [_text(getattr(one, apart)) for one in rows],
        }


def _text(value: Any) -> str | None:
    """Return what of a value arrives in a column of text."""
    if value is None or isinstance(value, str):
        return value
    written = _encode(value).decode()
    return msgspec.json.decode(written, type=str) if written.startswith('"') else written


Write = tuple[Bulk, Sequence[Any]]


def write(tx: sa.Connection, writes: Sequence[Write]) -> None:
    """Run several insertions and updates, no two of which touch the same row.

    On Postgres they go as parts of one statement, in one trip: foreign keys among them hold at its end. On SQLite,
    where there is no trip to save, one after the other.
    """
    wanted = [(statement, rows) for statement, rows in writes if rows]
    if tx.dialect.name == "postgresql" and len(wanted) > 1:
        bound: dict[str, Any] = {}
        parts = tuple((statement, statement.form(tx, rows)) for statement, rows in wanted)
        for (statement, form), (_, rows) in zip(parts, wanted, strict=True):
            bound |= statement.bind(rows, form)
        tx.execute(_together(parts), bound)
    else:
        for statement, rows in wanted:
            statement.execute(tx, rows)


def insert_into(table: sa.Table, *names: str, apart: str | None = None) -> Bulk:
    """Build the insertion of structs with the named columns; `apart` is one of text that may be long."""

    def build(rows: sa.FromClause) -> Any:
        return sa.insert(table).from_select(names, sa.select(*(rows.c[name] for name in names)))

    one = sa.insert(table).values({name: sa.bindparam(name) for name in names})
    return Bulk({name: table.c[name].type for name in names}, build, one=one, apart=apart)


def put_into(table: sa.Table, *names: str, changing: Sequence[str] = (), adding: Sequence[str] = ()) -> Bulk:
    """Build an insertion that, where the primary key is there already, changes that row instead.

    The `changing` columns take the given values, the given values of the `adding` ones are added to what is there.

    Also the way to change rows: an update that joins the given rows leaves it to the planner's guess of their number
    whether it reads the whole table; the key of a conflict is always looked up.
    """
    keys = [column.name for column in table.primary_key]

    def or_change(put: Any) -> Any:
        changed = {name: put.excluded[name] for name in changing}
        added = {name: table.c[name] + put.excluded[name] for name in adding}
        return put.on_conflict_do_update(index_elements=keys, set_=changed | added)

    def build_for(insert: Callable[[sa.Table], Any]) -> Build:
        def build(rows: sa.FromClause) -> Any:
            # The WHERE lets SQLite tell the ON of the conflict from that of a join.
            return or_change(
                insert(table).from_select(names, sa.select(*(rows.c[name] for name in names)).where(sa.true()))
            )

        return build

    columns = {name: table.c[name].type for name in names}
    one = or_change(sqlite.insert(table).values({name: sa.bindparam(name) for name in names}))
    return Bulk(columns, {"postgresql": build_for(postgresql.insert), "sqlite": build_for(sqlite.insert)}, one=one)


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


_combinations: dict[tuple[tuple[Bulk, Form], ...], sa.Select[Any]] = {}


def _together(parts: tuple[tuple[Bulk, Form], ...]) -> sa.Select[Any]:
    """Return the statement of these parts, always the same object, so that it is compiled once."""
    if parts not in _combinations:
        _combinations[parts] = sa.select(sa.literal_column("1")).add_cte(*(part.part(form) for part, form in parts))
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
