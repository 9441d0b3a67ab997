"""Some hours of VMs that come and go on three networks, made through the lane, with everything that the reports tell
apart."""

from __future__ import annotations

import contextlib
import random

from marketplace import addresses
from marketplace.database import Lane
from marketplace.foundation.errors import Refusal
from tests.services.clock import SettableClock

NETWORKS = (
    addresses.CreateNetwork("default", "172.16.0.0/24"),
    addresses.CreateNetwork("small", "10.0.0.0/29", gateway=None),
    addresses.CreateNetwork("slow", "10.0.1.0/24", reserved=("10.0.1.2-10.0.1.9",), reuse_delay_seconds=600),
)


async def rent_for_some_hours(lane: Lane, its_clock: SettableClock, *, seed: int = 7) -> None:
    """Give out and take back addresses for two hours; afterwards `small` is full and some addresses of `slow` rest."""
    dice = random.Random(seed)
    for network in NETWORKS:
        await lane.run(network)
    await lane.run(addresses.Allocate("default", "first", owner="ops"))
    for number in range(100):
        its_clock.advance(60 + dice.random())
        name, vm_id = dice.choice(["default", "small", "slow", "slow"]), f"vm{dice.randrange(12)}"
        hostname, owner = dice.choice([None, f"host-{number}"]), dice.choice([None, "ops", "lab"])
        allocate = addresses.Allocate(name, vm_id, hostname, owner=owner)
        await _try(lane, addresses.Release(name, vm_id) if dice.random() < 0.4 else allocate)
    for number in range(12):
        await _try(lane, addresses.Allocate("small", f"vm{number}"))
    await lane.run(addresses.AllocateMany(tuple(addresses.Allocate("slow", f"last{n}") for n in range(3))))
    await lane.run(addresses.ReleaseMany("slow", ("last0", "last2")))


async def _try(lane: Lane, command: object) -> None:
    with contextlib.suppress(Refusal):  # it had none, or the network is full
        await lane.run(command)
