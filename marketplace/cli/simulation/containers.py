"""`simulate spot`: many bids for little capacity, on nodes that only simulate containers.

Each bid has a size, a price and a length drawn by the seed. What is printed: how fast bids were taken and came to run,
who was evicted, what a unit cost, how much of the nodes was used, and what that was worth beside the ideal.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from marketplace.client import AsyncClient, MarketplaceError
from marketplace.wire import spot, spot_pools

UNIT = (1_000, 2_048)
NODE_UNITS = 8
SAMPLE_SECONDS = 0.5
OPEN_STATES: tuple[spot.BidState, ...] = ("submitted", "matched", "starting", "running", "evicting")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bid that is to be placed. The price is credits an hour for the whole container."""

    username: str
    cpu_millis: int
    memory_mib: int
    per_hour: str
    command: tuple[str, ...]
    on_eviction: spot.OnEviction


@dataclass(kw_only=True)
class Fleet:
    """What is simulated, and afterwards what came of it."""

    bids: int
    nodes: int
    users: int
    clients: int
    seconds: float
    """How long bids come and run; what is left then is cancelled."""
    seed: int
    pool: str = field(default_factory=lambda: f"simulation-{secrets.token_hex(5)}")
    errors: Counter[str] = field(default_factory=Counter)
    samples: list[spot_pools.Utilisation] = field(default_factory=list)
    ended: list[spot.SpotBid] = field(default_factory=list)
    leases: list[spot.Lease] = field(default_factory=list)
    prices: spot_pools.Percentiles | None = None
    candles: list[spot_pools.PriceCandle] = field(default_factory=list)
    placed_in_seconds: float = 0.0

    def draw(self) -> Iterator[Wanted]:
        """Yield the bids: the same for the same seed."""
        dice = random.Random(self.seed)  # noqa: S311 (a simulation, not a secret)
        for _ in range(self.bids):
            share = dice.choice((0.25, 0.5, 1, 1, 2, 4))
            lean = dice.choice((0.5, 1, 1, 1, 2))  # some want more cpu, some more memory
            cpu = max(int(UNIT[0] * share), 10)
            memory = max(int(UNIT[1] * share * lean), 16)
            per_unit = min(round(dice.lognormvariate(0, 0.8), 4), 50.0)
            run = round(dice.uniform(self.seconds / 10, self.seconds), 2)
            yield Wanted(
                f"user-{dice.randrange(self.users)}",
                cpu,
                memory,
                f"{max(per_unit * share * max(lean, 1), 0.05):.6f}",
                ("simulate", f"run={run}"),
                dice.choice(("terminate", "requeue")),
            )

    async def run(self, url: str) -> None:
        """Open a pool with its nodes, bid, watch, cancel what is left, and read what came of it.

        Raises MarketplaceError.
        """
        began_at = datetime.now(UTC)
        async with AsyncClient(url, connections=self.clients + 2) as client:
            await self._open(client)
            watching = asyncio.create_task(self._watch(client))
            await self._place_all(client)
            await asyncio.sleep(self.seconds)
            watching.cancel()
            await self._end(client)
            self.leases = [one async for one in client.spot_leases(pool=self.pool)]
            self.ended = [one async for one in client.spot_bids(pool=self.pool)]
            self.prices = await client.spot_percentiles(pool=self.pool, since=began_at)
            self.candles = (await client.spot_candles("1d", pool=self.pool, since=began_at)).items

    async def _open(self, client: AsyncClient) -> None:
        await client.open_spot_pool(
            self.pool, minimum_runtime_seconds=1, notice_seconds=1, backoff_seconds=1, max_backoff_seconds=8
        )
        settings = {"start_seconds": [0, 0.2], "fails_percent": 2, "hangs_percent": 2, "seed": self.seed}
        for number in range(self.nodes):
            await client.add_spot_node(
                f"node-{number}",
                pool=self.pool,
                backend="simulated",
                cpu_millis=NODE_UNITS * UNIT[0],
                memory_mib=NODE_UNITS * UNIT[1],
                settings=settings,
            )

    async def _place_all(self, client: AsyncClient) -> None:
        waiting = self.draw()
        began = time.perf_counter()
        await asyncio.gather(*(self._place(client, waiting) for _ in range(self.clients)))
        self.placed_in_seconds = time.perf_counter() - began

    async def _place(self, client: AsyncClient, waiting: Iterator[Wanted]) -> None:
        """Be one client: place a bid, wait for the answer, place the next one."""
        for wanted in waiting:
            try:
                await client.place_spot_bid(
                    "simulation:1",
                    cpu_millis=wanted.cpu_millis,
                    memory_mib=wanted.memory_mib,
                    per_hour=wanted.per_hour,
                    command=wanted.command,
                    username=wanted.username,
                    pool=self.pool,
                    on_eviction=wanted.on_eviction,
                    max_preemptions=3,
                )
            except MarketplaceError as error:
                self.errors[error.code] += 1

    async def _watch(self, client: AsyncClient) -> None:
        while True:
            self.samples.append(await client.spot_utilisation(pool=self.pool))
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _end(self, client: AsyncClient) -> None:
        """Cancel what is left, and wait until all of it has ended."""
        deadline = time.monotonic() + 60
        while left := [one async for one in client.spot_bids(pool=self.pool) if one.state in OPEN_STATES]:
            if time.monotonic() > deadline:
                return
            for one in left:
                await client.cancel_spot_bid(one.bid_id)
            await asyncio.sleep(0.5)


# ── whether it was right ─────────────────────────────────────────────────────────────────────────────────────────────


def find_faults(fleet: Fleet) -> Iterator[str]:
    """Yield what the rules do not allow, as the API shows it at rest."""
    bids = {one.bid_id: one for one in fleet.ended}
    if len(bids) + sum(fleet.errors.values()) != fleet.bids:
        yield f"{fleet.bids} bids were sent, {len(bids)} are there and {sum(fleet.errors.values())} were refused."
    yield from (f"The bid {one.bid_id} is still {one.state}." for one in fleet.ended if one.state in OPEN_STATES)
    for sample in fleet.samples:
        if sample.used_cpu_millis > sample.cpu_millis or sample.used_memory_mib > sample.memory_mib:
            yield f"{sample.used_cpu_millis} of {sample.cpu_millis} cpu and {sample.used_memory_mib} MiB were used."
    charged: dict[int, Decimal] = {bid_id: Decimal(0) for bid_id in bids}
    for lease in fleet.leases:
        charged[lease.bid_id] += Decimal(lease.charged)
        if lease.charged != lease.paid:
            yield f"The lease {lease.lease_id} cost {lease.charged}, and {lease.paid} was paid."
        if lease.for_bid is not None and not _pays_more(bids[lease.for_bid], bids[lease.bid_id]):
            yield f"The lease {lease.lease_id} was displaced by the bid {lease.for_bid}, which pays no more."
        if lease.started_at is not None and _cost(lease) < Decimal(lease.charged):
            yield f"The lease {lease.lease_id} cost {lease.charged}, more than its own bid allows."
    for bid_id, amount in charged.items():
        if amount != Decimal(bids[bid_id].charged):
            yield f"The bid {bid_id} says {bids[bid_id].charged}, its leases {amount}."


def per_unit(bid: spot.SpotBid) -> Decimal:
    """Return what a bid offers for a unit, in credits an hour."""
    units = max(Decimal(bid.cpu_millis) / UNIT[0], Decimal(bid.memory_mib) / UNIT[1])
    return Decimal(bid.max_price_per_hour) / units


def _pays_more(bid: spot.SpotBid, victim: spot.SpotBid) -> bool:
    return per_unit(bid) > per_unit(victim)


def _cost(lease: spot.Lease) -> Decimal:
    """Return what a lease would have cost at its own max price, rounded up."""
    assert lease.started_at is not None
    assert lease.ended_at is not None
    hours = Decimal((lease.ended_at - lease.started_at) // timedelta(microseconds=1)) / 3_600_000_000
    return Decimal(lease.max_price_per_hour) * hours + Decimal("0.000001")


def start_seconds(fleet: Fleet) -> Sequence[float]:
    """Return how long each first lease took from its bid's submission to a running container, in order."""
    bids = {one.bid_id: one for one in fleet.ended}
    first: dict[int, float] = {}
    for lease in fleet.leases:
        if lease.started_at is not None and lease.bid_id not in first:
            first[lease.bid_id] = (lease.started_at - bids[lease.bid_id].submitted_at).total_seconds()
    return sorted(first.values())
