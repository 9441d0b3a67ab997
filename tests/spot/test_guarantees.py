"""What placement guarantees, over random days of a pool. Beside each decision stand a plan from scratch and a plain one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.spot import placement
from marketplace.spot.model import Bid, Lease, Node, Plan, Policy
from tests.spot.pool import Pool

pytestmark = pytest.mark.property

# Few prices and small sizes, so that ties, tight fits and crowds are common. A unit is 2 × 3, so that halves occur.
POLICIES = st.builds(
    Policy,
    unit_cpu_millis=st.just(2),
    unit_memory_mib=st.just(3),
    reserve_micros=st.sampled_from([0, 0, 7]),
    margin_basis_points=st.sampled_from([0, 500, 5_000]),
    minimum_runtime_seconds=st.sampled_from([0, 60]),
)
NUMBERS = st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 40))
EVENTS = st.tuples(st.sampled_from(["bid"] * 6 + ["end"] * 3 + ["gone"] * 3 + ["wait"] * 2 + ["node", "flip"]), NUMBERS)
DAYS = st.lists(EVENTS, max_size=40)


def begin(policy: Policy) -> Pool:
    pool = Pool(policy)
    for number, (cpu, memory) in enumerate([(6, 9), (5, 8), (3, 12)]):
        pool.put_node(Node(f"n{number}", cpu, memory))
    return pool


def happen(pool: Pool, event: str, numbers: tuple[int, int, int]) -> None:
    """Let one event happen, as far as it can."""
    first, second, third = numbers
    if event == "bid":
        pool.place(1 + first, 1 + second, 1 + third)
    elif event == "end" and (everybody := sorted({*pool.queued, *pool.leases})):
        pool.remove(everybody[third % len(everybody)])
    elif event == "gone":
        leaving = [lease.bid for lease in pool.leases.values() if lease.state == "leaving"]
        for bid in leaving[: 1 + first]:
            pool.queue(bid) if second % 2 else pool.remove(bid.bid_id)
    elif event == "wait":
        pool.start_containers()
        pool.pass_seconds(10 * first)
    elif event == "node" and first == 0 and len(pool.nodes) > 1:
        pool.remove_node(min(pool.nodes))
    elif event == "node":
        pool.put_node(Node(f"m{second}", 2 + first, 2 + second + third % 8))
    elif event == "flip":
        node = sorted(pool.nodes.values())[third % len(pool.nodes)] if False else list(pool.nodes.values())[0]
        pool.put_node(msgspec.structs.replace(node, is_ready=not node.is_ready))


def unit_price(pool: Pool, bid: Bid) -> Fraction:
    policy = pool.policy
    units = max(Fraction(bid.cpu_millis, policy.unit_cpu_millis), Fraction(bid.memory_mib, policy.unit_memory_mib))
    return bid.max_price_micros / units


def live(policy: Policy, day: list[tuple[str, tuple[int, int, int]]], check: Callable[[Pool, Plan], None]) -> None:
    """Live through a day, deciding after every event; `check` sees the books as they are after each decision."""
    pool = begin(policy)
    for event, numbers in day:
        happen(pool, event, numbers)
        check(pool, pool.decide())
