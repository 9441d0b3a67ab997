"""A made-up module with a lane of its own: amounts are added to counters and taken from them.

It proves the lane apart from any market. `effects` has a row for each accepted command, so that what happened, in which
order and how often, can be read back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import Abandon, Apply, Database, Log, bulk
from marketplace.database.log import answers, commits, events
from marketplace.foundation import errors
from marketplace.foundation.clock import Instant
from tests.services import raw

LANE = "test"
LOCK = f"LOCK TABLE lane_{LANE} IN EXCLUSIVE MODE"
POISON = 666

metadata = sa.MetaData()
sa.Table(f"lane_{LANE}", metadata, sa.Column("turn", sa.SmallInteger, primary_key=True, autoincrement=False))
effects = sa.Table(
    "effects",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("counter", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("note", sa.Text, nullable=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.CheckConstraint(f"amount <> {POISON}", name="not_poisonous"),
)


class Add(msgspec.Struct, frozen=True):
    """Add to a counter. Never refused."""

    amount: int = 1
    counter: str = "till"
    note: str | None = None


class Take(msgspec.Struct, frozen=True):
    """Take from a counter. Refused where there is not enough."""

    amount: int = 1
    counter: str = "till"
    note: str | None = None


class Several(msgspec.Struct, frozen=True):
    """Add (or take, where negative) one amount after the other; each counts as an order."""

    amounts: tuple[int, ...]
    counter: str = "till"

    @property
    def weight(self) -> int:
        return len(self.amounts)


class AllOrNone(msgspec.Struct, frozen=True):
    """The same, and the first refusal undoes those before it, though they are written by then."""

    amounts: tuple[int, ...]
    counter: str = "till"
    alone = True

    @property
    def weight(self) -> int:
        return len(self.amounts)


class Receipt(msgspec.Struct, frozen=True):
    seq: int
    balance: int


class Effect(msgspec.Struct, frozen=True):
    """A row of `effects`."""

    seq: int
    counter: str
    amount: int
    note: str | None
    at: Instant


class NotEnough(errors.Conflict):
    code = "counters.not_enough"


class ComeBackLater(errors.Exhausted):
    """A refusal that no key may remember."""

    code = "counters.come_back_later"


class Till:
    """Balances in memory, and what is to be written."""

    def __init__(self, tx: sa.Connection, log: Log, *, now: Instant, names: set[str]) -> None:
        self._tx, self._log, self._now = tx, log, now
        self._balances: dict[str, int] = log.kept("balances")
        unknown = sorted(names - self._balances.keys())
        rows = _select_balances.fetch(tx, [{"counter": name} for name in unknown])
        self._balances.update(dict.fromkeys(unknown, 0) | {row.counter: int(row.balance) for row in rows})
        self._rows: list[dict[str, Any]] = []

    def change(self, counter: str, amount: int, note: str | None = None) -> Receipt | errors.Refusal:
        """Change a balance by an amount of either sign."""
        balance = self._balances[counter] + amount
        if balance < 0:
            refusal = ComeBackLater if note == "later" else NotEnough
            return refusal(f"{counter} holds {self._balances[counter]}", missing=-balance)
        kind = "taken" if amount < 0 else "added"
        seq = self._log.append(topic="counters", kind=kind, subject=counter, member=None, data={"amount": amount})
        self._balances[counter] = balance
        self._rows.append({"seq": seq, "counter": counter, "amount": amount, "note": note, "at": self._now})
        return Receipt(seq, balance)

    def write(self) -> None:
        """Write at once."""
        _insert_effects.execute(self._tx, self._rows)
        self._rows = []

    def write_later(self) -> None:
        """Leave it to the lane, as most modules do."""
        self._log.write_later([(_insert_effects, self._rows)])


def apply_adds(tx: sa.Connection, log: Log, commands: Sequence[Add], /, *, now: Instant) -> list[Any]:
    till = Till(tx, log, now=now, names={command.counter for command in commands})
    outcomes = [till.change(command.counter, command.amount, command.note) for command in commands]
    till.write_later()
    return outcomes


def apply_takes(tx: sa.Connection, log: Log, commands: Sequence[Take], /, *, now: Instant) -> list[Any]:
    till = Till(tx, log, now=now, names={command.counter for command in commands})
    outcomes = [till.change(command.counter, -command.amount, command.note) for command in commands]
    till.write_later()
    return outcomes


def apply_several(
    tx: sa.Connection, log: Log, commands: Sequence[Several | AllOrNone], /, *, now: Instant
) -> list[Any]:
    till = Till(tx, log, now=now, names={command.counter for command in commands})
    outcomes = []
    for command in commands:
        results = []
        for amount in command.amounts:
            results.append(result := till.change(command.counter, amount))
            till.write()
            if isinstance(command, AllOrNone) and isinstance(result, errors.Refusal):
                raise Abandon(result)
        outcomes.append(tuple(results))
    return outcomes


HANDLERS: Mapping[type, Apply] = {
    Add: apply_adds,
    Take: apply_takes,
    Several: apply_several,
    AllOrNone: apply_several,
}

_select_balances = bulk.Bulk(
    {"counter": sa.Text()},
    lambda rows: (
        sa.select(effects.c.counter, sa.func.sum(effects.c.amount).label("balance"))
        .select_from(rows)
        .join(effects, effects.c.counter == rows.c.counter)
        .group_by(effects.c.counter)
    ),
)
_insert_effects = bulk.insert_into(effects, *effects.c.keys())


def encode(outcome: Any) -> tuple[int, bytes]:
    """Make an answer of an outcome; its bytes tell one run from another, since they hold the seq."""
    if isinstance(outcome, errors.Refusal):
        return 409, msgspec.json.encode({"code": outcome.code, "detail": outcome.detail})
    return 200, msgspec.json.encode(outcome)


# ── its tables, and what they say ────────────────────────────────────────────────────────────────────────────────────


async def create_tables(database: Database) -> None:
    """Add the module to a migrated database."""
    await raw.write(database, metadata.create_all)
    if database.is_postgres:
        books = (commits.name, events.name, answers.name)
        await raw.execute(
            database, *(f"CREATE TABLE {book}_{LANE} PARTITION OF {book} FOR VALUES IN ('{LANE}')" for book in books)
        )


class Books:
    """What the lane has left in the database, read back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def amounts(self) -> list[int]:
        """Return the amounts of all effects, in the order of their seqs."""
        return [row.amount for row in await self._rows(sa.select(effects.c.amount).order_by(effects.c.seq))]

    async def notes(self) -> list[str | None]:
        return [row.note for row in await self._rows(sa.select(effects.c.note).order_by(effects.c.seq))]

    async def instants(self) -> list[int]:
        return [row.at for row in await self._rows(sa.select(effects.c.at).order_by(effects.c.seq))]

    async def commit_counts(self) -> list[int]:
        """Return how many commands each transaction accepted, in commit order."""
        query = sa.select(commits.c.count).where(commits.c.lane == LANE).order_by(commits.c.last_seq, commits.c.at)
        return [row[0] for row in await self._rows(query)]

    async def answers(self) -> list[tuple[str, str, int]]:
        columns = (answers.c.caller, answers.c.key, answers.c.status)
        return [tuple(row) for row in await self._rows(sa.select(*columns).order_by(*columns))]

    async def check(self) -> None:
        """Assert that effects, log and commits tell the same story, without a gap."""
        effect_rows = await self._rows(sa.select(effects.c.seq, effects.c.amount).order_by(effects.c.seq))
        query = sa.select(events.c.seq, events.c.data).where(events.c.lane == LANE).order_by(events.c.seq)
        logged = [(row.seq, msgspec.json.decode(row.data)["amount"]) for row in await self._rows(query)]
        assert logged == [tuple(row) for row in effect_rows]
        assert [seq for seq, _ in logged] == list(range(1, len(logged) + 1))
        assert sum(await self.commit_counts()) == len(logged)

    async def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        return await self._database.read(lambda tx: tx.execute(query).fetchall())
