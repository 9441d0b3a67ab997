"""The ledger without HTTP: commands go to the lane, reads to a snapshot."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import log
from marketplace.ledger import Account, Deposit, Pay, Withdraw, tables
from tests.services.lane_desk import LaneDesk


class Desk(LaneDesk):
    """Where a test moves money. Amounts are micro-credits."""

    OWN = (tables.assets, tables.accounts, tables.transfers, tables.open_holds)

    async def deposit(self, username: str, amount: int, **more: Any) -> ledger.Paid:
        paid: ledger.Paid = await self.run(Deposit(username, amount, **more))
        return paid

    async def withdraw(self, username: str, amount: int, **more: Any) -> ledger.Paid:
        paid: ledger.Paid = await self.run(Withdraw(username, amount, **more))
        return paid

    async def pay(self, username: str, to: str, amount: int, **more: Any) -> ledger.Paid:
        paid: ledger.Paid = await self.run(Pay(username, to, amount, **more))
        return paid

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
