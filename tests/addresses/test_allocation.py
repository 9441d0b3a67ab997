"""Addresses are given out once, lowest first, again to those who ask again, and come back when they are released."""

from __future__ import annotations

import pytest

from marketplace import addresses
from marketplace.addresses import Allocate, AllocateMany, Release, ReleaseAddress, ReleaseMany, ReleaseOrphans, errors
from marketplace.database import log
from marketplace.foundation.clock import SECOND
from tests.addresses.desk import NETWORK, Desk
from tests.services.clock import NEW_YEAR

# ── lowest first ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_address_is_the_one_after_the_gateway(lan: Desk) -> None:
    assigned: addresses.Assigned = await lan.run(Allocate(NETWORK, "vm1", "web-1", owner="ops"))
    a, network = assigned.assignment, assigned.network
    assert (a.ip, a.vm_id, a.hostname, a.owner, a.seq, a.assigned_at) == (
        "172.16.0.2",
        "vm1",
        "web-1",
        "ops",
        2,
        NEW_YEAR,
    )
    assert (network.cidr, network.gateway, assigned.created) == ("172.16.0.0/24", "172.16.0.1", True)


async def test_the_lowest_free_address_is_given_out_the_very_first_included(lan: Desk) -> None:
    await lan.allocate("a", "b", "c", "d")
    await lan.release("c", "a")
    assert await lan.allocate("e", "f", "g") == ["172.16.0.2", "172.16.0.4", "172.16.0.6"]


async def test_a_certain_address_asked_for_in_between_changes_nothing_for_the_next(desk: Desk) -> None:
    await desk.network("10.0.0.0/24", reserved=("10.0.0.4-10.0.0.99", "10.0.0.102-10.0.0.199"))
    assert await desk.allocate("a") == ["10.0.0.2"]
    await desk.run(Allocate(NETWORK, "high", ip="10.0.0.210"))
    assert await desk.allocate("b", "c", "d", "e") == ["10.0.0.3", "10.0.0.100", "10.0.0.101", "10.0.0.200"]
    await desk.release("a")
    assert await desk.allocate("f", "g") == ["10.0.0.2", "10.0.0.201"]
    assert not await desk.audit()


async def test_the_lowest_first_rule_holds_inside_one_transaction(lan: Desk) -> None:
    await lan.allocate("a", "b", "c")
    outcomes = await lan.together(
        Release(NETWORK, "b"),
        Allocate(NETWORK, "d"),
        Release(NETWORK, "a"),
        Allocate(NETWORK, "e"),
        Allocate(NETWORK, "f"),
    )
    assert [each.assignment.ip.rsplit(".")[-1] for each in outcomes] == ["3", "3", "2", "2", "5"]


async def test_a_vm_that_moves_within_one_transaction_is_never_seen_twice(lan: Desk) -> None:
    """Two VMs change places: for a moment each row would have to hold the other's name."""
    await lan.allocate("a", "b", "c")
    await lan.together(
        Release(NETWORK, "a"),
        Release(NETWORK, "b"),
        Allocate(NETWORK, "b"),
        Allocate(NETWORK, "a"),
        Release(NETWORK, "c"),
    )
    assert await lan.holders() == {"172.16.0.2": "b", "172.16.0.3": "a"}


# ── again ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_vm_that_asks_again_gets_the_same_answer_and_nothing_is_written(lan: Desk) -> None:
    first = await lan.run(Allocate(NETWORK, "vm1", "web-1"))
    before = await lan.everything()
    again = await lan.run(Allocate(NETWORK, "vm1", "web-1"))
    assert (again.assignment, first.created, again.created) == (first.assignment, True, False)
    assert await lan.everything() == before


async def test_copies_of_a_request_in_one_transaction_get_one_address(lan: Desk) -> None:
    outcomes = await lan.together(*(Allocate(NETWORK, "vm1") for _ in range(100)))
    assert {each.assignment.ip for each in outcomes} == {"172.16.0.2"}
    assert [each.created for each in outcomes].count(True) == 1
    assert (await lan.stats()).available == 252


async def test_a_hostname_given_again_replaces_the_old_one_and_left_out_it_stays(lan: Desk) -> None:
    await lan.allocate("vm1", hostname="old")
    await lan.allocate("vm1", hostname="new")
    await lan.allocate("vm1")
    found = await lan.read(addresses.find_assignment, NETWORK, "vm1")
    assert (found.assignment.hostname, found.assignment.seq) == ("new", 2)


async def test_a_vm_has_an_address_of_its_own_in_each_network(lan: Desk) -> None:
    await lan.network("10.0.0.0/24", network="other")
    assert await lan.allocate("vm1") + await lan.allocate("vm1", network="other") == ["172.16.0.2", "10.0.0.2"]
    await lan.release("vm1")
    assert await lan.holders("other") == {"10.0.0.2": "vm1"}


# ── one that is asked for ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_address_may_be_asked_for_in_any_spelling(desk: Desk) -> None:
    await desk.network("2001:db8::/64")
    assert await desk.allocate("a", ip="2001:DB8:0:0::0AbC") == ["2001:db8::abc"]
    assert await desk.allocate("b", ip="2001:db8::ffff:ffff:ffff:ffff") == ["2001:db8::ffff:ffff:ffff:ffff"]
    assert await desk.allocate("c") == ["2001:db8::2"]


async def test_an_address_asked_for_is_passed_over_by_those_who_come_later(lan: Desk) -> None:
    await lan.allocate("x", ip="172.16.0.3")
    assert await lan.allocate("a", "b") == ["172.16.0.2", "172.16.0.4"]
    await lan.release("a")
    assert await lan.allocate("y", ip="172.16.0.2") == ["172.16.0.2"]


@pytest.mark.parametrize("ip", ["172.16.0.0", "172.16.0.1", "172.16.0.255", "172.16.0.9", "172.16.0.10"])
async def test_network_broadcast_gateway_and_reserved_addresses_are_nobodys(desk: Desk, ip: str) -> None:
    await desk.network(reserved=("172.16.0.9-172.16.0.10",))
    await desk.refused(Allocate(NETWORK, "vm1", ip=ip), errors.AddressReserved)
    await desk.refused(ReleaseAddress(NETWORK, ip), errors.AddressNotAssigned)


async def test_an_address_that_another_vm_has_is_refused(lan: Desk) -> None:
    await lan.allocate("a")
    await lan.refused(Allocate(NETWORK, "b", ip="172.16.0.2"), errors.AddressTaken)
    outcomes = await lan.together(Allocate(NETWORK, "c", ip="172.16.0.9"), Allocate(NETWORK, "d", ip="172.16.0.9"))
    assert isinstance(outcomes[1], errors.AddressTaken)


async def test_a_vm_may_name_the_address_that_it_has_and_no_other(lan: Desk) -> None:
    await lan.allocate("a")
    assert await lan.allocate("a", ip="172.16.0.2") == ["172.16.0.2"]
    await lan.refused(Allocate(NETWORK, "a", ip="172.16.0.3"), errors.AssignedElsewhere)


@pytest.mark.parametrize(
    ("ip", "kind"),
    [
        ("172.16.1.0", errors.AddressOutside),
        ("2001:db8::1", errors.AddressOutside),
        ("::ac10:2", errors.AddressOutside),
        ("172.16.0", errors.BadAddress),
        ("172.16.0.2/32", errors.BadAddress),
        ("", errors.BadAddress),
    ],
)
async def test_an_address_outside_or_none_at_all_is_refused(lan: Desk, ip: str, kind: type[errors.BadAddress]) -> None:
    await lan.allocate("b")
    for vm_id in "ab":
        await lan.refused(Allocate(NETWORK, vm_id, ip=ip), kind)
    await lan.refused(ReleaseAddress(NETWORK, ip), kind)


# ── back ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_address_is_released_by_its_vm_or_by_itself(lan: Desk) -> None:
    await lan.allocate("a", "b")
    assert await lan.release("a") == ["172.16.0.2"]
    assert await lan.release_address("172.16.0.3") == "b"
    assert await lan.holders() == {}


async def test_what_nobody_has_is_not_released(lan: Desk) -> None:
    await lan.refused(Release(NETWORK, "a"), errors.NotAssigned)
    await lan.refused(ReleaseAddress(NETWORK, "172.16.0.2"), errors.AddressNotAssigned)
    await lan.allocate("a")
    await lan.release("a")
    await lan.refused(Release(NETWORK, "a"), errors.NotAssigned)
    await lan.refused(ReleaseAddress(NETWORK, "172.16.0.2"), errors.AddressNotAssigned)


async def test_of_two_releases_of_one_address_one_finds_it(lan: Desk) -> None:
    for _ in range(5):
        await lan.allocate("a")
        outcomes = await lan.together(Release(NETWORK, "a"), ReleaseAddress(NETWORK, "172.16.0.2"))
        assert [type(each) for each in outcomes] == [addresses.Assigned, errors.AddressNotAssigned]


async def test_an_unknown_network_is_refused(lan: Desk) -> None:
    for command in (
        Allocate("x", "a"),
        Release("x", "a"),
        ReleaseAddress("x", "10.0.0.1"),
        ReleaseOrphans("x", (("a", 1),)),
    ):
        await lan.refused(command, errors.UnknownNetwork)


# ── exhausted ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_24_with_a_gateway_gives_253_addresses_and_no_more(lan: Desk) -> None:
    outcomes = await lan.together(*(Allocate(NETWORK, f"vm{n}") for n in range(300)))
    given = [each.assignment.ip for each in outcomes if isinstance(each, addresses.Assigned)]
    assert given == [f"172.16.0.{n}" for n in range(2, 255)]
    assert {type(each) for each in outcomes[253:]} == {errors.NetworkExhausted}
    await lan.refused(Allocate(NETWORK, "vm999"), errors.NetworkExhausted)


async def test_an_exhausted_network_still_answers_those_who_have_one_and_recovers(desk: Desk) -> None:
    await desk.network("10.0.0.0/29")
    await desk.allocate("a", "b", "c", "d", "e")
    await desk.refused(Allocate(NETWORK, "f"), errors.NetworkExhausted)
    assert await desk.allocate("c") == ["10.0.0.4"]
    await desk.release("c")
    assert await desk.allocate("f") == ["10.0.0.4"]
    await desk.refused(Allocate(NETWORK, "c"), errors.NetworkExhausted)


@pytest.mark.parametrize(
    ("cidr", "given"),
    [
        ("10.0.0.0/30", ["10.0.0.2"]),
        ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.7/32", ["10.0.0.7"]),
        ("2001:db8::/126", ["2001:db8::2", "2001:db8::3"]),
        ("2001:db8::/127", ["2001:db8::", "2001:db8::1"]),
        ("2001:db8::7/128", ["2001:db8::7"]),
    ],
)
@pytest.mark.parametrize("allocation", ["lowest", "random"])
async def test_the_smallest_networks_give_all_they_have(
    desk: Desk, cidr: str, given: list[str], allocation: str
) -> None:
    await desk.network(cidr, allocation=allocation)
    assert sorted(await desk.allocate(*(f"vm{n}" for n in range(len(given))))) == given
    await desk.refused(Allocate(NETWORK, "late"), errors.NetworkExhausted)


async def test_a_network_with_exclusions_gives_everything_else(desk: Desk) -> None:
    await desk.network("10.0.0.0/28", reserved=("10.0.0.4-10.0.0.6", "10.0.0.8/30", "10.0.0.13"))
    given = await desk.allocate("a", "b", "c", "d", "e")
    assert [ip.removeprefix("10.0.0.") for ip in given] == ["2", "3", "7", "12", "14"]
    await desk.refused(Allocate(NETWORK, "f"), errors.NetworkExhausted)


# ── at random ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_random_addresses_are_spread_and_no_two_are_the_same(desk: Desk) -> None:
    await desk.network("2001:db8::/64", allocation="random")
    outcomes = await desk.together(*(Allocate(NETWORK, f"vm{n}") for n in range(50)))
    offsets = [each.assignment.offset for each in outcomes]
    assert len(set(offsets)) == 50
    assert min(offsets) > 2**32
    assert offsets != sorted(offsets)


async def test_a_random_network_is_given_out_to_the_last_address(desk: Desk) -> None:
    await desk.network("10.0.0.0/26", allocation="random")
    outcomes = await desk.together(*(Allocate(NETWORK, f"vm{n}") for n in range(70)))
    given = sorted(each.assignment.offset for each in outcomes if isinstance(each, addresses.Assigned))
    assert given == list(range(2, 63))


# ── rest ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_released_address_rests_and_comes_back_afterwards(desk: Desk) -> None:
    await desk.network(reuse_delay_seconds=60)
    await desk.allocate("a", "b")
    await desk.release("a")
    assert await desk.allocate("c") == ["172.16.0.4"]
    await desk.refused(Allocate(NETWORK, "d", ip="172.16.0.2"), errors.AddressResting)
    desk.clock.advance(59)
    assert ((await desk.stats()).resting, (await desk.stats()).available) == (1, 250)
    desk.clock.advance(1)
    assert ((await desk.stats()).resting, (await desk.stats()).available) == (0, 251)
    assert await desk.allocate("d") == ["172.16.0.2"]


async def test_where_all_others_are_assigned_the_longest_rested_is_given_out(desk: Desk) -> None:
    await desk.network("10.0.0.0/29", reuse_delay_seconds=3600)
    await desk.allocate("a", "b", "c", "d", "e")
    for vm_id in "dbc":
        await desk.release(vm_id)
        desk.clock.advance(1)
    assert await desk.allocate("x", "y", "z") == ["10.0.0.5", "10.0.0.3", "10.0.0.4"]


async def test_more_rests_than_one_transaction_ends_come_back_in_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("marketplace.addresses.book.MOST_RESTED", 2)
    await desk.network(reuse_delay_seconds=60)
    await desk.allocate(*"abcde")
    for vm_id in "edcba":
        await desk.release(vm_id)
        desk.clock.advance(1)
    desk.clock.advance(60)
    assert await desk.allocate("v", "w", "x") == ["172.16.0.5", "172.16.0.3", "172.16.0.2"]


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def many(*vm_ids: str) -> AllocateMany:
    return AllocateMany(tuple(Allocate(NETWORK, vm_id) for vm_id in vm_ids))


async def test_many_get_theirs_in_order_and_again_the_same(lan: Desk) -> None:
    await lan.allocate("b")
    outcomes = await lan.run(many("a", "b", "c", "a"))
    told = [(each.assignment.ip.removeprefix("172.16.0."), each.created) for each in outcomes]
    assert told == [("3", True), ("2", False), ("4", True), ("3", False)]


async def test_a_thousand_are_served_in_one_transaction(desk: Desk) -> None:
    await desk.network("10.0.0.0/8")
    outcomes = await desk.run(many(*(f"vm{n}" for n in range(addresses.MAX_BATCH))))
    assert [each.assignment.offset for each in outcomes] == list(range(2, 1002))
    assert len((await desk.everything())[log.commits.name]) == 2


async def test_many_are_refused_together_as_the_first_one_at_fault_is(desk: Desk) -> None:
    await desk.network("10.0.0.0/29")
    refusal = await desk.refused(many(*(f"vm{n}" for n in range(9))), errors.NetworkExhausted)
    assert refusal.extra["index"] == 5
    both = AllocateMany((Allocate(NETWORK, "a"), Allocate(NETWORK, "b", ip="10.0.1.1")))
    assert (await desk.refused(both, errors.AddressOutside)).extra["index"] == 1


async def test_many_are_released_together_or_not_at_all(lan: Desk) -> None:
    await lan.allocate("a", "b", "c")
    assert (await lan.refused(ReleaseMany(NETWORK, ("a", "x", "b")), errors.NotAssigned)).extra["index"] == 1
    assert (await lan.refused(ReleaseMany(NETWORK, ("a", "a")), errors.NotAssigned)).extra["index"] == 1
    outcomes = await lan.run(ReleaseMany(NETWORK, ("c", "a")))
    assert [each.assignment.vm_id for each in outcomes] == ["c", "a"]
    assert await lan.holders() == {"172.16.0.3": "b"}


# ── orphans ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_orphans_are_those_that_are_not_live_and_older_than_the_grace(lan: Desk) -> None:
    await lan.allocate("a", "b", "c")
    lan.clock.advance(100)
    await lan.allocate("new")
    cutoff = lan.clock() - 60 * SECOND
    found = await lan.read(addresses.list_orphans, NETWORK, live=["b", "z"], assigned_before=cutoff, limit=10)
    assert [each.vm_id for each in found] == ["a", "c"]
    assert len(await lan.read(addresses.list_orphans, NETWORK, live=[], assigned_before=lan.clock(), limit=3)) == 3
    live = [f"vm{n}" for n in range(addresses.MAX_LIVE)]
    assert len(await lan.read(addresses.list_orphans, NETWORK, live=live, assigned_before=lan.clock(), limit=9)) == 4


async def test_an_orphan_whose_name_has_come_back_since_is_left_alone(lan: Desk) -> None:
    await lan.allocate("a", "b", "c")
    found = await lan.read(addresses.list_orphans, NETWORK, live=[], assigned_before=lan.clock(), limit=10)
    await lan.release("a", "b")
    await lan.allocate("b")
    ended = await lan.run(ReleaseOrphans(NETWORK, tuple((each.vm_id, each.seq) for each in (*found, *found))))
    assert [each.assignment.vm_id for each in ended] == ["c"]
    assert await lan.holders() == {"172.16.0.2": "b"}


# ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────────
