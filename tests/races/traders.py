"""Traders who all trade at once, on the same markets and on each other's bids, and note what they were told."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from marketplace.client import NEVER_AGAIN, AsyncClient, Conflict, MarketplaceError, NotFound
from marketplace.wire import hours as wire

ANSWER_SECONDS = 60.0


@dataclass
class Noted:
    """What all traders were told."""

    bids: dict[int, wire.Bid] = field(default_factory=dict)
    """The last answer about each bid that was acknowledged."""
    supplies: dict[int, wire.Supply] = field(default_factory=dict)
    cancelled: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    """Every answer that is neither done nor a refusal; there must be none."""
    answers: int = 0


@dataclass
class Trader:
    """One client with one request on its way at a time. Its dice make it do the same again."""

    client: AsyncClient
    dice: random.Random
    noted: Noted
    markets: Sequence[str]

    async def trade(self, orders: int) -> None:
        for _ in range(orders):
            market = self.dice.choice(self.markets)
            try:
                await self._do_something(market)
            except (Conflict, NotFound) as refusal:
                self.noted.refused[str(refusal.code)] += 1
            except MarketplaceError as error:
                self.noted.strange.append(repr(error))
            self.noted.answers += 1

    async def _do_something(self, market: str) -> None:
        steps = {
            self._place_bid: 40,
            self._add_supply: 18,
            self._cancel_bid: 10,
            self._amend_bid: 12,
            self._withdraw_supply: 5,
            self._run_orders: 6,
            self._look: 9,
        }
        (step,) = self.dice.choices(list(steps), list(steps.values()))
        await step(market)

    async def _place_bid(self, market: str) -> None:
        life: wire.TimeInForce = self.dice.choice(["gtc", "gtc", "gtc", "gtc", "ioc", "fok"])
        expires_at = None
        if life == "gtc" and self.dice.random() < 0.2:
            expires_at = datetime.now(UTC) + timedelta(seconds=self.dice.uniform(0.01, 1))
        bid = await self.client.place_bid(
            self._username(),
            volume=self.dice.randint(1, 20),
            price=self.dice.randint(0, 5),
            market=market,
            time_in_force=life,
            expires_at=expires_at,
        )
        self.noted.bids[bid.bid_id] = bid

    async def _add_supply(self, market: str) -> None:
        supply = await self.client.add_supply(
            self.dice.randint(1, 60), market=market, min_price=self.dice.choice([0, 0, 2, 5]), provider="p1"
        )
        self.noted.supplies[supply.supply_id] = supply

    async def _cancel_bid(self, market: str) -> None:
        bid_id = self._some_bid(market)
        bid = await self.client.cancel_bid(bid_id, market=market)
        self.noted.bids[bid_id] = bid
        self.noted.cancelled[bid_id] += 1

    async def _amend_bid(self, market: str) -> None:
        volume, price = self.dice.choice([(self.dice.randint(1, 30), None), (None, self.dice.randint(0, 5))])
        await self.client.amend_bid(self._some_bid(market), market=market, volume=volume, price=price)

    async def _withdraw_supply(self, market: str) -> None:
        supplies = [each for each in self.noted.supplies.values() if each.market == market][-10:]
        supply_id = self.dice.choice(supplies).supply_id if supplies else 1
        await self.client.withdraw_supply(supply_id, market=market)

    async def _run_orders(self, market: str) -> None:
        orders: list[wire.BuyOrder | wire.SellOrder] = [
            wire.BuyOrder(self.dice.randint(1, 20), self.dice.randint(0, 5), self._username())
            if self.dice.random() < 0.7
            else wire.SellOrder(self.dice.randint(1, 40))
            for _ in range(self.dice.randint(1, 20))
        ]
        if self.dice.random() < 0.3:
            orders.append(wire.BuyOrder(10**9, 0, "u1", time_in_force="fok"))  # it is refused
        await self.client.run_orders(orders, market=market, atomic=self.dice.random() < 0.5)

    async def _look(self, market: str) -> None:
        book = await self.client.book(market=market)
        if book.bids and book.supplies and book.bids[0].price >= book.supplies[0].price:
            self.noted.strange.append(f"a bid and a supply that match wait side by side: {book}")

    def _some_bid(self, market: str) -> int:
        """Return a recent bid of anybody's, so that several reach for the same one."""
        bids = [each.bid_id for each in list(self.noted.bids.values())[-60:] if each.market == market]
        return self.dice.choice(bids) if bids else 1

    def _username(self) -> str:
        return f"u{self.dice.randint(1, 12)}"


async def trade_all(urls: Sequence[str], *, markets: Sequence[str], traders: int, orders: int, seed: int = 1) -> Noted:
    """Let the traders loose, spread evenly over the servers; return what they were told."""
    noted = Noted()
    clients = [AsyncClient(url, retry=NEVER_AGAIN, timeout_seconds=ANSWER_SECONDS) for url in urls]
    try:
        for market in markets:
            await clients[0].create_market(market)
        crowd = [
            Trader(clients[number % len(clients)], random.Random(f"{seed} {number}"), noted, markets)
            for number in range(traders)
        ]
        await asyncio.gather(*(trader.trade(orders) for trader in crowd))
    finally:
        for client in clients:
            await client.close()
    return noted


async def outcomes(*calls: Any) -> list[Any]:
    """Run calls at once; return answers and refusals, and raise anything else."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, (Conflict, NotFound)):
            raise each
    return found
