"""Whose an address is, is for the lane to say: a member gives back and asks again for its own alone."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace import addresses
from marketplace.addresses import Allocate, AllocateMany, Release, ReleaseAddress, ReleaseMany, ReleaseOrphans, errors
from tests.addresses.desk import NETWORK, Desk


@pytest.fixture
async def shared(lan: Desk) -> Desk:
    """ann's VM `a` has .2, bob's `b` has .3, and .4 is of nobody who was named."""
    await lan.allocate("a", owner="ann")
    await lan.allocate("b", owner="bob")
    await lan.allocate("c")
    return lan


@pytest.mark.parametrize("vm_id", ["b", "c"])
async def test_the_name_of_anothers_vm_is_taken(shared: Desk, vm_id: str) -> None:
    command = Allocate(NETWORK, vm_id, "new-name", owner="ann", own_only=True)
    await shared.refused(command, errors.VmOfAnother)
    refusal = await shared.refused(
        AllocateMany((Allocate(NETWORK, "n", owner="ann", own_only=True), command)), errors.VmOfAnother
    )
    assert refusal.extra["index"] == 1


async def test_the_own_vm_gets_its_address_again(shared: Desk) -> None:
    found = await shared.run(Allocate(NETWORK, "a", owner="ann", own_only=True))
    assert (found.assignment.ip, found.created) == ("172.16.0.2", False)


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (Release(NETWORK, "b", "ann"), errors.NotAssigned),
        (Release(NETWORK, "c", "ann"), errors.NotAssigned),
        (ReleaseAddress(NETWORK, "172.16.0.3", "ann"), errors.AddressNotAssigned),
        (ReleaseMany(NETWORK, ("a", "b"), "ann"), errors.NotAssigned),
    ],
)
async def test_an_address_of_another_is_assigned_to_nobody(shared: Desk, command: Any, kind: Any) -> None:
    await shared.refused(command, kind)


async def test_orphans_of_others_are_neither_seen_nor_released(shared: Desk) -> None:
    orphans = await shared.read(
        addresses.list_orphans, NETWORK, owner="ann", live=[], assigned_before=shared.clock(), limit=9
    )
    assert [one.vm_id for one in orphans] == ["a"]
    everyone = await shared.read(addresses.list_orphans, NETWORK, live=[], assigned_before=shared.clock(), limit=9)
    ended = await shared.run(ReleaseOrphans(NETWORK, tuple((one.vm_id, one.seq) for one in everyone), "ann"))
    assert [one.assignment.vm_id for one in ended] == ["a"]
    assert await shared.holders() == {"172.16.0.3": "b", "172.16.0.4": "c"}


async def test_a_list_of_ones_own_goes_on_where_it_ended(shared: Desk) -> None:
    await shared.allocate("d", "e", owner="ann")
    first = await shared.read(addresses.list_assignments, NETWORK, owner="ann", after=None, limit=2)
    rest = await shared.read(addresses.list_assignments, NETWORK, owner="ann", after=first[-1].offset, limit=2)
    assert [one.vm_id for one in (*first, *rest)] == ["a", "d", "e"]
