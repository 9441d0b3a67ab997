"""A process of an auction, to be killed and frozen.

    python -m tests.auctions.hand URL BOOK ROLE NAME SEED [CLIENTS COUNT]

sequencer   ticks as often as it can
owner       puts orders out
solver      bids on what is open and delivers what it promised: at once, in parts, too late, or at the very end
market      all of them, two sequencers and three solvers, where a file has one process
crowd       so many clients that send COUNT requests each, some of them nonsense, and end
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketplace import auctions, ledger
from marketplace.auctions.tables import auction_commitments, auction_orders
from marketplace.database import Database, Lane, Limits, money, open_database
from marketplace.foundation import clock
from marketplace.foundation.clock import SECOND
from marketplace.foundation.errors import Refusal

STARTING = 10**9
LOOK_EVERY = 4
"""Requests after which a client of a crowd looks again what there is."""


class Hand:
    """One process with a lane of its own on the common database."""

    def __init__(self, database: Database, lane: Lane, book: str, name: str, *, seed: str) -> None:
        self.database, self.lane, self.book, self.name, self.seed = database, lane, book, name, seed
        self.dice = random.Random(f"{name} {seed}")

    async def ask(self, command: Any) -> Any:
        """Send a command; a refusal is an answer."""
        try:
            return await self.lane.run(command)
        except Refusal as refusal:
            return refusal

    async def rows(self, table: sa.Table, *where: sa.ColumnElement[bool]) -> Sequence[Any]:
        query = sa.select(table).where(table.c.book == self.book, *where).order_by(*table.primary_key).limit(50)
        found: Sequence[Any] = await self.database.read(lambda tx: tx.execute(query).fetchall())
        return found

    async def sequencer(self) -> None:
        while True:
            ticked = await self.ask(auctions.Tick(self.book, self.name, limit=self.dice.choice((1, 3, 1_000))))
            if not getattr(ticked, "more", False):
                await asyncio.sleep(0.01)

    async def owner(self) -> None:
        while True:
            await self.ask(self.an_order())
            await asyncio.sleep(0.03)

    def an_order(self) -> auctions.PlaceOrder:
        budget = self.dice.choice((None, 100, 200))
        lasts = self.dice.choice((None, None, SECOND))
        expires_at = lasts and clock.now() + lasts
        return auctions.PlaceOrder(self.book, self.name, "an order", None, "credit", None, "credit", budget, expires_at)

    async def solver(self) -> None:
        delivering: set[int] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                for order in await self.rows(auction_orders, auction_orders.c.state == "open"):
                    await self.ask(self.a_bid(order.order_id))
                is_mine = (auction_commitments.c.state == "live", auction_commitments.c.solver.startswith(self.name))
                for one in await self.rows(auction_commitments, *is_mine):
                    if one.commitment_id not in delivering:
                        delivering.add(one.commitment_id)
                        group.create_task(self.deliver(one))
                await asyncio.sleep(0.02)

    def a_bid(self, order_id: int) -> auctions.PlaceBid:
        rate = f"{self.dice.randint(1, 3)}.{self.dice.randint(0, 9)}"
        # Under a name of its own each time: who is blocked after two failures would leave the stage empty.
        name = f"{self.name}-{order_id}"
        return auctions.PlaceBid(order_id, name, self.dice.randint(10, 100), rate, clock.now() + 5 * SECOND)

    async def deliver(self, one: Any) -> None:
        match self.dice.randrange(5):
            case 0:
                await self.ask(auctions.Deposit(one.order_id, one.solver))
            case 1:
                for _ in range(2):
                    await self.ask(auctions.Deposit(one.order_id, one.solver, one.min_output // 2 or 1))
                await self.ask(auctions.Deposit(one.order_id, one.solver))
            case 2:
                await self.ask(auctions.Deposit(one.order_id, one.solver, 1))
            case _:  # at the very end: some just in time, some just too late
                await asyncio.sleep((one.ends_at - clock.now()) / SECOND - 0.01)
                await asyncio.gather(*(self.ask(auctions.Deposit(one.order_id, one.solver)) for _ in range(4)))

    async def market(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name in ("sequencer1", "sequencer2", "owner1", "solver1", "solver2", "solver3"):
                hand = Hand(self.database, self.lane, self.book, name, seed=self.seed)
                group.create_task(getattr(hand, name[:-1])())

    async def crowd(self, clients: int, count: int) -> None:
        await asyncio.gather(*(self.client(f"{self.name}-{number}", count) for number in range(clients)))

    async def client(self, name: str, count: int) -> None:
        """Send requests, about half of which are refused; the log has no trace of those."""
        dice = random.Random(f"{name} {self.seed}")
        orders: Sequence[Any] = ()
        for number in range(count):
            if number % LOOK_EVERY == 0:
                orders = await self.rows(auction_orders, auction_orders.c.state.in_(("open", "committed")))
            order_id = dice.choice(orders).order_id if orders and dice.random() < 0.7 else dice.randrange(10**6)
            rate = dice.choice(("1", "2.5", "NaN", "-1", "1e9"))
            commands = (
                self.an_order(),
                auctions.PlaceBid(order_id, name, dice.randint(-5, 150), rate, clock.now() + SECOND),
                auctions.PlaceBid(order_id, name, 10, "2", clock.now() + SECOND),
                auctions.Deposit(order_id, dice.choice(orders).owner if orders else name, 5),
                auctions.CancelOrder(order_id),
                auctions.Tick(self.book, name, dice.choice((None, dice.randrange(40)))),
            )
            await self.ask(dice.choice(commands))


async def main(url: str, book: str, role: str, name: str, seed: str, *numbers: str) -> None:
    database = open_database(url)
    starting = {"starting_credits": STARTING}
    handlers = {**ledger.handlers(**starting), **auctions.handlers(**starting)}
    lane = Lane(money.LANE, database, handlers, limits=Limits(max_waiting_seconds=60))
    await lane.start()
    hand = Hand(database, lane, book, name, seed=seed)
    await getattr(hand, role)(*map(int, numbers))
    await lane.drain()
    await database.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
