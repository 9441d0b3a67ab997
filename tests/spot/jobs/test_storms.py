"""A storm of bids, cancels, evictions, failures and ends, with one process and with two: then the books are right."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import sqlalchemy as sa

from marketplace import addresses
from marketplace.ledger import tables as ledger_tables
from marketplace.spot import errors, tables
from marketplace.spot.commands import AmendBid, CancelBid, EvictLease
from tests.spot.jobs.bills import integral
from tests.spot.jobs.test_addresses import given_out
from tests.spot.jobs.town import CREDIT, OPEN, Town

NODES = ("n1", "n2", "n3")
UNITS_OF_NODE = 4
FATES = (
    ("run=0.3",),
    ("run=1", "exit=3"),
    ("run=0.5", "out_of_memory=true"),
    ("start=0.5", "run=0.5"),
    ("fails=no such image",),
    ("hangs=true",),
    (),
)


class Storm:
    """Traders who bid and think better of it, all at once."""

    def __init__(self, towns: list[Town], *, bids: int, seed: int) -> None:
        self.towns = towns
        self.dice = random.Random(seed)
        self.left = bids
        self.bids: list[int] = []
        self.amended: set[int] = set()

    async def rage(self) -> None:
        await asyncio.gather(*(self._trade(f"u{number}") for number in range(6)))

    async def _trade(self, username: str) -> None:
        while self.left > 0:
            self.left -= 1
            town = self.dice.choice(self.towns)
            wish = {
                "on_eviction": self.dice.choice(["terminate", "requeue"]),
                "ttl_seconds": self.dice.choice([None, 2]),
            }
            fate, price, units = self.dice.choice(FATES), self.dice.randint(1, 9), self.dice.randint(1, 3)
            self.bids.append(await town.bid(username, *fate, price=price, units=units, **wish))
            await asyncio.sleep(self.dice.uniform(0, 1))
            with contextlib.suppress(errors.BidOver, errors.LeaseNotRunning, errors.UnknownLease, errors.BelowReserve):
                await self._change_ones_mind(town, self.dice.choice(self.bids))

    async def _change_ones_mind(self, town: Town, bid_id: int) -> None:
        what = self.dice.random()
        if what < 0.3:
            await town.do(CancelBid(bid_id))
        elif what < 0.5:
            await town.do(AmendBid(bid_id, self.dice.randint(3, 30) * CREDIT))
            self.amended.add(bid_id)
        elif what < 0.6:
            lease_id = (await town.bid_row(bid_id)).lease_id
            await town.do(EvictLease(lease_id or 0))


async def weather(towns: list[Town], *, bids: int) -> None:
    """Let a storm pass, then have everybody go home."""
    town, storm = towns[0], Storm(towns, bids=bids, seed=7)
    await town.service.lanes[addresses.LANE].run(addresses.CreateNetwork("cells", "10.1.0.0/24"))
    await town.set_pool(network="cells")
    for name in NODES:
        await town.node(name, units=UNITS_OF_NODE)
    async with contextlib.AsyncExitStack() as working:
        for each in towns:
            await working.enter_async_context(each.working())
        await storm.rage()
        await asyncio.gather(*(town.cancel(bid_id) for bid_id in storm.bids))
        for bid_id in storm.bids:
            await town.until(bid_id, "evicted", "completed", "cancelled", "failed", seconds=60)

        async def is_quiet() -> bool:
            return await given_out(town, "cells") == [] and not [
                each for n in NODES for each in await town.running_on(n)
            ]

        await town.wait_for(is_quiet, what="containers and addresses to be gone")
    await check(town, amended=storm.amended)


async def check(town: Town, *, amended: set[int]) -> None:
    assert await town.rows(sa.select(ledger_tables.open_holds)) == []
    assert not [row for row in await town.rows(sa.select(tables.spot_bids)) if row.state in OPEN]
    leases = await town.leases()
    assert {lease.cause for lease in leases} >= {"evicted", "stopped", "exited", "start_failed"}, "it was no storm"
    for lease in leases:
        assert lease.charged_micros == lease.paid_micros
        if lease.bid_id not in amended:
            # Its end was seen later than it came, and what was charged beyond is given back by a line's time.
            assert 0 <= await integral(town, lease) - lease.charged_micros <= 1
    assert await overfilled(town, leases) == []


async def overfilled(town: Town, leases: list[sa.Row[tuple[object, ...]]]) -> list[str]:
    """Return at which starts more ran on a node than it has room for."""
    rows = await town.rows(sa.select(tables.spot_bids))
    cpu = {row.bid_id: row.cpu_millis for row in rows}
    ran = [lease for lease in leases if lease.started_at is not None]
    return [
        f"{one.node} at {one.started_at}"
        for one in ran
        if sum(
            cpu[other.bid_id]
            for other in ran
            if other.node == one.node and other.started_at <= one.started_at < other.ended_at
        )
        > UNITS_OF_NODE * 1_000
    ]


async def test_a_storm_leaves_nothing_behind(town: Town, *, is_soak: bool) -> None:
    await weather([town], bids=600 if is_soak else 60)


async def test_a_storm_over_two_processes_leaves_nothing_behind(
    postgres_url: str, tmp_path: Path, *, is_soak: bool
) -> None:
    towns = [Town(postgres_url, tmp_path) for _ in range(2)]
    for town in towns:
        await town.open()
    await towns[0].set_pool(reserve_micros=CREDIT, minimum_runtime_seconds=0, notice_seconds=1, backoff_seconds=1)
    await weather(towns, bids=600 if is_soak else 60)
    await towns[0].check()
    for town in towns:
        await town.close()
