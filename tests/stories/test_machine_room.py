"""An operator's day: a machine is emptied for repairs, its leases go with notice, and it comes back."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.client import Client, Conflict, NotFound
from tests.stories.test_tenant import QUIET, lease, place, state, until

ROOM: dict[str, Any] = {"backend": "simulated", "cpu_millis": 2000, "memory_mib": 4096, "settings": QUIET}


def test_an_operator_drains_a_machine_and_brings_it_back(market: Client) -> None:
    market.set_spot_pool("default", minimum_runtime_seconds=1, notice_seconds=1, backoff_seconds=1)
    market.add_spot_node("old", **ROOM, provider="pat")
    stays, goes = place(market, "ann", "3", on_eviction="requeue"), place(market, "bob", "2")
    until(lambda: state(market, stays) == state(market, goes) == "running")
    full = market.spot_utilisation()
    assert (full.nodes, full.used_percent, full.running, full.waiting) == (1, "100.00", 2, 0)
    assert full.value_per_hour == full.ideal_value_per_hour == "5.00"
    with pytest.raises(Conflict) as caught:
        market.remove_spot_node("old")
    assert caught.value.code == "spot.node_in_use"

    # A cordoned machine takes nothing new, and neither its room nor its leases count in the price.
    market.cordon_spot_node("old")
    waits = place(market, "cy", "9")
    assert market.spot_utilisation().cpu_millis == 0
    until(lambda: market.spot_price().unit_price_per_hour == "0.01")
    assert state(market, waits) == "submitted"
    assert state(market, stays) == "running"

    # A new machine comes. Draining the old one gives notice to its leases; who wishes so is queued again.
    market.add_spot_node("new", **ROOM, provider="pat")
    until(lambda: state(market, waits) == "running")
    assert lease(market, waits).node == "new"
    market.drain_spot_node("old")
    until(lambda: state(market, goes) == "evicted")
    assert (market.spot_bid(goes).cause, market.spot_bid(goes).evictions) == ("drained", 0)
    until(lambda: lease(market, stays).node == "new" and state(market, stays) == "running")
    until(lambda: market.spot_node("old").leases == 0)
    assert market.spot_node("old").state == "draining"

    # Repaired, it is used again; and one day it goes for good.
    market.uncordon_spot_node("old")
    more = [place(market, name, "1") for name in ("dora", "eve")]
    until(lambda: {state(market, bid) for bid in more} == {"running"})
    assert {lease(market, bid).node for bid in more} == {"old"}
    assert {node.node: node.leases for node in market.spot_nodes()} == {"new": 2, "old": 2}


def test_an_operator_opens_a_pool_for_some_images_at_its_own_price(market: Client) -> None:
    made = market.open_spot_pool("gpu", unit_cpu_millis=8000, reserve_price_per_hour="2", images=["ours/*"])
    assert made.reserve_price_per_hour == "2.00"
    market.add_spot_node("g1", backend="simulated", cpu_millis=8000, memory_mib=16_384, settings=QUIET, pool="gpu")
    shape = {"cpu_millis": 8000, "memory_mib": 2048, "pool": "gpu", "username": "ann"}
    seen = market.preview_spot_bid("ours/train:1", **shape)  # type: ignore[arg-type]
    assert seen.min_price_to_run_per_hour == "2.00"
    bid = market.place_spot_bid("ours/train:1", per_hour="2", **shape).bid_id  # type: ignore[arg-type]
    until(lambda: state(market, bid) == "running")
    with pytest.raises(NotFound):
        market.spot_node("g1")
    assert [one.bid_id for one in market.spot_bids(pool="default")] == []
    assert [one.unit_price_per_hour for one in market.spot_prices(pool="gpu")][-1] == "2.00"
