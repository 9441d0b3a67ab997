"""What the modules' audits share: a lane's log without gaps, tables read to the end, and rows held against a replay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from marketplace.database import log

PAGE = 5_000
SHOWN = 5
"""Faults of one kind that are told; one alone would do."""


class Unlawful(Exception):
    """An entry of the log that should have been refused."""


def require(is_lawful: bool, otherwise: str) -> None:  # noqa: FBT001 (reads as a sentence)
    """Raise Unlawful with a clause, unless what an entry of the log did was lawful."""
    if not is_lawful:
        raise Unlawful(otherwise)


def check_log(tx: sa.Connection, lane: str) -> Iterator[str]:
    """Tell where a lane's log has gaps, begins later than where it was cut, or does not end where its commits do."""
    events, cut = log.events, log.read_cut(tx, lane)
    count, first, last = tx.execute(
        sa.select(sa.func.count(), sa.func.min(events.c.seq), sa.func.max(events.c.seq)).where(events.c.lane == lane)
    ).one()
    if count and (first != cut + 1 or last != cut + count):
        yield f"events: {count} entries from seq {first} to {last}; they should be {cut + 1} to {cut + count}"
    head = log.read_head(tx, lane).last_seq
    if head != (last or cut):
        yield f"commits: the last one says seq {head}, the log ends at {last or cut}"


def is_whole(tx: sa.Connection, lane: str) -> bool:
    """Tell whether a lane's log can be replayed: nothing was cut off its old end."""
    return log.read_cut(tx, lane) == 0


def read_log(tx: sa.Connection, lane: str) -> Iterator[sa.Row[Any]]:
    """Yield a lane's log from its first entry."""
    return pages(tx, log.events, [log.events.c.seq], log.events.c.lane == lane)


def pages(
    tx: sa.Connection, table: sa.Table, order: list[sa.Column[Any]], where: sa.ColumnElement[bool] | None = None
) -> Iterator[sa.Row[Any]]:
    """Yield all rows of a table in an order that is unique, a page at a time."""
    query = sa.select(table).order_by(*order).limit(PAGE)
    query = query if where is None else query.where(where)
    page = tx.execute(query).fetchall()
    while page:
        yield from page
        last = [getattr(page[-1], column.name) for column in order]
        page = tx.execute(query.where(sa.tuple_(*order) > sa.tuple_(*last))).fetchall() if len(page) == PAGE else []


def differences(name: str, expected: dict[Any, Any], found: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """Compare a table, as (key, record), with what the replay ended with; at most a few sentences."""
    shown = 0
    for key, record in found:
        if expected.pop(key, None) != record and (shown := shown + 1) <= SHOWN:
            yield f"{name}: the row {record} is not what the log gives"
    if expected:
        yield f"{name}: {len(expected)} rows that the log gives are missing, {next(iter(expected))} for one"
