"""Lists of assignments as linked arrays, and the addresses of VMs that are gone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import Client
from tests.http.test_addresses import IP, NETWORKS, addresses_of, allocate, seqs
from tests.http.test_gate import assert_problem

# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_list_is_a_plain_array_whose_pages_are_linked(pool: Client) -> None:
    pool.post(f"{IP}/allocate:batch", json={"requests": [{"vm_id": f"vm-{number}"} for number in range(7)]})
    whole = pool.get(f"{IP}/allocations")
    assert "link" not in whole.headers
    assert [row["vm_id"] for row in whole.json()] == [f"vm-{number}" for number in range(7)]
    rows, url = [], f"{IP}/allocations?limit=3"
    while url:
        page = pool.get(url)
        rows += page.json()
        url = page.links.get("next", {}).get("url", "")
    assert rows == whole.json()
    assert pool.get(f"{IP}/allocations?limit=100000").json() == whole.json()


# ── reconcile ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dry_run_tells_the_orphans_and_releases_none(pool: Client) -> None:
    for vm_id in ("live", "gone-1", "gone-2"):
        allocate(pool, vm_id)
    body = {"vm_ids": ["live", "never-seen"], "grace_seconds": 0}
    found = pool.post(f"{IP}/reconcile", json=body).json()
    assert [one["vm_id"] for one in found["orphans"]] == ["gone-1", "gone-2"]
    assert (found["applied"], found["more"]) == (False, False)
    assert len(addresses_of(pool)) == 3
    applied = pool.post(f"{IP}/reconcile", json=body | {"apply": True}).json()
    assert applied == found | {"applied": True}
    assert addresses_of(pool) == ["172.16.0.2"]
    assert pool.post(f"{IP}/reconcile", json=body | {"apply": True}).json()["orphans"] == []


def test_what_was_given_out_within_the_grace_is_left_alone(pool: Client) -> None:
    allocate(pool, "young")
    body = {"vm_ids": [], "apply": True}
    assert pool.post(f"{IP}/reconcile", json=body).json()["orphans"] == []
    assert pool.post(f"{IP}/reconcile", json=body | {"grace_seconds": 3600}).json()["orphans"] == []
    assert addresses_of(pool) == ["172.16.0.2"]


def test_more_than_a_thousand_orphans_are_released_a_thousand_at_a_time(pool: Client) -> None:
    pool.post(NETWORKS, json={"network": "wide", "cidr": "10.0.0.0/16"})
    for part in (range(1_000), range(1_000, 1_003)):
        requests = [{"vm_id": f"vm-{number}", "network": "wide"} for number in part]
        assert pool.post(f"{IP}/allocate:batch", json={"requests": requests}).status_code == 201
    body = {"vm_ids": ["vm-0"], "grace_seconds": 0, "apply": True, "network": "wide"}
    answers = [pool.post(f"{IP}/reconcile", json=body).json() for _ in range(3)]
    assert [(len(one["orphans"]), one["more"]) for one in answers] == [(1_000, True), (2, False), (0, False)]
    assert addresses_of(pool, network="wide") == ["10.0.0.2"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "vm_ids"),
        ({"vm_ids": ["a b"]}, "vm_ids[0]"),
        ({"vm_ids": [], "grace_seconds": -1}, "grace_seconds"),
        ({"vm_ids": [], "grace_seconds": 1.5}, "grace_seconds"),
        ({"vm_ids": [], "apply": "yes"}, "apply"),
        ({"vm_ids": ["v"] * 100_001}, "vm_ids"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_reconciliation_releases_nothing(client: Client, body: Any, field: str) -> None:
    before = seqs(client)
    assert assert_problem(client.post(f"{IP}/reconcile", json=body), 400, "invalid")["field"] == field
    assert seqs(client) == before


def test_a_hundred_thousand_live_vms_fit(client: Client) -> None:
    vm_ids = [f"{'v' * 120}-{number:06}" for number in range(100_000)]
    assert client.post(f"{IP}/reconcile", json={"vm_ids": vm_ids}).status_code == 200
