"""Auctions without HTTP: commands go to the lane, reads to a snapshot. Amounts are units: micro-credits, hours."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace import auctions, ledger
from marketplace.auctions import model, tables
from marketplace.auctions.model import (
    CancelOrder,
    Claim,
    Commitment,
    Deposit,
    Deposited,
    OpenBook,
    Order,
    PlaceBid,
    PlaceOrder,
    SolverBid,
    Tick,
    Ticked,
)
from marketplace.foundation.clock import SECOND
from tests.services.lane_desk import LaneDesk

WINDOW, FULFIL, GRACE = 5, 10, 2
"""Of the default book, in seconds."""


class Desk(LaneDesk):
    """Where a test puts orders out and solvers bid."""

    OWN = tuple(
        table for name, table in vars(tables).items() if name.startswith("auction_") and isinstance(table, sa.Table)
    )

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def give(self, username: str, amount: int, asset: str = "credit") -> None:
        await self.run(ledger.Deposit(username, amount, asset=asset))

    async def open_book(self, book: str, **settings: Any) -> model.Book:
        opened: model.Book = await self.run(OpenBook(book, **settings))
        return opened

    async def place(self, owner: str = "ann", **more: Any) -> Order:
        """Put an order for hours out, for at most 100 units of credits."""
        fields: dict[str, Any] = {
            "book": "default",
            "description": "some hours",
            "payload": None,
            "output_asset": "hour",
        }
        fields |= {"limit_output": None, "input_asset": "credit", "input_budget": 100}
        order: Order = await self.run(PlaceOrder(owner=owner, **fields | more))
        return order

    async def announced(self, owner: str = "ann", **more: Any) -> Order:
        """Put an order out and tick, so that it takes bids."""
        order = await self.place(owner, **more)
        if not (await self.tick(book=order.book)).added:
            await self.tick(2, book=order.book)
        return await self.order(order.order_id)

    async def bid(
        self, order_id: int, solver: str = "s1", *, output: int = 20, most: int = 10, **more: Any
    ) -> SolverBid:
        bid: SolverBid = await self.run(self.a_bid(order_id, solver, output=output, most=most, **more))
        return bid

    def a_bid(
        self, order_id: int, solver: str = "s1", *, output: int = 20, most: int = 10, valid: float = 3_600
    ) -> PlaceBid:
        """A bid of `most` micro-credits for `output` hours."""
        rate = f"{output * 10**6 // most}"
        return PlaceBid(order_id, solver, most, rate, self.clock() + round(valid * SECOND))

    async def cancel(self, order_id: int) -> Order:
        order: Order = await self.run(CancelOrder(order_id))
        return order

    async def deposit(self, order_id: int, solver: str = "s1", amount: int | None = None, **more: Any) -> Deposited:
        deposited: Deposited = await self.run(Deposit(order_id, solver, amount, **more))
        return deposited

    async def claim(self, order_id: int, solver: str = "s1") -> Commitment:
        commitment: Commitment = await self.run(Claim(order_id, solver))
        return commitment

    async def tick(self, seconds: float = 0, *, book: str = "default", **more: Any) -> Ticked:
        """Let time go by and tick once."""
        self.clock.advance(seconds)
        ticked: Ticked = await self.run(Tick(book, more.pop("sequencer", "q"), **more))
        return ticked

    async def clock_past(self, instant: int) -> None:
        """Let time go by until an instant."""
        self.clock.instant = max(self.clock.instant, instant)

    async def committed(self, *solvers: str, **more: Any) -> Order:
        """Put an order out, let solvers bid less and less, and the first one be committed."""
        order = await self.announced(**more)
        for number, solver in enumerate(solvers or ("s1",)):
            await self.bid(order.order_id, solver, output=20 - number)
        ticked = await self.tick(WINDOW, book=order.book)
        assert ticked.selected == 1
        return await self.order(order.order_id)

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def order(self, order_id: int) -> Order:
        (row,) = await self.rows(tables.auction_orders, order_id=order_id)
        return Order(*row)

    async def commitments(self, order_id: int) -> list[Commitment]:
        found = await self.rows(tables.auction_commitments, order_id=order_id)
        return [Commitment(*(getattr(row, name) for name in Commitment.__struct_fields__)) for row in found]

    async def commitment(self, order_id: int) -> Commitment:
        """Return the newest commitment of an order."""
        return (await self.commitments(order_id))[-1]

    async def record(self, solver: str, book: str = "default") -> model.SolverRecord:
        (row,) = await self.rows(tables.auction_solvers, book=book, solver=solver)
        return model.SolverRecord(*row)

    async def has(self, username: str, asset: str = "credit") -> tuple[int, int]:
        """Return balance and available of a wallet."""
        found = await self.read(ledger.balance, ledger.wallet(username, asset=asset))
        return (found.balance, found.available) if found else (0, 0)

    async def log(self, book: str = "default") -> list[str]:
        """Return the kinds of a book's log, in order."""
        rows = await self.rows(tables.auction_log, book=book)
        assert [row.log_offset for row in rows] == list(range(len(rows)))
        return [row.kind for row in rows]

    async def said(self, kind: type[Any], book: str = "default") -> list[Any]:
        """Return what entries of a kind say."""
        rows = await self.rows(tables.auction_log, book=book, kind=kind.__name__)
        return [msgspec.json.decode(row.data, type=kind) for row in rows]

    async def audit(self) -> list[str]:
        """Return what is wrong with the ledger or with the auctions."""
        return [*await self.read(ledger.audit), *await self.read(auctions.audit)]
