"""Rows on the pool itself: how an address is found among a million, and what the size of a network costs."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import sqlalchemy as sa
import uvloop

from benchmarks.addresses import MANY, fill
from benchmarks.report import Row, ratio_row
from benchmarks.stage import Stage
from marketplace import addresses
from marketplace.addresses import sql
from marketplace.database import Lane, open_database
from tests.services import postgres

# What is usually written: the first address whose neighbour above nobody has. As a number, which costs it least.
TAKEN = (
    f"CREATE TABLE taken AS SELECT n AS ip_offset FROM generate_series(2::bigint, {MANY} + 1) AS n",
    "ALTER TABLE taken ADD PRIMARY KEY (ip_offset)",
    "VACUUM (ANALYZE) taken",
)
GAP = sa.text(
    """SELECT one.ip_offset + 1
    FROM taken AS one LEFT JOIN taken AS above ON above.ip_offset = one.ip_offset + 1
    WHERE above.ip_offset IS NULL
    ORDER BY one.ip_offset
    LIMIT 1"""
)
NEXT = MANY + 2

SIZES = {"/24": "10.1.0.0/24", "/8": "10.0.0.0/8", "/64": "2001:db8::/64"}
ROUND = 250
"""VMs that are given an address at once: nearly all that a /24 has."""


def finding(place: Stage, *, seconds: float, runs: int) -> Row:
    """Compare the statement that finds the lowest free address to a search for a gap, both among a million."""
    with place.database() as url:
        fill(url, MANY)
        for statement in TAKEN:
            postgres.execute(url, statement)
        found = uvloop.run(_time_statements(url, seconds=seconds, runs=runs))
    ours, gap = found.values()
    notes = [f"{name}: {statistics.median(times) * 1e3:.3f} ms" for name, times in found.items()]
    ratios = [other / one for one, other in zip(ours, gap, strict=True)]
    return ratio_row("finding an address among 1 000 000, against a search for a gap", ratios, 1_000, notes)


async def _time_statements(url: str, *, seconds: float, runs: int) -> Mapping[str, Sequence[float]]:
    """Return the median seconds of a statement of each kind, run by run."""
    database = open_database(url)
    sides: dict[str, Callable[[sa.Connection], int]] = {"the pool": _find_in_pool, "search for a gap": _find_gap}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, find in sides.items():
            times[name].append(await database.read_one(_median_seconds, find, seconds=seconds / 2))
    await database.close()
    return times


def _median_seconds(tx: sa.Connection, find: Callable[[sa.Connection], int], *, seconds: float) -> float:
    find(tx)  # prepared, and its pages read
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < until:
        started = time.perf_counter()
        found = find(tx)
        times.append(time.perf_counter() - started)
        assert found == NEXT, "both find the same address"
    return statistics.median(times)


def _find_in_pool(tx: sa.Connection) -> int:
    known = sql.Known({}, {})
    sql.read_available(tx, "default", known, start=0, limit=1, rested=0, until=0)
    return min(known.segments.values())


def _find_gap(tx: sa.Connection) -> int:
    return int(tx.execute(GAP).scalar_one())


# ── sizes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sizes(place: Stage, *, seconds: float, runs: int) -> Row:
    """Compare how fast new networks of three sizes give out their first addresses; the /24 is given out to the end."""
    with place.database() as url:
        rates = uvloop.run(_allocate_everywhere(url, seconds=seconds, runs=runs))
    notes = [f"{name}: {statistics.median(each):,.0f} addresses/s" for name, each in rates.items()]
    small = rates.pop("/24")
    ratios = {name: [one / other for one, other in zip(each, small, strict=True)] for name, each in rates.items()}
    slowest = min(ratios.values(), key=statistics.median)
    return ratio_row("a /8 and a /64 against a /24, the lane alone", slowest, 0.9, notes)


async def _allocate_everywhere(url: str, *, seconds: float, runs: int) -> dict[str, list[float]]:
    database = open_database(url)
    lane = Lane(addresses.LANE, database, addresses.handlers())
    await lane.start()
    await _rate(lane, SIZES["/24"], seconds=seconds)  # statements prepared, statistics grown
    rates: dict[str, list[float]] = {name: [] for name in SIZES}
    for _ in range(runs):
        for name, network in SIZES.items():
            rates[name].append(await _rate(lane, network, seconds=seconds))
    await lane.drain()
    await database.close()
    return rates


async def _rate(lane: Lane, network: str, *, seconds: float) -> float:
    """Return the addresses a second of a network that is made anew for each round; only allocating is timed."""
    spent = 0.0
    count = 0
    vms = [f"vm-{number}" for number in range(ROUND)]
    while spent < seconds / 2:
        await lane.run(addresses.CreateNetwork("sized", network))
        started = time.perf_counter()
        await _all(lane, (addresses.Allocate("sized", vm) for vm in vms))
        spent += time.perf_counter() - started
        count += len(vms)
        await lane.run(addresses.ReleaseMany("sized", tuple(vms)))
        await lane.run(addresses.DeleteNetwork("sized"))
    return count / spent


async def _all(lane: Lane, commands: Iterable[object]) -> None:
    await asyncio.gather(*(lane.run(command) for command in commands))
