"""A day in a pool of its own: events drawn at random, commands that share transactions, two processes that match."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import sqlalchemy as sa

from marketplace import spot
from marketplace.foundation.clock import SECOND
from marketplace.foundation.errors import Refusal
from marketplace.spot import deciding, tables
from marketplace.spot.projection import Projection
from tests.spot.desk import CREDIT, UNIT, Desk

POLICY = spot.Policy(reserve_micros=CREDIT // 2, notice_seconds=20, notice_bounds=(0, 30), backoff_seconds=10)
NODES = "abc"
PRICES = (1, 2, 3, 5, 8, 13, 30, 60)


class Day:
    """Events are drawn with their weights; what they ask for waits until a few commands have come together."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.draw, self.pool = desk, Random(seed), f"day{seed}"
        self.projections = [Projection(self.pool, at_once=at_once, clock=desk.clock) for at_once in (1, None)]
        self.waiting: list[Any] = []
        self.events: dict[Callable[[], Any], int] = {
            self.bid: 12,
            self.bid_within_limits: 3,
            self.match: 10,
            self.start: 8,
            self.wait: 8,
            self.end_one: 4,
            self.end_who_was_told: 4,
            self.look_at_the_clock: 4,
            self.amend: 3,
            self.cancel: 2,
            self.stop: 2,
            self.evict: 1,
            self.set_node: 2,
            self.add_node: 1,
            self.remove_node: 1,
            self.hear: 4,
            self.lose: 1,
            self.clean: 1,
            self.set_pool: 1,
        }

    async def live(self, steps: int) -> None:
        await self.desk.run(spot.OpenPool(spot.Pool(self.pool, POLICY)))
        for node in NODES[:2]:
            await self.add_node(node)
        for event in self.draw.choices(list(self.events), weights=list(self.events.values()), k=steps):
            await event()
            if len(self.waiting) >= self.draw.randint(1, 6):
                await self.settle()
        await self.settle()

    # ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def bid(self) -> None:
        units, price = self.draw.choice((0.5, 1, 1, 2)), self.draw.choice(PRICES)
        wish = {
            "on_eviction": self.draw.choice(("terminate", "requeue")),
            "ttl_seconds": self.draw.choice((None, None, None, 200)),
            "max_preemptions": self.draw.choice((None, 1, 2)),
            "notice_seconds": self.draw.choice((None, 0, 5, 60)),
        }
        self.ask(self.desk.bid(self.somebody(), price * units, units=units, pool=self.pool, **wish))

    async def bid_within_limits(self) -> None:
        price, expires_at = self.draw.choice(PRICES), self.desk.clock() + self.draw.randint(1, 90) * SECOND
        wish = {"budget_micros": self.draw.choice((20_000, 300_000)), "expires_at": expires_at}
        self.ask(self.desk.bid(self.somebody(), price, pool=self.pool, **wish))

    def somebody(self) -> str:
        return f"{self.pool}-{self.draw.choice(('ann', 'bob', 'cy'))}"

    async def amend(self) -> None:
        for bid in await self.some(tables.spot_bids):
            self.ask(spot.AmendBid(bid.bid_id, self.draw.choice(PRICES) * CREDIT))

    async def cancel(self) -> None:
        for bid in await self.some(tables.spot_bids):
            self.ask(spot.CancelBid(bid.bid_id))

    async def stop(self) -> None:
        for lease in await self.some(tables.leases):
            self.ask(spot.StopLease(lease.lease_id))

    async def evict(self) -> None:
        for lease in await self.some(tables.leases, "running"):
            self.ask(spot.EvictLease(lease.lease_id))

    # ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_node(self, node: str | None = None) -> None:
        """Add a node; or let one offer something else, which may be less than it runs."""
        units = self.draw.randint(1, 3)
        self.ask(
            spot.AddNode(
                pool=self.pool,
                node=node or self.draw.choice(NODES),
                provider="pat",
                backend="simulated",
                cpu_millis=units * UNIT[0],
                memory_mib=units * UNIT[1],
                owner=self.draw.randbytes(8).hex(),
            )
        )

    async def set_node(self) -> None:
        state: Any = self.draw.choice(("ready", "ready", "ready", "cordoned", "draining"))
        self.ask(spot.SetNode(pool=self.pool, node=self.draw.choice(NODES), state=state))

    async def remove_node(self) -> None:
        self.ask(spot.RemoveNode(self.pool, self.draw.choice(NODES)))

    async def set_pool(self) -> None:
        margin, reserve = self.draw.choice((0, 500, 5_000)), self.draw.choice((0, CREDIT // 2, 2 * CREDIT))
        self.ask(spot.SetPool(pool=self.pool, margin_basis_points=margin, reserve_micros=reserve))

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Containers that are to start do so, or one of them cannot."""
        fails = self.draw.randint(0, 6)
        for number, lease in enumerate(await self.rows(tables.leases, "starting", "evicting", "stopping")):
            if number == fails:
                self.ask(spot.RecordFailed(lease.lease_id, "no such image"))
            else:
                self.ask(spot.RecordStarted(lease.lease_id, "box", self.desk.clock() - number * SECOND))

    async def end_one(self) -> None:
        for lease in await self.some(tables.leases):
            ended_at = self.desk.clock() - self.draw.randint(-1, 5) * SECOND
            self.ask(spot.RecordEnded(lease.lease_id, ended_at, self.draw.choice((0, 0, 1, None))))

    async def end_who_was_told(self) -> None:
        for lease in await self.rows(tables.leases, "evicting", "stopping"):
            if self.draw.random() < 0.8:
                self.ask(spot.RecordEnded(lease.lease_id, self.desk.clock(), 143))

    async def clean(self) -> None:
        ended = await self.rows(tables.leases, "ended")
        self.ask(spot.RecordClean(tuple(lease.lease_id for lease in ended)))

    async def hear(self) -> None:
        for node in NODES:
            if self.draw.random() < 0.9:
                self.ask(spot.Heartbeat(self.pool, node))

    async def lose(self) -> None:
        self.ask(spot.LoseNodes(60))

    # ── the clock and the matcher ────────────────────────────────────────────────────────────────────────────────────

    async def wait(self) -> None:
        await self.settle()
        self.desk.clock.advance(self.draw.choice((0.5, 5, 20, 70)))

    async def look_at_the_clock(self) -> None:
        for command in (spot.ExpireBids(3), spot.StopOverdue(3), spot.Settle()):
            self.ask(command)

    async def match(self) -> None:
        """Let two processes match at once, or one alone, while other commands are under way."""
        batch, self.waiting = self.waiting, []
        steps = [deciding.step(one, self.desk.database, self.desk.lane) for one in self.projections]
        if self.draw.random() < 0.7:
            steps.pop(self.draw.randint(0, 1)).close()
        *_, outcomes = await asyncio.gather(*steps, self.desk.together(*batch))
        self.check(outcomes)

    def ask(self, command: Any) -> None:
        self.waiting.append(command)

    async def settle(self) -> None:
        """Let what waits share a transaction."""
        batch, self.waiting = self.waiting, []
        self.check(await self.desk.together(*batch))

    def check(self, outcomes: Sequence[Any]) -> None:
        assert [one for one in outcomes if isinstance(one, BaseException) and not _is_usual(one)] == []

    # ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def rows(self, table: sa.Table, *states: str) -> list[Any]:
        query = sa.select(table).where(table.c.pool == self.pool).order_by(*table.primary_key.columns)
        query = query.where(table.c.state.in_(states)) if states else query
        found: list[Any] = await self.desk.read(lambda tx: tx.execute(query).fetchall())
        return found

    async def some(self, table: sa.Table, *states: str) -> list[Any]:
        """Return one of the last rows, or none."""
        return self.draw.sample((await self.rows(table, *states))[-8:], k=1) if await self.rows(table, *states) else []


def _is_usual(error: BaseException) -> bool:
    return isinstance(error, Refusal) and error.code.partition(".")[0] in ("spot", "ledger")
