"""Rows on auctions: sealed bids over HTTP, the selection of many orders at one tick, and how long a solver waits."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa
import uvloop

from benchmarks import load, machine, mix, stage
from benchmarks.report import Row
from benchmarks.stage import Stage
from marketplace import auctions, ledger
from marketplace.auctions import tables
from marketplace.database import Lane, Limits, money, open_database
from marketplace.foundation import clock
from marketplace.foundation.clock import DAY, HOUR, SECOND
from tests.services.server import Server

BOOK = auctions.DEFAULT_BOOK
CONNECTIONS = 64
OPEN_ORDERS = 100
SELECTED, BIDS = 10_000, 10
CHUNK = auctions.TICK_LIMIT
ROUNDS = 30
TICK_SECONDS = 0.5
RICH = ledger.MAX_AMOUNT


class Ahead:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.by = 0

    def __call__(self) -> int:
        return clock.now() + self.by


class Desk:
    """A lane of one's own."""

    def __init__(self, lane: Lane, now: Ahead) -> None:
        self.lane = lane
        self.now = now

    async def place(self, count: int) -> list[int]:
        """Put orders out, announce them, and return their ids."""
        order = auctions.PlaceOrder(BOOK, "owner", "an order", None, "hour", None, "credit", 1_000_000)
        placed = await asyncio.gather(*(self.lane.run(order) for _ in range(count)))
        waiting = count
        while waiting:
            self.now.by += 2 * SECOND
            waiting -= (await self.lane.run(auctions.Tick(BOOK, "benchmark"))).added
        return [one.order_id for one in placed]


@contextlib.asynccontextmanager
async def _desk(url: str, **settings: Any) -> AsyncIterator[Desk]:
    """Open the books with a rich owner, and set the default book so that much goes into a batch."""
    database = open_database(url)
    handlers = {**ledger.handlers(starting_credits=RICH), **auctions.handlers(starting_credits=RICH)}
    patient = Limits(max_waiting_orders=10**6, max_waiting_seconds=600)
    now = Ahead()
    lane = Lane(money.LANE, database, handlers, limits=patient, clock=now)
    await lane.start()
    await lane.run(auctions.SetBook(BOOK, batch_size=1_000, **settings))
    yield Desk(lane, now)
    await lane.drain()
    await database.close()


# ── bids over HTTP ───────────────────────────────────────────────────────────────────────────────────────────────────


def bids(place: Stage, *, seconds: float, runs: int) -> Row:
    """Sealed bids on a hundred open orders, against handlers that do nothing."""
    with place.database() as url:
        uvloop.run(_announce(url))
        with place.server(url) as server:
            results = mix.against_noop(
                place, server, connections=CONNECTIONS, seconds=seconds, runs=runs, source=load.BIDS
            )
        return mix.noop_row("sealed bids, 64 connections, Postgres, against no-op", results, 0.5, stage.audit(url))


async def _announce(url: str) -> None:
    async with _desk(url, bidding_window_micros=DAY) as desk:
        ids = await desk.place(OPEN_ORDERS)
        assert (ids[0], ids[-1]) == (2, OPEN_ORDERS + 1), "bids.lua bids on these"


# ── selection ────────────────────────────────────────────────────────────────────────────────────────────────────────


def selection(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001 - what all rows are asked
    """Ten thousand orders with ten bids each, whose windows are all over, committed in chunks of a thousand."""
    return _selection_row(place, place.database, "Postgres", runs=runs)


def embedded_selection(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001
    return _selection_row(place, place.sqlite, "SQLite", runs=runs)


def _selection_row(place: Stage, new: Callable[[], AbstractContextManager[str]], engine: str, *, runs: int) -> Row:
    found, books = [], ""
    for _ in range(min(runs, 3)):
        with new() as url:
            found.append(uvloop.run(_select(url, place)))
            books = stage.audit(url)
    took = statistics.median(each["wall"] for each in found)
    what = f"selection of {SELECTED:,} orders with {BIDS} bids each, {engine}"
    return Row(what, f"{took:.2f} s", "≤ 2 s", took <= 2, [*map(_told, found), books])


async def _select(url: str, place: Stage) -> dict[str, float]:
    # A day to deliver: on a busy machine the first ones would be over before the last ones have begun.
    async with _desk(url, bidding_window_micros=HOUR, fulfil_micros=DAY) as desk:
        ids = await desk.place(SELECTED)
        for number in range(BIDS):
            rates = [f"{(one * 7 + number * 13) % 90 + 10}0000" for one in ids]
            valid_till = desk.now() + 2 * HOUR
            bidding = [
                auctions.PlaceBid(one, f"s{number}", 100 + number, rate, valid_till)
                for one, rate in zip(ids, rates, strict=True)
            ]
            await asyncio.gather(*map(desk.lane.run, bidding))
        desk.now.by += HOUR
        before, own = machine.cpu_seconds([place.postgres_pid]), time.process_time()
        chunks, selected, more = [], 0, True
        while more:
            began = time.perf_counter()
            ticked = await desk.lane.run(auctions.Tick(BOOK, "benchmark", limit=CHUNK))
            chunks.append(time.perf_counter() - began)
            selected, more = selected + ticked.selected, ticked.more
        assert selected == SELECTED
        return {
            "wall": sum(chunks),
            "longest": max(chunks),
            "lane": time.process_time() - own,
            "postgres": machine.cpu_seconds([place.postgres_pid]) - before,
        }


def _told(each: dict[str, float]) -> str:
    cpu = f"{each['lane']:.2f} s of CPU in the lane's process, {each['postgres']:.2f} in PostgreSQL"
    return f"{each['wall']:.2f} s, the longest of {SELECTED // CHUNK} transactions {each['longest']:.2f} s, {cpu}"


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def waiting(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001
    """From the end of a window to its commitment, with two processes that tick; and when one of them is killed."""
    with place.database() as url, contextlib.ExitStack() as stack:
        servers = [Server(place.folder, url, command="work") for _ in range(2)]
        for each in servers:
            stack.callback(each.close)
            each.start()
        lags, longest = uvloop.run(_watch(url, servers))
        books = stage.audit(url)
    lags.sort()
    notes = [
        f"from the end of a window to its commitment: p50 {lags[len(lags) // 2]:.2f} s, longest {lags[-1]:.2f} s",
        f"ticks of {TICK_SECONDS} s, {len(lags)} orders; one of two is killed after a third of them",
        books,
    ]
    what = "the longest wait for a commitment when one of two sequencers is killed"
    return Row(what, f"{longest:.2f} s", "–", None, notes)


async def _watch(url: str, servers: list[Server]) -> tuple[list[float], float]:
    """Return how long each order waited for its commitment, and the longest of those after the kill."""
    settings = {"tick_micros": round(TICK_SECONDS * SECOND), "bidding_window_micros": SECOND // 2}
    async with _desk(url, fulfil_micros=HOUR, **settings) as desk:
        for number in range(ROUNDS):
            order = auctions.PlaceOrder(BOOK, "owner", "an order", None, "hour", None, "credit", 1_000_000)
            placed = await desk.lane.run(order)
            await _until_announced(url, placed.order_id)
            await desk.lane.run(auctions.PlaceBid(placed.order_id, "s", 10, "900000", desk.now() + HOUR))
            if number == ROUNDS // 3:
                servers[0].kill()
            await asyncio.sleep(0.5 + TICK_SECONDS * 2)
    return await _read_lags(url)


async def _until_announced(url: str, order_id: int) -> None:
    orders = tables.auction_orders.c
    query = sa.select(orders.state).where(orders.order_id == order_id)
    database = open_database(url)
    try:
        async with asyncio.timeout(30):
            while await database.read(lambda tx: tx.scalar(query)) != "open":  # noqa: ASYNC110 (others do it)
                await asyncio.sleep(0.02)
    finally:
        await database.close()


async def _read_lags(url: str) -> tuple[list[float], float]:
    added, created = tables.auction_orders.c.added_at, tables.auction_commitments.c.created_at
    query = sa.select(created - added - SECOND // 2).join(
        tables.auction_orders, tables.auction_orders.c.order_id == tables.auction_commitments.c.order_id
    )
    database = open_database(url)
    try:
        lags = await database.read(lambda tx: list(tx.execute(query.order_by(created)).scalars()))
    finally:
        await database.close()
    found = [each / SECOND for each in lags]
    return found, max(found[ROUNDS // 3 :])
