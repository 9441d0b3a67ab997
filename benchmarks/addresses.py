"""Rows on the address pool over HTTP: against a handler that does nothing, and with a million addresses given out."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator

from benchmarks import load, mix, report, stage
from benchmarks.report import Row
from benchmarks.stage import BenchmarkServer, Stage
from marketplace import addresses
from marketplace.database import Lane, open_database
from tests.services import postgres

CONNECTIONS = 64
NETWORK = ("--network", "10.0.0.0/8")
FEW, MANY = 1_000, 1_000_000

# Addresses, VMs and their log as if somebody had asked for them one by one in a single transaction: the audit proves
# it. The network is entry 1 of the log, so address n is given out by entry n.
FILL = (
    """INSERT INTO events (lane, seq, at, topic, kind, subject, member, data)
    SELECT 'addresses', n, at, 'addresses', 'address_assigned', 'default/' || host('10.0.0.0'::inet + n), NULL,
        format('{{"type":"address_assigned","network":"default","ip":"%s","vm_id":"vm-%s","hostname":null,"owner":null}}',
            host('10.0.0.0'::inet + n), n)
    FROM generate_series(2::bigint, {count} + 1) AS n, (SELECT at FROM commits WHERE lane = 'addresses') AS made""",
    """INSERT INTO addresses (network, ip_offset, ip, vm_id, seq, assigned_at)
    SELECT 'default', lpad(to_hex(n), 32, '0'), host('10.0.0.0'::inet + n), 'vm-' || n, n, at
    FROM generate_series(2::bigint, {count} + 1) AS n, (SELECT at FROM commits WHERE lane = 'addresses') AS made""",
    "UPDATE segments SET next_offset = lpad(to_hex({count} + 2), 32, '0')",
    "UPDATE networks SET assigned = {count}",
    """INSERT INTO commits (lane, last_seq, token, count, at)
    SELECT 'addresses', {count} + 1, 'filled', {count}, at FROM commits WHERE lane = 'addresses'""",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",
)


def allocations(place: Stage, *, seconds: float, runs: int) -> Row:
    with place.database() as url, place.server(url, *NETWORK) as server:
        results = mix.against_noop(
            place, server, connections=CONNECTIONS, seconds=seconds, runs=runs, source=load.ALLOCATIONS
        )
        books = stage.audit(url)
    return mix.noop_row("allocate, 64 connections, Postgres, against no-op", results, 0.6, books)


def embedded_allocations(place: Stage, *, seconds: float, runs: int) -> Row:
    with place.sqlite() as url:
        with place.server(url, *NETWORK) as server:
            results = mix.against_noop(
                place, server, connections=CONNECTIONS, seconds=seconds, runs=runs, source=load.ALLOCATIONS
            )
        books = stage.audit(url)
    return mix.noop_row("allocate, 64 connections, SQLite, against no-op", results, 0.6, books)


def with_a_million(place: Stage, *, seconds: float, runs: int) -> Row:
    """Compare a network with a million addresses given out to one with a thousand."""
    with contextlib.ExitStack() as stack:
        sides = {
            f"{count:,} assigned": functools.partial(
                mix.over_http,
                [stack.enter_context(_filled(place, count))],
                place,
                connections=CONNECTIONS,
                source=load.ALLOCATIONS,
            )
            for count in (MANY, FEW)
        }
        results = mix.alternate(sides, seconds=seconds, runs=runs)
    what = "allocate with 1 000 000 assigned against 1 000"
    return report.ratio_row(what, load.ratios(*results.values()), 0.9, report.sides(results))


@contextlib.contextmanager
def _filled(place: Stage, count: int) -> Iterator[BenchmarkServer]:
    with place.database() as url:
        fill(url, count)
        if count == FEW:
            stage.audit(url)  # the same statements filled both; replaying a million entries would take a minute
        with place.server(url) as server:
            yield server


def fill(url: str, count: int) -> None:
    """Make the network 10.0.0.0/8 with its first addresses given out."""
    asyncio.run(_create_network(url))
    for statement in FILL:
        postgres.execute(url, statement.format(count=count))


async def _create_network(url: str) -> None:
    database = open_database(url)
    lane = Lane(addresses.LANE, database, addresses.handlers())
    await lane.start()
    await lane.run(addresses.CreateNetwork("default", "10.0.0.0/8"))
    await lane.drain()
    await database.close()
