"""Rows on the rule of the spot market: a plan from scratch, its growth, and one more bid. No database takes part.

Times are seconds of CPU: the rule waits for nothing, and so what else the machine does disturbs them least.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from benchmarks.report import Row
from benchmarks.stage import Stage
from marketplace.foundation.clock import HOUR
from marketplace.spot.model import Bid, Lease, Node, Policy
from marketplace.spot.placement import State, plan

POLICY = Policy()
NODE = (64_000, 131_072)
SHAPES = [(cpu * 1_000, cpu * 1_024 * half) for cpu in (1, 2, 4, 8, 16) for half in (1, 2, 4)]
PRICES = (10_000, 100_000)
"""Micro-credits an hour that a unit is bid for: of those who run as of those who wait, so that half of all change."""
SMALL = 1_000
LARGE = 10_000
NEW_BIDS = 500


class Market(NamedTuple):
    nodes: list[Node]
    queued: list[Bid]
    leases: list[Lease]


def scratch(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001 - what all rows are asked
    """Plan for 1 000 nodes, 10 000 running and 10 000 queued bids."""
    market = _market(SMALL)
    times, notes = _time(lambda: _plan(market), runs=runs)
    single = _market(SMALL, shape=_any_shape)
    others, _ = _time(lambda: _plan(single), runs=runs)
    notes.append(f"with a shape of its own for each bid: {statistics.median(others):.2f} s")
    return _row("plan from scratch, 1 000 nodes, 10 000 running, 10 000 queued", times, 1.0, notes)


def growth(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001
    """Plan for ten times as many; the ratio would be 10 if the cost of a decision did not grow."""
    small, _ = _time(lambda: _plan(_market(SMALL)), runs=1)
    market = _market(LARGE)
    times, notes = _time(lambda: _plan(market), runs=min(runs, 2))
    notes.append(f"{statistics.median(times) / small[0]:.1f} × the time for a tenth of everything")
    return _row("plan from scratch, 10 000 nodes, 100 000 running, 100 000 queued", times, None, notes)


def one_bid(place: Stage, *, seconds: float, runs: int) -> Row:  # noqa: ARG001
    """Decide on one new bid, and on the end of a lease, in a pool of that size that has settled."""
    market, state = _market(LARGE), State(POLICY)
    _fill(state, market)
    state.decide(HOUR)
    dice = random.Random(2)
    bids = [_bid(10**7 + number, dice, _usual_shape) for number in range(NEW_BIDS)]
    spent = sorted(_until_decided(state, partial(state.put_bid, bid)) for bid in bids)
    running = [lease.bid.bid_id for lease in market.leases if state.lease(lease.bid.bid_id) == lease]
    ends = sorted(_until_decided(state, partial(state.remove, bid_id)) for bid_id in dice.sample(running, NEW_BIDS))
    notes = [
        f"{what}: p50 {each[NEW_BIDS // 2] * 1e3:.2f} ms, p99 {each[NEW_BIDS * 99 // 100] * 1e3:.2f} ms"
        for what, each in (("a new bid", spent), ("the end of a lease", ends))
    ]
    p99 = spent[NEW_BIDS * 99 // 100]
    return Row("one new bid, 10 000 nodes, 100 000 queued, p99", f"{p99 * 1e3:.2f} ms", "≤ 5 ms", p99 <= 0.005, notes)


# ── markets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _market(nodes: int, *, shape: Callable[[random.Random], tuple[int, int]] | None = None) -> Market:
    """Fill nodes at random, until about ten leases run on each; the same market each time."""
    dice, draw = random.Random(1), shape or _usual_shape
    names = [f"node-{number:05}" for number in range(nodes)]
    free = dict.fromkeys(names, NODE)
    leases = []
    for number in range(10 * nodes):
        bid = _bid(number, dice, draw)
        for name in dice.sample(names, 20):
            cpu, memory = free[name][0] - bid.cpu_millis, free[name][1] - bid.memory_mib
            if cpu >= 0 and memory >= 0:
                free[name] = (cpu, memory)
                leases.append(Lease(bid, name, started_at=0))
                break
    queued = [_bid(10 * nodes + number, dice, draw) for number in range(10 * nodes)]
    return Market([Node(name, *NODE) for name in names], queued, leases)


def _bid(number: int, dice: random.Random, shape: Callable[[random.Random], tuple[int, int]]) -> Bid:
    cpu, memory = shape(dice)
    return Bid(number, number, cpu, memory, POLICY.size(cpu, memory) * dice.randrange(*PRICES) // POLICY.parts)


def _usual_shape(dice: random.Random) -> tuple[int, int]:
    return dice.choice(SHAPES)


def _any_shape(dice: random.Random) -> tuple[int, int]:
    return dice.randrange(250, 16_001), dice.randrange(256, 32_769)


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _plan(market: Market) -> list[str]:
    """Plan once; return what the plan is like."""
    done = plan(market.nodes, market.queued, running=market.leases, now=HOUR, policy=POLICY)
    return [f"{len(market.leases):,} run; {len(done.starts):,} get a place, {len(done.evictions):,} have to go"]


def _fill(state: State, market: Market) -> None:
    for node in market.nodes:
        state.put_node(node)
    for lease in market.leases:
        state.put_lease(lease)
    for bid in market.queued:
        state.put_bid(bid)


def _time(work: Callable[[], list[str]], *, runs: int) -> tuple[list[float], list[str]]:
    times, notes = [], []
    for _ in range(runs):
        started = time.process_time()
        notes = work()
        times.append(time.process_time() - started)
    return times, notes


def _until_decided(state: State, event: Callable[[], None]) -> float:
    started = time.process_time()
    event()
    state.decide(HOUR)
    return time.process_time() - started


def _row(what: str, times: Sequence[float], target: float | None, notes: Sequence[str]) -> Row:
    median = statistics.median(times)
    measured = f"{median:.2f} s of CPU ({min(times):.2f} – {max(times):.2f})"
    return Row(what, measured, f"≤ {target:g} s" if target else "–", median <= target if target else None, notes)
