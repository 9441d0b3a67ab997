"""Many rows in one statement: whatever the values are, both engines keep and give back the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from marketplace.database import Database, bulk
from tests.services import raw

NUMBERS = [0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 10**18, 2**63 - 1, -(2**63)]
TEXTS = [
    "",
    " ",
    "plain",
    "Zoë 😀 日本語 \u2028 \u200d",
    '{"a": [1, null]}',
    "[1,2]",
    "null",
    "true",
    "0123",
    "1e400",
    '"quoted"',
    "it's",
    "back\\slash \\n \\u0041 \\",
    "line\nfeed\ttab\r",
    "%s :name $1 ?",
    "'); DROP TABLE things; --",
]

metadata = sa.MetaData()
things = sa.Table(
    "things",
    metadata,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=True),
    sa.Column("text", sa.Text, nullable=True),
)


class Thing(msgspec.Struct, frozen=True):
    place: int
    number: int | None = None
    text: Any = None


class Inner(msgspec.Struct, frozen=True):
    name: str
    amounts: tuple[int, ...] = (1, 2)
    nothing: None = None


insert_things = bulk.insert_into(things, "place", "number", "text")
insert_long_things = bulk.insert_into(things, "place", "number", "text", apart="text")
put_things = bulk.put_into(things, "place", "number", "text", changing=["text"])
find_things = bulk.find_in(things, {"id": "place"}, [things.c.place, things.c.number, things.c.text])
find_texts = bulk.find_in(things, {"text": "text"}, [things.c.place])
move_things = bulk.Bulk(
    {"place": sa.Integer(), "number": sa.BigInteger()},
    lambda rows: (
        sa.update(things).where(things.c.place == rows.c.place).values(number=rows.c.number + sa.bindparam("more"))
    ),
)


@pytest.fixture
async def tx(database: Database) -> Any:
    """Return what runs `fn(connection, …)` in a writing transaction."""
    await raw.write(database, metadata.create_all)

    async def run(fn: Any, *arguments: Any, **more: Any) -> Any:
        return await raw.write(database, lambda tx: fn(tx, *arguments, **more))

    return run


def all_things(connection: sa.Connection) -> list[tuple[Any, ...]]:
    query = sa.select(things.c.place, things.c.number, things.c.text).order_by(things.c.place)
    return [tuple(row) for row in connection.execute(query)]


async def test_numbers_and_texts_come_back_as_they_went(tx: Any) -> None:
    rows = [Thing(place, number, "n") for place, number in enumerate(NUMBERS)]
    rows += [Thing(100 + place, None, text) for place, text in enumerate(TEXTS)]
    await tx(insert_things.execute, rows)
    assert await tx(all_things) == [(row.place, row.number, row.text) for row in rows]


@pytest.mark.parametrize("count", [1, bulk.APART_FROM - 1, bulk.APART_FROM, 3 * bulk.APART_FROM])
async def test_long_texts_come_back_as_they_went_however_many_go_together(tx: Any, count: int) -> None:
    texts: list[Any] = [
        *TEXTS,
        None,
        "x" * 100_000,
        '"',
        "{}",
        msgspec.Raw(b'{"a": [1, "b"]}'),
        Inner("Zoe"),
        {"a": None},
    ]
    rows = [Thing(place, NUMBERS[place % len(NUMBERS)], texts[place % len(texts)]) for place in range(count)]
    await tx(insert_long_things.execute, rows)
    expected = [one if one is None or isinstance(one, str) else msgspec.json.encode(one).decode() for one in texts]
    assert [row[1:] for row in await tx(all_things)] == [
        (NUMBERS[place % len(NUMBERS)], expected[place % len(texts)]) for place in range(count)
    ]


async def test_long_texts_go_together_with_other_statements(tx: Any) -> None:
    await tx(insert_things.execute, [Thing(1, 1, "old")])
    for first, count in ((10, 3), (100, 100), (300, 3), (400, 100)):
        rows = [Thing(place, place, f"text {place}") for place in range(first, first + count)]
        await tx(bulk.write, [(put_things, [Thing(1, 0, f"put {first}")]), (insert_long_things, rows)])
    found = await tx(all_things)
    assert found[0] == (1, 1, "put 400")
    assert found[1:] == [(place, place, f"text {place}") for place, _, _ in found[1:]]
    assert len(found) == 1 + 3 + 100 + 3 + 100


async def test_a_text_that_is_written_as_a_text_is_not_quoted(tx: Any) -> None:
    """What is no text but has one as its JSON, as an instant, arrives without the quotes."""
    instant = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    await tx(insert_things.execute, [Thing(1, None, instant), Thing(2, None, 17), Thing(3, None, True)])
    assert [row[2] for row in await tx(all_things)] == ["2026-01-01T00:00:00Z", "17", "true"]


async def test_null_is_null_and_not_the_word(tx: Any) -> None:
    await tx(insert_things.execute, [Thing(1, None, None), Thing(2, 0, "null")])
    assert await tx(all_things) == [(1, None, None), (2, 0, "null")]


async def test_a_struct_in_a_text_column_is_its_json(tx: Any) -> None:
    inner = Inner('Zoë "q" \\ 😀')
    await tx(insert_things.execute, [Thing(1, None, inner)])
    ((_, _, text),) = await tx(all_things)
    assert text == msgspec.json.encode(inner).decode()


async def test_no_rows_are_no_statement(tx: Any) -> None:
    assert await tx(insert_things.execute, []) is None
    assert await tx(find_things.fetch, []) == []
    await tx(bulk.write, [(insert_things, []), (put_things, [])])
    assert await tx(all_things) == []


async def test_putting_adds_new_rows_and_changes_only_what_it_says_of_old_ones(tx: Any) -> None:
    await tx(insert_things.execute, [Thing(1, 10, "old"), Thing(2, 20, "stays")])
    await tx(put_things.execute, [Thing(1, 99, "new"), Thing(3, 30, "added")])
    assert await tx(all_things) == [(1, 10, "new"), (2, 20, "stays"), (3, 30, "added")]


async def test_each_given_row_is_found_by_its_key(tx: Any) -> None:
    await tx(insert_things.execute, [Thing(place, place * 10, text) for place, text in enumerate(TEXTS)])
    found = await tx(find_things.fetch, [{"id": 3}, {"id": 0}, {"id": 999}])
    assert sorted(tuple(row) for row in found) == [(0, 0, TEXTS[0]), (3, 30, TEXTS[3])]
    found = await tx(find_texts.fetch, [{"text": text} for text in TEXTS])
    assert sorted(row.place for row in found) == list(range(len(TEXTS)))


async def test_other_parameters_go_along(tx: Any) -> None:
    await tx(insert_things.execute, [Thing(1, 1, "a"), Thing(2, 2, "b")])
    await tx(move_things.execute, [{"place": 1, "number": 100}], more=5)
    assert await tx(all_things) == [(1, 105, "a"), (2, 2, "b")]


async def test_several_statements_go_together_and_each_has_its_own_rows(tx: Any) -> None:
    await tx(insert_things.execute, [Thing(1, 1, "old")])
    for first in (10, 20):  # the second time by the statement that was kept
        writes = [
            (insert_things, [Thing(first, 5, "inserted"), Thing(first + 1, 6, None)]),
            (put_things, [Thing(1, 0, f"put {first}")]),
        ]
        await tx(bulk.write, writes)
    assert await tx(all_things) == [
        (1, 1, "put 20"),
        (10, 5, "inserted"),
        (11, 6, None),
        (20, 5, "inserted"),
        (21, 6, None),
    ]


async def test_many_rows_are_one_statement(tx: Any, database: Database) -> None:
    sent: list[str] = []
    engine = database.writer.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: sent.append(statement))
    await tx(insert_things.execute, [Thing(place, place, "x") for place in range(5_000)])
    assert len([statement for statement in sent if "INSERT" in statement]) == 1
    assert len(await tx(all_things)) == 5_000
