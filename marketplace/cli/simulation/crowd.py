"""The clients of a simulation, all at once."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from marketplace.cli.simulation import audit, orders
from marketplace.cli.simulation.journal import Journal
from marketplace.cli.simulation.measures import Measures
from marketplace.cli.simulation.orders import Batch, Buy, Cancel, Mix, Sell
from marketplace.client import AsyncClient, Conflict, MarketplaceError
from marketplace.wire import hours


@dataclass(kw_only=True)
class Crowd:
    """So many clients that share so many requests; afterwards it holds what they were told and how long it took."""

    mix: Mix
    clients: int
    requests: int
    seed: int
    market: str = field(default_factory=lambda: f"simulation-{secrets.token_hex(5)}")
    journal: Journal = field(default_factory=Journal)
    measures: Measures = field(default_factory=Measures)

    async def trade_and_audit(self, url: str, console: Console) -> list[str]:
        """Trade on the market and return the faults of its books. Raises MarketplaceError."""
        async with AsyncClient(url, connections=self.clients) as client:
            with _progress(console) as progress:
                task = progress.add_task("trading", total=self.requests)
                began = time.perf_counter()
                await asyncio.gather(*[self._trade(client, number, progress, task) for number in range(self.clients)])
                self.measures.wall_seconds = time.perf_counter() - began
            return await audit.find_faults(client, self.market, self.journal)

    async def _trade(self, client: AsyncClient, number: int, progress: Progress, task: TaskID) -> None:
        """Be one client: act, wait for the answer, act again."""
        trader = Trader(client, self.market, self.journal, self.measures)
        share = self.requests // self.clients + (number < self.requests % self.clients)
        for action in itertools.islice(orders.draw(self.mix, seed=self.seed, client=number), share):
            await trader.act(action)
            progress.advance(task)


@dataclass
class Trader:
    """One client, with the bids of its own that it believes to be open."""

    client: AsyncClient
    market: str
    journal: Journal
    measures: Measures
    open_bids: list[int] = field(default_factory=list)

    async def act(self, action: orders.Action) -> None:
        """Send a request, wait for its end and write down what came of it."""
        if isinstance(action, Cancel) and not self.open_bids:
            action = action.otherwise
        began = time.perf_counter()
        try:
            await self._send(action)
        except MarketplaceError as error:
            self.measures.errors[error.code] += 1
        size = len(action.orders) if isinstance(action, Batch) else 1
        self.measures.note(type(action).__name__.lower(), time.perf_counter() - began, orders=size)

    async def _send(self, action: orders.Action) -> None:
        match action:
            case Buy():
                await self._buy(action)
            case Sell():
                await self._sell(action)
            case Cancel():
                await self._cancel(self.open_bids.pop(int(action.pick * len(self.open_bids))))
            case Batch():
                await self._run(action)

    async def _buy(self, order: Buy) -> None:
        with self.journal.watch([order]):
            bid = await self.client.place_bid(
                order.username, volume=order.volume, price=order.price, market=self.market
            )
        self._note(order, bid.bid_id, bid.allocated, bid.remaining)

    async def _sell(self, order: Sell) -> None:
        with self.journal.watch([order]):
            supply = await self.client.add_supply(
                order.volume, min_price=order.min_price, provider=order.provider, market=self.market
            )
        self._note(order, supply.supply_id, supply.allocated, supply.remaining)

    async def _cancel(self, bid_id: int) -> None:
        try:
            bid = await self.client.cancel_bid(bid_id, market=self.market)
        except Conflict:
            self.journal.too_late.add(bid_id)
            raise
        except MarketplaceError as error:
            if not error.outcome_known:
                self.journal.unanswered_cancels.add(bid_id)
            raise
        self.journal.cancelled[bid_id] = bid.allocated

    async def _run(self, batch: Batch) -> None:
        with self.journal.watch(batch.orders):
            answer = await self.client.run_orders(_on_the_wire(batch.orders), market=self.market)
        for order, result in zip(batch.orders, answer.results, strict=True):
            order_id = result.bid_id if isinstance(order, Buy) else result.supply_id
            if order_id is None or result.allocated is None or result.remaining is None:
                self.measures.errors[result.code or "no_code"] += 1
            else:
                self._note(order, order_id, result.allocated, result.remaining)

    def _note(self, order: Buy | Sell, order_id: int, allocated: int, remaining: int) -> None:
        self.journal.note(order, order_id, allocated=allocated)
        if isinstance(order, Buy) and remaining:
            self.open_bids.append(order_id)


def _on_the_wire(batch: Sequence[Buy | Sell]) -> list[hours.BuyOrder | hours.SellOrder]:
    return [
        hours.BuyOrder(order.volume, order.price, order.username)
        if isinstance(order, Buy)
        else hours.SellOrder(order.volume, order.min_price, order.provider)
        for order in batch
    ]


def _progress(console: Console) -> Progress:
    """Return a bar for a terminal; in a pipe it stays silent."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
