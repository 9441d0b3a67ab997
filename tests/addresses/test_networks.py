"""Networks: made, ensured at start-up, counted exactly, deleted when empty; no two overlap."""

from __future__ import annotations

import pytest

from marketplace import addresses
from marketplace.addresses import CreateNetwork, DeleteNetwork, EnsureNetwork, errors
from tests.addresses.desk import NETWORK, Desk
from tests.services.clock import NEW_YEAR


async def test_a_network_is_told_as_it_was_made(desk: Desk) -> None:
    made = await desk.network("10.0.0.0/24", reserved=("10.0.0.9", "10.0.0.16/30"), reuse_delay_seconds=5)
    found: addresses.Network = await desk.read(addresses.find_network, NETWORK)
    assert made == found
    assert (found.cidr, found.gateway, found.allocation) == ("10.0.0.0/24", "10.0.0.1", "lowest")
    assert (found.total, found.reserved, found.never_used, found.reuse_delay_seconds) == (254, 6, 248, 5)
    assert found.created_at == NEW_YEAR
    reserved = await desk.read(addresses.list_reserved, NETWORK)
    assert reserved == [("10.0.0.9", "10.0.0.9"), ("10.0.0.16", "10.0.0.19")]


@pytest.mark.parametrize(
    "cidr", ["10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/8", "10.0.0.255/32", "0.0.0.0/0", "10.0.0.0/32"]
)
async def test_a_network_that_overlaps_another_is_refused(desk: Desk, cidr: str) -> None:
    await desk.network("9.0.0.0/24", network="before")
    await desk.network("10.0.0.0/24")
    await desk.network("11.0.0.0/24", network="behind")
    await desk.refused(CreateNetwork("other", cidr), errors.NetworkOverlaps)


async def test_neighbours_and_the_other_version_do_not_overlap(desk: Desk) -> None:
    """`::a00:100` is the same number as 10.0.1.0."""
    for number, cidr in enumerate(("10.0.1.0/24", "10.0.0.0/24", "10.0.2.0/24", "::a00:100/120")):
        await desk.network(cidr, network=f"n{number}")
    await desk.refused(CreateNetwork("all", "::/96"), errors.NetworkOverlaps)


async def test_networks_made_at_once_do_not_overlap_either(desk: Desk) -> None:
    outcomes = await desk.together(*(CreateNetwork(f"n{n}", "10.0.0.0/24") for n in range(5)))
    assert [type(each) for each in outcomes] == [addresses.Network, *[errors.NetworkOverlaps] * 4]


async def test_a_name_is_given_once_and_a_bad_network_never(desk: Desk) -> None:
    await desk.network()
    await desk.refused(CreateNetwork(NETWORK, "10.0.0.0/24"), errors.NetworkExists)
    await desk.refused(CreateNetwork("bad", "10.0.0.1/24"), errors.BadNetwork)
    await desk.refused(CreateNetwork("bad", "10.0.0.0/24", gateway="10.0.1.1"), errors.BadNetwork)
    await desk.refused(CreateNetwork("bad", "10.0.0.0/24", reserved=("x",)), errors.BadNetwork)


async def test_networks_are_listed_by_name_and_the_first_one_made_is_the_default(desk: Desk) -> None:
    assert await desk.read(addresses.default_network) is None
    for number, name in enumerate("cab"):
        await desk.network(f"10.0.{number}.0/24", network=name)
    assert (await desk.read(addresses.default_network)).network == "c"
    for question in (addresses.list_networks, addresses.list_stats):
        assert [each.network for each in await desk.read(question, after=None, limit=2)] == ["a", "b"]
        assert [each.network for each in await desk.read(question, after="b", limit=2)] == ["c"]


async def test_what_there_is_not_is_not_found(desk: Desk) -> None:
    await desk.refused(DeleteNetwork("x"), errors.UnknownNetwork)
    for question in (addresses.find_network, addresses.network_stats, addresses.list_reserved):
        with pytest.raises(errors.UnknownNetwork):
            await desk.read(question, "x")
    with pytest.raises(errors.UnknownNetwork):
        await desk.read(addresses.list_assignments, "x", after=None, limit=1)
    with pytest.raises(errors.UnknownNetwork):
        await desk.read(addresses.list_orphans, "x", live=["a"], assigned_before=0, limit=1)


# ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "2001:db8::/64", "::/0"])
async def test_counts_are_exact_at_any_size(desk: Desk, cidr: str) -> None:
    await desk.network(cidr, reuse_delay_seconds=60)
    await desk.allocate("a", "b", "c")
    await desk.release("b")
    stats = await desk.stats()
    size = {"10.0.0.0/8": 2**24 - 2, "2001:db8::/64": 2**64 - 1, "::/0": 2**128 - 1}[cidr]
    assert (stats.total, stats.allocated, stats.reserved, stats.resting, stats.available) == (size, 2, 1, 1, size - 4)
    assert stats.total == stats.allocated + stats.reserved + stats.resting + stats.available


# ── deleted ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_network_is_deleted_only_when_nothing_is_assigned(desk: Desk) -> None:
    await desk.network(reserved=("172.16.0.9",), reuse_delay_seconds=60)
    await desk.allocate("a", "b")
    await desk.release("a")
    await desk.refused(DeleteNetwork(NETWORK), errors.NetworkInUse)
    await desk.release("b")
    assert (await desk.run(DeleteNetwork(NETWORK))).resting == 2
    rows = await desk.everything()
    assert [len(rows[name]) for name in ("networks", "segments", "addresses", "reserved_ranges")] == [0] * 4
    assert len(rows["past_assignments"]) == 2
    await desk.network()
    assert await desk.allocate("a") == ["172.16.0.2"]


async def test_a_network_made_and_used_and_deleted_at_once_is_gone(desk: Desk) -> None:
    outcomes = await desk.together(
        CreateNetwork("n", "10.0.0.0/24"),
        addresses.Allocate("n", "a"),
        DeleteNetwork("n"),
        addresses.Release("n", "a"),
        DeleteNetwork("n"),
        addresses.Allocate("n", "a"),
    )
    assert [type(each) for each in outcomes] == [
        addresses.Network,
        addresses.Assigned,
        errors.NetworkInUse,
        addresses.Assigned,
        addresses.Network,
        errors.UnknownNetwork,
    ]


# ── at start-up ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def ensured(desk: Desk, cidr: str, **more: object) -> str:
    network: addresses.Network = await desk.run(EnsureNetwork(cidr, **more))  # type: ignore[arg-type]
    return network.network


async def test_the_first_network_ensured_is_the_default_and_others_are_called_by_their_cidr(desk: Desk) -> None:
    assert await ensured(desk, "172.16.0") == "default"
    before = await desk.everything()
    assert await ensured(desk, "172.16.0.0/24") == "default"
    assert await desk.everything() == before
    assert await ensured(desk, "192.168.1") == "192.168.1.0-24"
    assert await ensured(desk, "2001:db8::/64") == "2001-db8---64"
    assert await ensured(desk, "::/64") == "64"
    assert await ensured(desk, "192.168.1.0/24") == "192.168.1.0-24"


async def test_without_a_wish_of_its_own_a_server_takes_the_first_network(desk: Desk) -> None:
    await desk.network("10.0.0.0/24", network="mine")
    assert await ensured(desk, "172.16.0.0/24", only_if_none=True) == "mine"
    assert len(await desk.read(addresses.list_networks, after=None, limit=9)) == 1


async def test_a_gateway_that_contradicts_the_stored_one_is_refused(desk: Desk) -> None:
    await ensured(desk, "172.16.0", gateway="172.16.0.254")
    assert await ensured(desk, "172.16.0") == "default"
    assert await ensured(desk, "172.16.0", gateway="172.16.0.254") == "default"
    await desk.refused(EnsureNetwork("172.16.0", "172.16.0.1"), errors.NetworkDiffers)
    await desk.refused(EnsureNetwork("172.16.0", None), errors.NetworkDiffers)
    await desk.refused(EnsureNetwork("172.16.0.0/16"), errors.NetworkOverlaps)
    await desk.refused(EnsureNetwork("172.16.0.0/25"), errors.NetworkOverlaps)
    await desk.refused(EnsureNetwork("172.16.0.1/24"), errors.BadNetwork)


async def test_servers_that_start_at_once_ensure_one_network(desk: Desk) -> None:
    outcomes = await desk.together(*(EnsureNetwork("10.0.0.0/24", only_if_none=True) for _ in range(4)))
    assert {each.network for each in outcomes} == {"default"}
