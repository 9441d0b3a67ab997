"""Pools, nodes and prices of the spot market over HTTP, without the loops that match and run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.http import spot_market
from tests.http.conftest import Client, Serve
from tests.http.spot_market import BIDS, NODES, POOLS
from tests.http.test_gate import assert_problem

NODE = {"node": "n1", "backend": "simulated", "cpu_millis": 4000, "memory_mib": 4096}
BID = {"username": "ann", "image": "app:1", "cpu_millis": 1000, "memory_mib": 1024, "max_price_per_hour": "3"}


@pytest.fixture
def market(serve: Serve) -> Iterator[Client]:
    with serve(jobs=False) as client:
        yield client


def done(answer: Any) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def leased(client: Client, node: str, *, begins: bool = True, **more: Any) -> int:
    """Have a bid placed on a node, and its container run there."""
    lease_id = spot_market.match(client, done(client.post(BIDS, json=BID | more))["bid_id"], node)
    if begins:
        spot_market.begin(client, lease_id)
    return lease_id


# ── pools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pool_is_there_from_the_start(market: Client) -> None:
    (pool,) = done(market.get(POOLS))["items"]
    assert (pool["pool"], pool["unit_cpu_millis"], pool["unit_memory_mib"]) == ("default", 1000, 2048)
    assert (pool["reserve_price_per_hour"], pool["pricing"], pool["margin_basis_points"]) == ("0.01", "uniform", 500)
    assert (pool["minimum_runtime_seconds"], pool["notice_seconds"]) == (60, 120)
    assert done(market.get(f"{POOLS}/default")) == pool


def test_a_pool_is_opened_once_and_changed_in_part(market: Client) -> None:
    asked = {"pool": "gpu", "unit_cpu_millis": 4000, "reserve_price_per_hour": "0.5", "images": ["ours/*"]}
    made = market.post(POOLS, json=asked)
    assert made.status_code == 201
    assert {name: made.json()[name] for name in asked} == asked | {"reserve_price_per_hour": "0.50"}
    assert_problem(market.post(POOLS, json=asked), 409, "spot.pool_exists")
    change = {"longest_notice_seconds": 300, "reserve_price_per_hour": "0.7", "max_cpu_millis": 8000}
    changed = done(market.patch(f"{POOLS}/gpu", json=change))
    assert changed == made.json() | change | {"reserve_price_per_hour": "0.70"}
    assert done(market.patch(f"{POOLS}/gpu", json={"max_cpu_millis": None}))["max_cpu_millis"] is None
    assert done(market.patch(f"{POOLS}/gpu", json={})) == changed | {"max_cpu_millis": None}
    assert [one["pool"] for one in done(market.get(f"{POOLS}?limit=1"))["items"]] == ["default"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"pricing": "by_mood"}, "spot.unknown_pricing"),
        ({"notice_seconds": 30, "shortest_notice_seconds": 60}, "spot.bad_policy"),
        ({"backoff_seconds": 100, "max_backoff_seconds": 10}, "spot.bad_policy"),
        ({"margin_basis_points": -1}, "invalid"),
        ({"reserve_price_per_hour": "free"}, "invalid"),
        ({"images": [""]}, "invalid"),
        ({"images": ["a"] * 101}, "invalid"),
        ({"network": "../x"}, "invalid"),
    ],
)
def test_a_pool_that_cannot_be_is_refused(market: Client, more: dict[str, Any], code: str) -> None:
    assert_problem(market.post(POOLS, json={"pool": "odd"} | more), 400, code)
    assert_problem(market.patch(f"{POOLS}/default", json=more), 400, code)
    assert_problem(market.post(POOLS, json={"pool": "odd", "unit_cpu_millis": 256_000, "unit_memory_mib": 4_194_304}),
                   400, "spot.bad_policy")  # fmt: skip
    assert len(done(market.get(POOLS))["items"]) == 1


# ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_comes_changes_and_goes(market: Client) -> None:
    made = market.post(NODES, json=NODE | {"settings": {"seed": 7}, "provider": "pat"})
    assert made.status_code == 201
    node = made.json()
    assert (node["state"], node["provider"], node["heartbeat_at"]) == ("ready", "pat", None)
    assert "settings" not in node
    assert "owner" not in node
    assert done(market.get(f"{NODES}/n1")) == node | {"used_cpu_millis": 0, "used_memory_mib": 0, "leases": 0}
    larger = done(market.post(NODES, json=NODE | {"cpu_millis": 8000}))
    assert (larger["cpu_millis"], larger["provider"], larger["added_at"]) == (8000, "pat", node["added_at"])
    for state in ("cordoned", "draining", "ready"):
        assert done(market.patch(f"{NODES}/n1", json={"state": state}))["state"] == state
    assert done(market.delete(f"{NODES}/n1")) == {"pool": "default", "node": "n1"}
    assert_problem(market.get(f"{NODES}/n1"), 404, "spot.unknown_node")
    assert done(market.get(NODES))["items"] == []
    assert done(market.post(NODES, json=NODE))["state"] == "ready"


def test_a_node_tells_what_is_used_of_it_and_is_not_removed_meanwhile(market: Client) -> None:
    done(market.post(NODES, json=NODE))
    leased(market, "n1")
    leased(market, "n1", begins=False)
    (node,) = done(market.get(NODES))["items"]
    assert (node["used_cpu_millis"], node["used_memory_mib"], node["leases"]) == (2000, 2048, 2)
    problem = assert_problem(market.delete(f"{NODES}/n1"), 409, "spot.node_in_use")
    assert problem["leases"] == 2


def test_a_node_that_is_drained_gives_its_leases_notice(market: Client) -> None:
    done(market.post(NODES, json=NODE))
    lease_id = leased(market, "n1")
    done(market.patch(f"{NODES}/n1", json={"state": "draining"}))
    lease = done(market.get(f"/api/v1/spot/leases/{lease_id}"))
    assert (lease["state"], lease["cause"]) == ("evicting", "drained")
    left = datetime.fromisoformat(lease["stop_at"]) - datetime.fromisoformat(lease["notice_at"])
    assert left == timedelta(seconds=120)


@pytest.mark.parametrize(
    "more",
    [
        {"node": "../x"}, {"backend": "os.system"}, {"backend": "Docker"}, {"cpu_millis": 0}, {"memory_mib": 2**40},
        {"settings": []}, {"settings": {"a": "x" * 20_000}}, {"provider": "a\nb"}, {"owner": "0" * 16},
        {"state": "lost"},
    ],
)  # fmt: skip
def test_a_node_that_cannot_be_is_refused(market: Client, more: dict[str, Any]) -> None:
    assert market.post(NODES, json=NODE | more).status_code == 400
    assert done(market.get(NODES))["items"] == []


@pytest.mark.parametrize(
    ("backend", "settings", "said"),
    [
        ("simulated", {"fails_percent": 101}, "$.fails_percent"),
        ("simulated", {"colour": "red"}, "unknown field `colour`"),
        ("simulated", {"file": "/nowhere/at/all"}, "/nowhere/at/all"),
        ("docker", {"url": "https://10.0.0.1:2376"}, "tls_ca"),
        ("docker", {"url": "http://10.0.0.1:2375"}, "$.url"),
        ("kubernetes", {"kubeconfig": "/nowhere/config"}, "kubeconfig"),
    ],
)  # fmt: skip
def test_a_node_with_settings_that_its_backend_cannot_use_is_refused(
    market: Client, backend: str, settings: dict[str, Any], said: str
) -> None:
    node = NODE | {"backend": backend, "settings": settings}
    problem = assert_problem(market.post(NODES, json=node), 400, "spot.bad_node_settings")
    assert said in problem["detail"]
    assert problem["field"] == "settings"
    assert done(market.get(NODES))["items"] == []


def test_nobody_sets_a_node_lost(market: Client) -> None:
    done(market.post(NODES, json=NODE))
    for state in ("lost", "", None, 1):
        assert_problem(market.patch(f"{NODES}/n1", json={"state": state}), 400, "invalid")


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_price_is_told_with_what_containers_would_have_to_bid(market: Client) -> None:
    done(market.post(NODES, json=NODE))
    found = done(market.get(f"{POOLS}/default/price"))
    assert (found["unit_price_per_hour"], found["reserve_price_per_hour"]) == ("0.01", "0.01")
    assert [(one["cpu_millis"], one["min_price_per_hour"]) for one in found["indicative"]] == [
        (1000, "0.01"), (2000, "0.02"), (4000, None), (8000, None),
    ]  # fmt: skip


def test_the_history_of_a_price_has_no_gaps(market: Client) -> None:
    done(market.post(NODES, json=NODE))
    for _ in range(2):
        leased(market, "n1", begins=False)  # the plans of these tests raise the price, or leave it
    done(market.post(POOLS, json={"pool": "other"}))
    found = done(market.get(f"{POOLS}/other/prices"))["items"]
    assert [(one["unit_price_per_hour"], one["to_at"]) for one in found] == [("0.01", None)]
    pages, after = [], ""
    while True:
        page = done(market.get(f"{POOLS}/default/prices?limit=1{after}"))
        pages += page["items"]
        if page["next"] is None or len(pages) > 9:
            break
        after = f"&after={page['next']}"
    assert pages[0]["to_at"] is None
    assert [one["to_at"] for one in pages[1:]] == [one["from_at"] for one in pages[:-1]]


def test_candles_and_percentiles_look_at_the_time_that_is_asked_for(market: Client) -> None:
    candles = done(market.get(f"{POOLS}/default/candles?interval=1h&limit=3"))
    assert (candles["pool"], candles["interval"], len(candles["items"])) == ("default", "1h", 3)
    assert {candles["items"][0][name] for name in ("open", "high", "low", "close", "average")} == {"0.01"}
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    assert datetime.fromisoformat(candles["items"][2]["opened_at"]) in (hour, hour + timedelta(hours=1))
    assert done(market.get(f"{POOLS}/default/candles?until=2020-01-01T00:00:00Z"))["items"] == []
    found = done(market.get(f"{POOLS}/default/percentiles?since=2026-06-01T00:00:00Z&until=2026-06-02T00:00:00Z"))
    assert (found["since"], found["p20"], found["p50"], found["p80"]) == (
        "2026-06-01T00:00:00Z", "0.01", "0.01", "0.01",
    )  # fmt: skip
    for odd in ("since=0001-01-01T00:00:00%2B23:00", "until=9999-12-31T23:59:59-23:00", "until=0001-01-01T00:00:00Z"):
        for name in ("candles", "percentiles"):
            assert market.get(f"{POOLS}/default/{name}?{odd}").status_code == 200, (name, odd)


def test_utilisation_counts_what_ready_nodes_have(market: Client) -> None:
    for node in ("n1", "n2"):
        done(market.post(NODES, json=NODE | {"node": node}))
    leased(market, "n1")
    leased(market, "n2", max_price_per_hour="5")
    done(market.post(BIDS, json=BID | {"max_price_per_hour": "4", "cpu_millis": 4000}))
    found = done(market.get(f"{POOLS}/default/utilisation"))
    assert found == {
        "pool": "default", "nodes": 2, "cpu_millis": 8000, "memory_mib": 8192, "used_cpu_millis": 2000,
        "used_memory_mib": 2048, "running": 2, "leaving": 0, "waiting": 1, "used_percent": "25.00",
        "value_per_hour": "8.00", "ideal_value_per_hour": "12.00",
    }  # fmt: skip
    done(market.patch(f"{NODES}/n2", json={"state": "cordoned"}))
    less = done(market.get(f"{POOLS}/default/utilisation"))
    assert (less["nodes"], less["cpu_millis"], less["running"], less["value_per_hour"]) == (1, 4000, 1, "3.00")


def test_a_server_that_is_to_be_tried_has_simulated_nodes_of_its_own(serve: Serve) -> None:
    nodes: list[Any] = []
    for _ in range(2):
        with serve(jobs=False, spot_simulated_nodes=2) as client:
            nodes = done(client.get(NODES))["items"]
            assert [(one["node"], one["backend"]) for one in nodes] == [
                ("simulated-1", "simulated"), ("simulated-2", "simulated"),
            ]  # fmt: skip
            done(client.patch(f"{NODES}/simulated-1", json={"state": "cordoned"}))
    assert nodes[0]["state"] == "cordoned", "what is there stays as it is"
