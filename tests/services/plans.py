"""Which plan a statement gets: caught as it is sent, with its parameters, and explained.

On Postgres with default planner settings, planned for its values and as the generic plan that a prepared statement
ends with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa


class Hot(NamedTuple):
    """A hot statement, and the index that each of its statements must walk."""

    indexes: tuple[str, ...]
    run: Callable[[sa.Connection], Any]


def check_all(tx: sa.Connection, hot: Mapping[str, Hot], *, tables: Collection[str], ignoring: str) -> list[str]:
    """Return what is wrong with the plans, the plan with each: a sort, or a scan of a table.

    Statements of the table `ignoring` alone are not looked at: it has few rows, however busy it is.
    """
    explain = _explain_on_postgres if tx.dialect.name == "postgresql" else _explain_on_sqlite
    faults = []
    for name, each in hot.items():
        with _statements_of(tx, ignoring) as sent:
            assert each.run(tx), f"{name}: nothing was found, so nothing was walked"
        assert len(sent) == len(each.indexes), f"{name}: {sent}"
        for indexes, (statement, given) in zip(each.indexes, sent, strict=True):
            for plan in explain(tx, statement, given):
                faults += [f"{name}: {fault}\n{plan}" for fault in _find_faults(plan, indexes.split(), tables)]
    return faults


@contextmanager
def _statements_of(tx: sa.Connection, ignoring: str) -> Iterator[list[tuple[str, Any]]]:
    """Catch what is sent, as (statement, parameters)."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not re.search(rf"FROM {ignoring} *\n(?!JOIN)", statement):
            sent.append((statement, parameters))

    sa.event.listen(tx, "before_cursor_execute", note)
    yield sent
    sa.event.remove(tx, "before_cursor_execute", note)


def _find_faults(plan: str, indexes: list[str], tables: Collection[str]) -> Iterator[str]:
    for bad in (
        "Sort",
        "Bitmap",
        "TEMP B-TREE",
        *(f"{scan} {table}" for table in tables for scan in ("Seq Scan on", "SCAN")),
    ):
        if bad in plan:
            yield f"has a {bad}"
    for index in indexes:
        # SQLite has names of its own for a primary key, as an index and where it is the table, and for what is unique.
        names = (
            index,
            index.replace("_pkey", "_1"),
            index.replace("_pkey", " USING PRIMARY KEY"),
            index.replace("_seq_key", "_2"),
        )
        if not any(name in plan for name in names):
            yield f"does not use {index}"


def _explain_on_sqlite(tx: sa.Connection, statement: str, given: Any) -> Iterator[str]:
    yield "\n".join(row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given))


def _explain_on_postgres(tx: sa.Connection, statement: str, given: Any) -> Iterator[str]:
    """Plan it for its values, and once for any."""
    values = ", ".join(map(_literal, given))
    for mode in ("force_custom_plan", "force_generic_plan"):
        tx.exec_driver_sql(f"SET LOCAL plan_cache_mode = {mode}")
        tx.exec_driver_sql(f"PREPARE hot AS {statement}")
        lines = tx.exec_driver_sql(f"EXPLAIN EXECUTE hot({values})" if values else "EXPLAIN EXECUTE hot")
        yield f"{mode}\n" + "\n".join(row[0] for row in lines)
        tx.exec_driver_sql("DEALLOCATE hot")


def _literal(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
