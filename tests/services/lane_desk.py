"""What the desks of all modules share: a test stands before a lane, without HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import pytest
import sqlalchemy as sa

from marketplace.database import Apply, Database, Lane, Limits, log
from marketplace.foundation.errors import Refusal
from tests.services import raw
from tests.services.clock import SettableClock


class LaneDesk:
    """Commands go to the lane, reads to a snapshot. Whoever changes rows behind the lane's back sets `is_tampered`."""

    OWN: ClassVar[Sequence[sa.Table]]
    """The tables of the module; the log's are looked at besides."""

    def __init__(self, lane: Lane, database: Database, clock: SettableClock) -> None:
        self.lane = lane
        self.database = database
        self.clock = clock
        self.is_tampered = False

    async def run(self, command: Any) -> Any:
        return await self.lane.run(command)

    async def together(self, *commands: Any) -> list[Any]:
        """Submit commands at once, so that they share a transaction; refusals are among the outcomes."""
        return await asyncio.gather(*(self.lane.run(each) for each in commands), return_exceptions=True)

    async def refused(self, command: Any, kind: type[Refusal]) -> Refusal:
        """Expect a refusal that leaves no trace: no row and no seq."""
        before = await self.everything()
        with pytest.raises(Refusal) as caught:
            await self.lane.run(command)
        assert await self.everything() == before
        assert type(caught.value) is kind, caught.value
        return caught.value

    async def read(self, question: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return await self.database.read(question, *given, **named)

    async def rows(self, table: sa.Table, **where: Any) -> list[Any]:
        """Return the rows of a table whose columns are as given, by its key."""
        query = sa.select(table).order_by(*table.primary_key.columns)
        for name, value in where.items():
            query = query.where(table.c[name] == value)
        found: list[Any] = await self.read(lambda tx: tx.execute(query).fetchall())
        return found

    async def everything(self) -> Mapping[str, list[Any]]:
        """Return every row that the module and the log have."""

        def select_all(tx: sa.Connection) -> dict[str, list[Any]]:
            return {
                table.name: [tuple(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
                for table in (*self.OWN, log.events, log.commits)
            }

        found: Mapping[str, list[Any]] = await self.read(select_all)
        return found

    async def audit(self) -> list[str]:
        """Return what is wrong with the books."""
        raise NotImplementedError

    async def tamper(self, *statements: str) -> None:
        """Change rows by raw SQL, past the lane."""
        self.is_tampered = True
        await raw.execute(self.database, *statements)


SomeDesk = TypeVar("SomeDesk", bound=LaneDesk)


@contextlib.asynccontextmanager
async def opened(
    desk: type[SomeDesk],
    database: Database,
    clock: SettableClock,
    *,
    name: str,
    handlers: Mapping[type, Apply],
    balances: bool = True,
) -> AsyncIterator[SomeDesk]:
    """Open a desk before a lane of that name. Afterwards the books must balance, where nothing else is said."""
    lane = Lane(name, database, handlers, limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    one = desk(lane, database, clock)
    yield one
    await lane.drain()
    assert one.is_tampered or not balances or await one.audit() == []
