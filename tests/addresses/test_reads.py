"""What can be asked of the pool, and what its log tells."""

from __future__ import annotations

import pytest

from marketplace import addresses
from marketplace.addresses import errors
from marketplace.database import log
from tests.addresses.desk import NETWORK, Desk


async def test_assignments_are_found_by_vm_and_by_address(lan: Desk) -> None:
    await lan.allocate("a", hostname="h", owner="ops")
    by_vm = await lan.read(addresses.find_assignment, NETWORK, "a")
    assert await lan.read(addresses.find_address, NETWORK, "172.16.0.2") == by_vm
    assert (by_vm.assignment.hostname, by_vm.assignment.owner, by_vm.network.assigned) == ("h", "ops", 1)
    await lan.release("a")
    for question, what, kind in (
        (addresses.find_assignment, "a", errors.NotAssigned),
        (addresses.find_address, "172.16.0.2", errors.AddressNotAssigned),
        (addresses.find_address, "10.0.0.1", errors.AddressOutside),
    ):
        with pytest.raises(kind):
            await lan.read(question, NETWORK, what)
        with pytest.raises(errors.UnknownNetwork):
            await lan.read(question, "x", what)


async def test_pages_of_assignments_miss_nothing_and_repeat_nothing(lan: Desk) -> None:
    await lan.allocate(*(f"vm{n}" for n in range(25)))
    await lan.release("vm3", "vm4", "vm24")
    seen, after = [], None
    while page := await lan.read(addresses.list_assignments, NETWORK, after=after, limit=4):
        seen += [each.ip for each in page]
        after = page[-1].offset
    assert seen == [*await lan.holders()]
    assert len(seen) == 22


async def test_each_change_is_an_entry_of_the_log(lan: Desk) -> None:
    await lan.allocate("a", hostname="h", owner="ops")
    await lan.allocate("a", hostname="i")
    await lan.release("a")
    rows = (await lan.everything())[log.events.name]
    assert [(row[1], *row[3:]) for row in rows[1:]] == [
        (
            2,
            "addresses",
            "address_assigned",
            "default/172.16.0.2",
            "ops",
            '{"type":"address_assigned","network":"default","ip":"172.16.0.2","vm_id":"a","hostname":"h","owner":"ops"}',
        ),
        (
            3,
            "addresses",
            "hostname_changed",
            "default/172.16.0.2",
            "ops",
            '{"type":"hostname_changed","network":"default","ip":"172.16.0.2","vm_id":"a","hostname":"i"}',
        ),
        (
            4,
            "addresses",
            "address_released",
            "default/172.16.0.2",
            "ops",
            '{"type":"address_released","network":"default","ip":"172.16.0.2","vm_id":"a"}',
        ),
    ]


async def test_a_hostname_is_found_in_whatever_case_by_people_who_search(lan: Desk) -> None:
    await lan.allocate("a", hostname="Web-1.example.org")
    await lan.allocate("b", hostname="web-1.example.org")
    await lan.allocate("c", hostname="web-10.example.org")
    await lan.allocate("d")
    found = await lan.read(addresses.find_hostname, NETWORK, "WEB-1.example.ORG", limit=10)
    assert [one.vm_id for one in found] == ["a", "b"]
    assert len(await lan.read(addresses.find_hostname, NETWORK, "web-1.example.org", limit=1)) == 1
    await lan.release("a")
    assert [one.vm_id for one in await lan.read(addresses.find_hostname, NETWORK, "web-1.example.org", limit=9)] == [
        "b"
    ]
