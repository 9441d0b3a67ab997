"""The ledger without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import Database, Lane, log
from marketplace.foundation.errors import Refusal
from marketplace.ledger import Account, Deposit, Pay, Withdraw, tables
from tests.services.clock import SettableClock

OWN = (tables.assets, tables.accounts, tables.transfers, tables.open_holds)


class Desk:
    """Where a test moves money. Amounts are micro-credits."""

    def __init__(self, lane: Lane, database: Database, clock: SettableClock) -> None:
        self.lane = lane
        self.database = database
        self.clock = clock

    async def run(self, command: Any) -> Any:
        return await self.lane.run(command)

    async def together(self, *commands: Any) -> list[Any]:
        """Submit commands at once, so that they share a transaction; refusals are among the outcomes."""
        return await asyncio.gather(*(self.lane.run(each) for each in commands), return_exceptions=True)

    async def deposit(self, username: str, amount: int, **more: Any) -> ledger.Paid:
        paid: ledger.Paid = await self.run(Deposit(username, amount, **more))
        return paid

    async def withdraw(self, username: str, amount: int, **more: Any) -> ledger.Paid:
        paid: ledger.Paid = await self.run(Withdraw(username, amount, **more))
        return paid

    async def pay(self, username: str, to: str, amount: int, **more: Any) -> ledger.Paid:
        paid: ledger.Paid = await self.run(Pay(username, to, amount, **more))
        return paid

    async def refused(self, command: Any, kind: type[Refusal]) -> Refusal:
        """Expect a refusal that leaves no trace: no row and no seq."""
        before = await self.everything()
        with pytest.raises(kind) as caught:
            await self.lane.run(command)
        assert await self.everything() == before
        assert type(caught.value) is kind
        return caught.value

    async def read(self, question: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return await self.database.read(question, *given, **named)

    async def wallet(self, username: str, asset: str = ledger.CREDIT, scope: str = ledger.SCOPE) -> Account | None:
        found: Account | None = await self.read(ledger.balance, ledger.wallet(username, asset=asset, scope=scope))
        return found

    async def has(self, username: str) -> tuple[int, int]:
        """Return balance and available of a wallet of credits."""
        found = await self.wallet(username)
        return (found.balance, found.available) if found else (0, 0)

    async def log(self) -> list[tuple[str, str, str | None, dict[str, Any]]]:
        """Return topic/kind, subject, member and data of the lane's entries."""
        events = log.events

        def select(tx: sa.Connection) -> list[Any]:
            query = sa.select(events).where(events.c.lane == self.lane.name).order_by(events.c.seq)
            return [
                (f"{row.topic}/{row.kind}", row.subject, row.member, msgspec.json.decode(row.data))
                for row in tx.execute(query)
            ]

        found: list[tuple[str, str, str | None, dict[str, Any]]] = await self.read(select)
        return found

    async def audit(self) -> list[str]:
        return list(await self.read(ledger.audit))

    async def everything(self) -> dict[str, list[Any]]:
        """Return every row that the ledger has."""

        def select_all(tx: sa.Connection) -> dict[str, list[Any]]:
            return {
                table.name: [tuple(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
                for table in (*OWN, log.events, log.commits)
            }

        found: dict[str, list[Any]] = await self.read(select_all)
        return found
