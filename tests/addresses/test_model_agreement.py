"""Random operations on a pool end as plain sets say: every answer, every row, after every step.

A step is a batch that is submitted at once, so that its commands share transactions.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace import addresses
from marketplace.addresses import (
    Allocate,
    AllocateMany,
    Release,
    ReleaseAddress,
    ReleaseMany,
    ReleaseOrphans,
    tables,
)
from marketplace.foundation.clock import SECOND
from tests.addresses.desk import Desk
from tests.addresses.plain_set import PlainSet
from tests.addresses.simple_pool import SimpleNetwork, SimplePool, stats_of

pytestmark = pytest.mark.property

SEEDS, LONG_SEEDS = 6, 40
STEPS = 200
HOSTS = 14

KINDS = (("lowest", 0), ("lowest", 3), ("random", 0), ("random", 3))
"""How the networks of a pool give out addresses, and for how many seconds those rest."""

numbers = itertools.count()


@pytest.mark.parametrize(
    "seed", [*range(SEEDS), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(SEEDS, LONG_SEEDS))]
)
async def test_a_long_random_life_is_as_the_plain_sets_say(desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    simple, names = await open_networks(desk)
    for _ in range(STEPS):
        await step(
            desk, simple, names, [throw(dice, simple, names) for _ in range(dice.randint(1, 6))], dice.randint(-1, 2)
        )


EXAMPLES = max(40, hypothesis.settings().max_examples // 2)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 6), max_size=12))
async def test_a_short_random_life_is_as_the_plain_sets_say(desk: Desk, seed: int, sizes: list[int]) -> None:
    dice = random.Random(seed)
    simple, names = await open_networks(desk)
    for size in sizes:
        await step(desk, simple, names, [throw(dice, simple, names) for _ in range(size)], dice.randint(0, 2))


async def open_networks(desk: Desk) -> tuple[SimplePool, list[str]]:
    """Make networks of our own: 14 hosts, a gateway and two reserved."""
    simple = SimplePool({})
    for allocation, delay in KINDS:
        number = next(numbers)
        name, base = f"n{number}", (10 << 24) + 16 * number
        made = SimpleNetwork(base, PlainSet({*range(2, 5), *range(7, 15)}, allocation=allocation, delay=delay * SECOND))
        simple.networks[name] = made
        await desk.network(
            f"{made.text(0)}/28",
            network=name,
            reserved=(f"{made.text(5)}-{made.text(6)}",),
            allocation=allocation,
            reuse_delay_seconds=delay,
        )
    simple.set_clock(desk.clock())
    return simple, [*simple.networks]


def throw(dice: random.Random, simple: SimplePool, names: list[str]) -> Any:
    """Draw a command: mostly possible ones, of few VMs, so that they meet."""
    name = dice.choice([*names, names[0]]) if dice.random() < 0.98 else "nowhere"
    network = simple.networks.get(name) or simple.networks[names[0]]
    vm_id, offset = f"vm{dice.randrange(14)}", dice.randint(0, 16)
    hostname = dice.choice([None, "a", "b"])
    orphans = [*network.seqs.items(), (vm_id, 1)]
    return dice.choices(
        [
            Allocate(name, vm_id, hostname),
            Allocate(name, vm_id, hostname, ip=network.text(offset)),
            Release(name, vm_id),
            ReleaseAddress(name, network.text(offset)),
            AllocateMany(tuple(Allocate(name, f"vm{dice.randrange(14)}") for _ in range(dice.randint(1, 4)))),
            ReleaseMany(name, tuple(f"vm{dice.randrange(14)}" for _ in range(dice.randint(1, 2)))),
            ReleaseOrphans(names[0], tuple(dice.sample(orphans, min(2, len(orphans))))),
        ],
        weights=[8, 2, 4, 2, 1, 1, 0.5],
    )[0]


async def step(desk: Desk, simple: SimplePool, names: list[str], batch: list[Any], seconds: int) -> None:
    desk.clock.advance(max(seconds, 0))
    simple.set_clock(desk.clock())
    answers = await desk.together(*batch)
    for command, answer in zip(batch, answers, strict=True):
        simple.check(command, answer)
    await desk.look(compare, simple, names if seconds else sorted({*names} & {*map(network_of, batch)}))


def network_of(command: Any) -> str:
    name: str = command.requests[0].network if isinstance(command, AllocateMany) else command.network
    return name


def compare(tx: sa.Connection, simple: SimplePool, names: list[str]) -> None:
    """Every usable address is in exactly one place, the stats add up, and it is as the plain sets say."""
    unused, given = never_used(tx, names), given_out(tx, names)
    for name in names:
        network = simple.networks[name]
        stats = addresses.network_stats(tx, name)
        assert stats == stats_of(name, network, cidr=f"{network.text(0)}/28", hosts=HOSTS)
        assert stats.total == stats.allocated + stats.reserved + stats.resting + stats.available
        held = {each.offset: each.vm_id for each in addresses.list_assignments(tx, name, after=None, limit=100)}
        assert held == network.plain.held
        assert sorted(unused[name] + given[name]) == sorted(network.plain.usable)


def never_used(tx: sa.Connection, names: list[str]) -> dict[str, list[int]]:
    """Return the addresses that were never given out, by network."""
    found: dict[str, list[int]] = defaultdict(list)
    table = tables.segments
    columns = (table.c.network, table.c.next_offset, table.c.last_offset)
    for network, first, last in tx.execute(sa.select(*columns).where(table.c.network.in_(names))):
        found[network] += range(int(first, 16), int(last, 16) + 1)
    return found


def given_out(tx: sa.Connection, names: list[str]) -> dict[str, list[int]]:
    """Return the addresses that have a row, by network: of its three states each row has one, as a CHECK says."""
    found: dict[str, list[int]] = defaultdict(list)
    table = tables.addresses
    for network, offset in tx.execute(sa.select(table.c.network, table.c.ip_offset).where(table.c.network.in_(names))):
        found[network].append(int(offset, 16))
    return found
