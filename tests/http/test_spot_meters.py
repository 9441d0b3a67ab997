"""What the spot market tells Prometheus: everything that docs/operations.md names, the same from every process."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.http import spot_market
from tests.http.conftest import Client, Serve
from tests.http.spot_market import BIDS, LEASES, NODES
from tests.reports import documents

NODE = {"node": "n1", "backend": "simulated", "cpu_millis": 2000, "memory_mib": 4096}
BID = {"username": "ann", "image": "app:1", "cpu_millis": 1000, "memory_mib": 2048, "max_price_per_hour": "3"}


def read(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values of the spot market's metrics by their labels' values, in the order of the labels' names.

    They are left out where the database does not answer within a second, as on a busy machine.
    """
    for _ in range(10):
        if found := _read(client):
            return found
    raise AssertionError("never answered in time")


def _read(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        if family.name.startswith("spot_"):
            for sample in family.samples:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = sample.value
    return found


def leased(client: Client, **more: Any) -> int:
    bid_id = client.post(BIDS, json=BID | more).json()["bid_id"]
    lease_id = spot_market.match(client, bid_id, "n1")
    spot_market.begin(client, lease_id)
    return lease_id


def test_every_metric_of_the_spot_market_is_documented_and_no_other(serve: Serve) -> None:
    with serve(jobs=False) as client:
        client.post(NODES, json=NODE)
        spot_market.end(client, leased(client))
        names = {re.sub("_(bucket|sum|count)$", "", name) for name in read(client)}
    rows = re.findall(r"^\| (`spot_\w+`(?:, `spot_\w+`)*) \|", documents.text("docs/operations.md"), re.MULTILINE)
    settings = {"spot_logs_kept_seconds", "spot_simulated_nodes"}
    assert {name for row in rows for name in re.findall(r"\w+", row)} - settings == names


def test_what_runs_is_gauged_and_what_has_ended_is_counted(serve: Serve) -> None:
    with serve(jobs=False) as client:
        client.post(NODES, json=NODE)
        first, second = leased(client), leased(client, max_price_per_hour="5")
        client.post(BIDS, json=BID | {"max_price_per_hour": "4"})
        found = read(client)
        assert found["spot_price"] == {("default",): 0.01}
        assert found["spot_nodes_ready"] == {("default",): 1}
        assert found["spot_capacity"] == {("default", "cpu_millis"): 2000, ("default", "memory_mib"): 4096}
        assert found["spot_used"] == found["spot_capacity"]
        assert found["spot_bids"] == {
            ("default", "waiting"): 1, ("default", "running"): 2, ("default", "leaving"): 0,
        }  # fmt: skip
        assert found["spot_realised_value"] == {("default",): 8}
        assert found["spot_idealised_value"] == {("default",): 9}
        assert "spot_leases_ended_total" not in found

        client.post(f"{LEASES}/{second}/simulate-eviction")
        assert read(client)["spot_bids"][("default", "leaving")] == 1
        spot_market.end(client, second)
        spot_market.end(client, first)
        found = read(client)
        assert found["spot_leases_ended_total"] == {("drill", "default"): 1, ("exited", "default"): 1}
        assert found["spot_start_seconds_count"] == {("default",): 2}
        assert found["spot_billed_seconds_total"][("default",)] > 0
        assert found["spot_reconcile_lag_seconds"] == {("default",): 0}
        assert found["spot_bids"][("default", "running")] == 0
        assert read(client) == found, "looking changes nothing"
