"""Pools and nodes: brought in, set, looked after by one process at a time, emptied, lost, found and taken out."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace import spot
from marketplace.foundation.clock import SECOND
from marketplace.spot import errors
from tests.spot.desk import CREDIT, Desk

WEALTH = 1_000 * CREDIT


def node_state(name: str, state: Any, **more: Any) -> spot.SetNode:
    return spot.SetNode(pool="default", node=name, state=state, **more)


async def test_a_pool_is_opened_once_and_its_price_begins_with_the_reserve(desk: Desk) -> None:
    policy = spot.Policy(unit_cpu_millis=500, unit_memory_mib=512, reserve_micros=70_000)
    opened = await desk.run(spot.OpenPool(spot.Pool("gpu", policy, images=("a*",), network="net")))
    assert (opened.policy, opened.images, opened.opened_at) == (policy, ("a*",), desk.clock())
    await desk.refused(spot.OpenPool(spot.Pool("gpu", policy)), errors.PoolExists)
    prices = (await desk.everything())["spot_prices"]
    assert [price for pool, *price in prices if pool == "gpu"] == [[desk.clock(), None, 70_000]]


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"pricing": "dutch"}, errors.UnknownPricing),
        ({"notice_seconds": 601}, errors.BadPolicy),
        ({"notice_bounds": (200, 300)}, errors.BadPolicy),
        ({"notice_bounds": (0, 3_601)}, errors.BadPolicy),
        ({"backoff_seconds": 0}, errors.BadPolicy),
        ({"backoff_seconds": 4_000}, errors.BadPolicy),
        ({"max_backoff_seconds": 86_401}, errors.BadPolicy),
        ({"minimum_runtime_seconds": 86_401}, errors.BadPolicy),
        ({"reserve_micros": 10**12 + 1}, errors.BadPolicy),
        ({"margin_basis_points": 100_001}, errors.BadPolicy),
    ],
)
async def test_a_pool_is_set_only_to_what_can_be_decided_by(
    desk: Desk, change: dict[str, Any], refusal: type[errors.BadPolicy]
) -> None:
    await desk.refused(spot.SetPool(pool="default", **change), refusal)
    await desk.refused(spot.SetPool(pool="none"), errors.UnknownPool)
    before = await desk.everything()
    assert (await desk.run(spot.SetPool(pool="default", notice_seconds=120))).policy.notice_seconds == 120
    assert await desk.everything() == before


async def test_a_node_is_its_providers_and_keeps_its_owner_token(desk: Desk) -> None:
    await desk.add_node("a", 1, owner="first")
    await desk.add_node("a", 2, owner="second")
    mine: dict[str, Any] = {
        "pool": "default",
        "node": "a",
        "backend": "simulated",
        "cpu_millis": 1,
        "memory_mib": 1,
        "owner": "x",
    }
    await desk.refused(spot.AddNode(provider="eve", **mine), errors.NotYours)
    await desk.refused(spot.AddNode(provider="eve", **(mine | {"pool": "none"})), errors.UnknownPool)
    await desk.refused(node_state("a", "cordoned", provider="eve"), errors.UnknownNode)
    await desk.refused(node_state("b", "cordoned"), errors.UnknownNode)
    row = await desk.run(spot.AddNode(provider="root", is_admin=True, **mine))
    assert (row.provider, row.cpu_millis) == ("pat", 1)
    (claimed,) = await desk.run(spot.ClaimNodes("me"))
    assert claimed.owner == "first"


async def test_a_node_is_one_process_at_a_time(desk: Desk) -> None:
    for name in "abc":
        await desk.add_node(name)
    assert [one.node for one in await desk.run(spot.ClaimNodes("me", limit=2))] == ["a", "b"]
    mine, others = await desk.together(spot.ClaimNodes("me", limit=2), spot.ClaimNodes("you"))
    assert ([one.node for one in mine], [one.node for one in others]) == (["a", "b"], ["c"])
    desk.clock.advance(9)
    await desk.run(spot.ClaimNodes("me"))
    desk.clock.advance(9)
    assert [one.node for one in await desk.run(spot.ClaimNodes("you"))] == ["c"]
    desk.clock.advance(1)
    assert [one.node for one in await desk.run(spot.ClaimNodes("you"))] == ["a", "b", "c"]
    assert await desk.kinds() == ["node_set"] * 3


async def test_a_node_that_is_emptied_gives_notice_and_takes_nothing_new(desk: Desk) -> None:
    for name in "ab":
        await desk.add_node(name)
    stays = await desk.running("ann", 1.00, on_eviction="requeue")
    goes = await desk.running("ann", 1.00, notice_seconds=5)
    leaving, other = await desk.lease_of(stays), await desk.lease_of(goes)
    await desk.run(node_state(leaving.node, "draining"))
    assert [await desk.state(bid_id) for bid_id in (stays, goes)] == ["evicting", "running"]
    await desk.run(node_state(other.node, "draining"))
    assert (await desk.lease_of(goes)).stop_at == desk.clock() + 5 * SECOND
    waits = await desk.place("bob", 9.00)
    for bid_id in (stays, goes):
        await desk.end(bid_id, 143)
    await desk.match()
    assert [await desk.state(bid_id) for bid_id in (stays, goes, waits)] == ["submitted", "evicted", "submitted"]
    assert (await desk.bid_of(stays)).evictions == 0
    await desk.run(node_state("a", "ready"))
    await desk.match()
    assert [await desk.state(bid_id) for bid_id in (stays, waits)] == ["submitted", "starting"]


async def test_room_that_is_reserved_on_a_cordoned_node_is_given_up(desk: Desk) -> None:
    await desk.add_node("a")
    await desk.running("ann", 1.00)
    high = await desk.place("bob", 2.00)
    await desk.match()
    await desk.run(node_state("a", "cordoned"))
    await desk.match()
    bid = await desk.bid_of(high)
    assert (bid.state, bid.cause, bid.queue_seq) == ("submitted", "drained", high)
    assert (await desk.lease_of(high)).is_clean
    await desk.add_node("b")
    await desk.match()
    assert (await desk.lease_of(high)).node == "b"


async def test_who_was_on_a_lost_node_is_queued_again_and_pays_to_its_last_sign(desk: Desk) -> None:
    await desk.add_node("a", 3)
    ran = await desk.running("ann", 3.60)  # for 60 s by now
    await desk.run(spot.Heartbeat("default", "a"))
    stopped = await desk.running("ann", 3.60)
    await desk.run(spot.CancelBid(stopped))
    starting = await desk.place("ann", 3.60)
    await desk.match()
    assert await desk.run(spot.LoseNodes(61)) == 0
    assert await desk.together(spot.LoseNodes(60), spot.LoseNodes(60)) == [1, 0]
    states = [await desk.state(bid_id) for bid_id in (ran, stopped, starting)]
    assert states == ["submitted", "cancelled", "submitted"]
    lease = await desk.lease_of(ran)
    assert lease.ended_at == desk.clock() - 60 * SECOND
    assert not lease.is_clean
    assert (await desk.bid_of(ran)).queue_seq == ran
    await desk.run(spot.Heartbeat("default", "a"))
    await desk.match()
    assert [await desk.state(bid_id) for bid_id in (ran, starting)] == ["starting", "starting"]


async def test_a_node_is_taken_out_once_nothing_is_left_on_it(desk: Desk) -> None:
    await desk.add_node("a")
    bid_id = await desk.running("ann", 1.00)
    await desk.refused(spot.RemoveNode("default", "a"), errors.NodeInUse)
    await desk.end(bid_id)
    await desk.refused(spot.RemoveNode("default", "a"), errors.NodeInUse)
    await desk.run(spot.RecordClean(((await desk.lease_of(bid_id)).lease_id,)))
    await desk.refused(spot.RemoveNode("default", "a", provider="eve"), errors.UnknownNode)
    await desk.run(spot.RemoveNode("default", "a", provider="pat"))
    await desk.refused(spot.RemoveNode("default", "a"), errors.UnknownNode)
    assert await desk.run(spot.ClaimNodes("me")) == []
    await desk.run(spot.Heartbeat("default", "a"))
    desk.clock.advance(100)
    assert await desk.run(spot.LoseNodes()) == 0
    assert (await desk.add_node("a")).state == "ready"
