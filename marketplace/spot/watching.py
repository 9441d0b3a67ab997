"""The pools as this process knows them, to answer what a bid would get: a projection each, caught up when asked.

Nothing is decided here. What a waiting bid is told rests on the same state that the matcher decides by.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from marketplace.database import Database, Lane
from marketplace.spot import pool_listings
from marketplace.spot.commands import DEFAULT_POOL, AddNode
from marketplace.spot.errors import UnknownNode
from marketplace.spot.projection import Projection

T = TypeVar("T")

WATCH = "spot_watch"
"""Where the application's state has the pools as this process knows them."""


class Watch:
    """The projections of one process. Each is asked by one request at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pools: dict[str, tuple[asyncio.Lock, Projection]] = {}

    async def ask(self, pool: str, question: Callable[[sa.Connection, Projection], T]) -> T:
        """Catch up with a pool and put a question, both in one snapshot. Raises UnknownPool, Busy."""
        if pool not in self._pools:
            await self._database.read_one(pool_listings.find_pool, pool)
            self._pools.setdefault(pool, (asyncio.Lock(), Projection(pool, at_once=None)))
        lock, projection = self._pools[pool]
        async with lock:
            return await self._database.read(_ask, projection, question)


def _ask(tx: sa.Connection, /, projection: Projection, question: Callable[[sa.Connection, Projection], T]) -> T:
    try:
        projection.catch_up(tx)
    except BaseException:
        projection.forget()  # it was cut off in the middle: the next time all is read
        raise
    return question(tx, projection)


# ── a market to try ──────────────────────────────────────────────────────────────────────────────────────────────────

SIMULATED = "simulated"
SIMULATED_SIZE = (8_000, 16_384)
"""Millis of vCPU and MiB."""
OPERATOR = "operator"
"""Whose a node is that nobody is named for."""


async def ensure_simulated_nodes(database: Database, lane: Lane, count: int) -> None:
    """See to it that the pool `default` has so many nodes that only simulate containers; those that are there stay."""
    for number in range(1, count + 1):
        name = f"{SIMULATED}-{number}"
        try:
            await database.read_one(pool_listings.find_node, DEFAULT_POOL, name)
        except UnknownNode:
            cpu, memory = SIMULATED_SIZE
            node = AddNode(
                pool=DEFAULT_POOL,
                node=name,
                provider=OPERATOR,
                backend=SIMULATED,
                cpu_millis=cpu,
                memory_mib=memory,
                owner=secrets.token_hex(8),
                is_admin=True,
            )
            await lane.run(node)
