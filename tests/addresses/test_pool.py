"""The rule by itself, against a plain set of addresses. Each batch knows only the part that it would have read."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.addresses import pool, subnets
from marketplace.addresses.model import Allocation, Network, NetworkCreated
from marketplace.addresses.networks import new_network
from marketplace.addresses.pool import Pool
from marketplace.foundation.clock import SECOND
from tests.addresses.plain_set import PlainSet

SIZES = ["10.0.0.0/28", "10.0.0.0/29", "10.0.0.0/31", "10.0.0.0/32", "2001:db8::/124"]


def make(cidr: str, *, allocation: Allocation = "lowest", delay: int = 0, reserved: tuple[str, ...] = ()) -> Network:
    said = NetworkCreated("n", cidr, None, (), allocation, delay)
    return new_network(said, subnets.plan(cidr, reserved=reserved), seq=1, now=0)


class Stored:
    """What a database would hold, and how much of it a batch would be shown."""

    def __init__(self, network: Network, usable: tuple[subnets.Range, ...]) -> None:
        self.network = network
        self.segments = {last: first for first, last in usable}
        self.released: dict[int, int | None] = {}

    def open(self, *, takes: int, named: set[int], now: int, dice: random.Random) -> Pool:
        draws = pool.draw(self.network, takes, dice)
        segments = {last: self.segments[last] for start in (0, *draws[:1]) for last in self.lasts(start)[:takes]}
        free = [offset for offset, until in sorted(self.released.items()) if until is None]
        known = {offset for start in (0, *draws[:1]) for offset in [one for one in free if one >= start][:takes]}
        for offset in {*named, *draws}:
            segments |= {last: self.segments[last] for last in self.lasts(offset)[:1]}
            known |= {offset} & self.released.keys()
        is_short = self.network.never_used + self.network.free < takes
        known |= {one for one, until in self.released.items() if until is not None and (is_short or until <= now)}
        return Pool(
            self.network,
            segments=segments,
            released={offset: self.released[offset] for offset in known},
            now=now,
            draws=draws,
        )

    def lasts(self, start: int) -> list[int]:
        return [last for last in sorted(self.segments) if last >= start]

    def keep(self, opened: Pool, taken: Iterable[int]) -> None:
        for offset in taken:
            self.released.pop(offset, None)
        self.released.update(opened.changed_released())
        self.segments.update(opened.changed_segments())
        for last in opened.used_up_segments():
            del self.segments[last]


operations = st.lists(st.tuples(st.sampled_from(["pick", "pick", "name", "give"]), st.integers(0, 15)), max_size=8)


@given(
    cidr=st.sampled_from(SIZES),
    allocation=st.sampled_from(["lowest", "random"]),
    delay=st.sampled_from([0, 0, 2]),
    reserved=st.lists(st.integers(0, 15), max_size=3),
    batches=st.lists(operations, max_size=12),
    seed=st.integers(0, 99),
)
def test_random_batches_end_as_a_plain_set_says(
    cidr: str,
    allocation: Allocation,
    delay: int,
    reserved: list[int],
    batches: list[list[tuple[str, int]]],
    seed: int,
) -> None:
    whole = subnets.plan(cidr)
    closed = tuple(
        subnets.text_of(whole.version, whole.base + offset % (whole.last - whole.base + 1)) for offset in reserved
    )
    plan = subnets.plan(cidr, reserved=closed)
    network = make(cidr, allocation=allocation, delay=delay, reserved=closed)
    stored, dice = Stored(network, plan.usable), random.Random(seed)
    usable = {offset for first, last in plan.usable for offset in range(first, last + 1)}
    plain = PlainSet(usable, allocation=allocation, delay=delay * SECOND)
    for now, batch in enumerate(batches):
        plain.set_clock(now * SECOND)
        takes = sum(kind != "give" for kind, _ in batch)
        named = {n for kind, n in batch if kind == "name"}
        opened = stored.open(takes=takes, named=named, now=plain.now, dice=dice)
        for kind, n in batch:
            run_both(opened, plain, kind, n)
        stored.keep(opened, plain.held.keys())
        check(stored, plain, knows_rests=takes > 0)


def run_both(opened: Pool, plain: PlainSet, kind: str, n: int) -> None:
    if kind == "pick":
        allowed = plain.allowed()
        picked = opened.pick()
        assert picked in allowed if allowed else picked is None
        if picked is not None:
            plain.take(picked)
    elif kind == "name":
        assert opened.is_free(n) == (n in plain.available)
        assert opened.is_resting(n) == (n in plain.resting)
        if opened.is_free(n):
            opened.take(n)
            plain.take(n)
    elif plain.held:
        gone = sorted(plain.held)[n % len(plain.held)]
        opened.give_back(gone)
        plain.give_back(gone)


def check(stored: Stored, plain: PlainSet, *, knows_rests: bool) -> None:
    """Each usable address is in exactly one place, and the counts say so."""
    network = stored.network
    never = [offset for last, first in stored.segments.items() for offset in range(first, last + 1)]
    assert sorted([*never, *plain.held, *stored.released]) == sorted(plain.usable)
    assert (network.assigned, network.never_used) == (len(plain.held), len(never))
    assert network.free + network.resting == len(stored.released)
    assert not knows_rests or network.resting == len(plain.resting)


def open_all(network: Network, **more: int) -> Pool:
    usable = subnets.plan(network.cidr).usable
    return Pool(network, segments={last: first for first, last in usable}, released={}, now=more.get("now", 0))


def test_the_worked_example() -> None:
    opened = open_all(make("10.0.0.0/29"))
    assert [opened.pick() for _ in "abc"] == [2, 3, 4]
    opened.give_back(3)
    assert [opened.pick() for _ in "defg"] == [3, 5, 6, None]


def test_taking_one_from_the_middle_splits_the_segment() -> None:
    opened = open_all(make("10.0.0.0/28"))
    opened.take(8)
    assert opened.changed_segments() == {7: 2, 14: 9}
    opened.take(7)
    opened.take(9)
    opened.take(14)
    assert (opened.changed_segments(), opened.used_up_segments()) == ({6: 2, 13: 10}, [14])
    opened.take(2)
    assert opened.changed_segments() == {6: 3, 13: 10}


def test_a_random_address_of_a_large_network_is_hardly_ever_the_lowest() -> None:
    network = make("2001:db8::/64", allocation="random")
    usable = {last: first for first, last in subnets.plan(network.cidr).usable}
    opened = Pool(network, segments=usable, released={}, now=0, draws=pool.draw(network, 100, random.Random(1)))
    picked = [opened.pick() or 0 for _ in range(100)]
    assert len(set(picked)) == 100
    assert sum(offset > 2**32 for offset in picked) == 100
    assert sum(offset > 2**63 for offset in picked) == pytest.approx(50, abs=20)


def test_the_longest_rested_is_given_out_where_there_is_no_other() -> None:
    network = make("10.0.0.0/29", delay=60)
    network.resting, network.assigned = 2, 3
    opened = Pool(network, segments={}, released={5: 90, 3: 100}, now=50)
    assert [opened.pick(), opened.pick(), opened.pick()] == [5, 3, None]
