"""The address pool over HTTP: the seed's answers to the byte, and every wrong request told and without effect."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import Client
from tests.http.test_gate import assert_problem

IP = "/api/v1/ip"
NETWORKS = "/api/v1/networks"
REPLAYED = "idempotent-replayed"


def allocate(client: Client, vm_id: str, **fields: Any) -> Any:
    return client.post(f"{IP}/allocate", json={"vm_id": vm_id, **fields})


def addresses_of(client: Client, **query: Any) -> list[str]:
    return [row["ip"] for row in client.get(f"{IP}/allocations", params=query).json()]


def seqs(client: Client) -> int:
    found: int = client.get("/api/v1/events?lane=addresses&limit=1000").json()["next"]
    return found


# ── the seed ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_vm_gets_the_address_behind_the_gateway(pool: Client) -> None:
    answer = allocate(pool, "vm-1", hostname="web-1.example.org")
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    assert answer.content == (
        b'{"ip":"172.16.0.2","vm_id":"vm-1","gateway":"172.16.0.1","network":"172.16.0.0/24",'
        b'"hostname":"web-1.example.org"}'
    )
    assert REPLAYED not in answer.headers


def test_the_same_vm_is_told_the_same_again(pool: Client) -> None:
    first = allocate(pool, "vm-1", hostname="web")
    before = seqs(pool)
    again = [allocate(pool, "vm-1"), allocate(pool, "vm-1", hostname="web")]
    assert [one.status_code for one in again] == [201, 201]
    assert {one.content for one in again} == {first.content}
    assert [one.headers[REPLAYED] for one in again] == ["true", "true"]
    assert seqs(pool) == before


def test_a_hostname_given_anew_replaces_the_stored_one_and_left_out_it_stays(pool: Client) -> None:
    names = [
        allocate(pool, "vm-1", **fields).json()["hostname"] for fields in ({}, {"hostname": "a"}, {}, {"hostname": "b"})
    ]
    assert names == [None, "a", "a", "b"]
    assert pool.get(f"{IP}/vm-1").json()["hostname"] == "b"
    assert allocate(pool, "vm-1", hostname=None).json()["hostname"] == "b"


def test_what_was_released_is_told_and_given_out_next(pool: Client) -> None:
    first = allocate(pool, "vm-1").json()
    allocate(pool, "vm-2")
    released = pool.delete(f"{IP}/release/vm-1")
    assert (released.status_code, released.json()) == (200, first)
    assert_problem(pool.delete(f"{IP}/release/vm-1"), 404, "addresses.not_assigned")
    assert_problem(pool.get(f"{IP}/vm-1"), 404, "addresses.not_assigned")
    assert allocate(pool, "vm-3").json()["ip"] == first["ip"]


def test_an_address_is_released_by_its_number(pool: Client) -> None:
    first = allocate(pool, "vm-1").json()
    released = pool.delete(f"{IP}/release-by-ip/172.16.0.2")
    assert (released.status_code, released.json()) == (200, first)
    assert_problem(pool.delete(f"{IP}/release-by-ip/172.16.0.2"), 404, "addresses.address_not_assigned")


@pytest.mark.parametrize(
    ("ip", "code"),
    [
        ("router", "addresses.bad_address"),
        ("172.16.0", "addresses.bad_address"),
        ("172.16.0.256", "addresses.bad_address"),
        ("172.16.0.02", "addresses.bad_address"),
        ("fe80::1%25eth0", "addresses.bad_address"),
        ("172.16.1.2", "addresses.address_outside"),
        ("fd00::2", "addresses.address_outside"),
        ("x" * 46, "invalid"),
        ("1", "invalid"),
    ],
)
def test_no_address_of_the_network_is_no_address_to_release(pool: Client, ip: str, code: str) -> None:
    allocate(pool, "vm-1")
    assert_problem(pool.delete(f"{IP}/release-by-ip/{ip}"), 400, code)
    assert addresses_of(pool) == ["172.16.0.2"]


@pytest.mark.parametrize("ip", ["172.16.0.0", "172.16.0.1", "172.16.0.255"])
def test_what_is_never_given_out_is_never_taken_back(pool: Client, ip: str) -> None:
    response = pool.delete(f"{IP}/release-by-ip/{ip}")
    assert response.status_code in (400, 404)
    assert_problem(allocate(pool, "vm-1", ip=ip), 400, "addresses.address_reserved")
    assert pool.get(f"{IP}/stats").json()["available"] == 253


def test_the_counts_of_the_default_network(pool: Client) -> None:
    assert pool.get(f"{IP}/stats").content == (
        b'{"network":"172.16.0.0/24","gateway":"172.16.0.1",'
        b'"total":254,"allocated":0,"reserved":1,"resting":0,"available":253}'
    )


def test_a_24_gives_253_addresses_and_then_503_that_is_not_to_be_tried_again(pool: Client) -> None:
    given = [allocate(pool, f"vm-{number}") for number in range(253)]
    assert [one.json()["ip"] for one in given] == [f"172.16.0.{number}" for number in range(2, 255)]
    refused = allocate(pool, "one-more")
    assert_problem(refused, 503, "addresses.network_exhausted")
    assert "retry-after" not in refused.headers
    keyed = {"Idempotency-Key": "k"}
    assert_problem(
        pool.post(f"{IP}/allocate", json={"vm_id": "late"}, headers=keyed), 503, "addresses.network_exhausted"
    )
    assert allocate(pool, "vm-7").headers[REPLAYED] == "true"
    pool.delete(f"{IP}/release/vm-100")
    late = pool.post(f"{IP}/allocate", json={"vm_id": "late"}, headers=keyed)
    assert (late.status_code, late.json()["ip"]) == (201, "172.16.0.102")


def test_the_health_of_the_seed(pool: Client) -> None:
    answer = pool.get("/api/v1/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────

WORDS = (
    *("stats", "allocations", "allocate", "release", "release-by-ip", "reconcile", "allocate:batch", "release:batch"),
    *(".", ".."),
)

WRONG: list[tuple[Any, str | None]] = [
    ({}, "vm_id"),
    *[({"vm_id": vm_id}, "vm_id") for vm_id in ("", " ", "v" * 129, "a b", "a/b", "ü", "vm\n", "a%", 7, None, ["v"])],
    *[({"vm_id": word}, "vm_id") for word in WORDS],
    *[
        ({"vm_id": "vm-1", "hostname": name}, "hostname")
        for name in ("", "-a", "a-", "a_b", "a..b", ".a", "a.", "a" * 64, "ü", "a\n", 7, ".".join(["a" * 63] * 4))
    ],
    *[({"vm_id": "vm-1", "network": name}, "network") for name in ("", "A", "-a", "n" * 65, "10.0.0.0/8", 7)],
    *[({"vm_id": "vm-1", "ip": ip}, "ip") for ip in ("", "1", "nope", "172.16.1.1", "172.16.0.1", "172.16.0.999", 7)],
    *[({"vm_id": "vm-1", "owner": owner}, "owner") for owner in ("", " a", "o" * 129, 7)],
    ([], None),
    ("vm-1", None),
    (None, None),
]  # fmt: skip


@pytest.mark.parametrize(("body", "field"), WRONG)
def test_a_wrong_field_is_named_and_nothing_is_given(client: Client, body: Any, field: str | None) -> None:
    before = seqs(client)
    response = client.post(f"{IP}/allocate", json=body)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json().get("field") == field
    assert seqs(client) == before


@pytest.mark.parametrize("vm_id", ["a", "v" * 128, "A.b_c:d@e-f", "...", "statsx", "0"])
def test_every_name_that_may_be_is_taken_and_can_be_read(client: Client, vm_id: str) -> None:
    made = allocate(client, vm_id)
    assert made.status_code == 201
    assert client.get(f"{IP}/{vm_id}").json() == made.json()
    assert client.delete(f"{IP}/release/{vm_id}").json() == made.json()


@pytest.mark.parametrize(
    "hostname", ["a", "A-1.b-2", "a" * 63, "1.2", "xn--bcher-kva.example", ".".join(["a" * 61] * 4)]
)
def test_every_dns_name_is_taken(client: Client, hostname: str) -> None:
    assert allocate(client, "named", hostname=hostname).json()["hostname"] == hostname


def test_the_seed_ignores_what_it_does_not_know_and_the_rest_refuses_it(client: Client) -> None:
    assert allocate(client, "vm-1", colour="red").status_code == 201
    one = {"vm_id": "vm-1", "colour": "red"}
    for path, body, field in (
        (f"{IP}/allocate:batch", {"requests": [one]}, "requests[0].colour"),
        (f"{IP}/release:batch", {"vm_ids": ["vm-1"], "colour": 1}, "colour"),
        (f"{IP}/reconcile", {"vm_ids": [], "colour": 1}, "colour"),
        (NETWORKS, {"network": "n", "cidr": "10.0.0.0/8", "colour": 1}, "colour"),
    ):
        assert assert_problem(client.post(path, json=body), 400, "invalid")["field"] == field


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{IP}/a%20b", "vm_id"),
        (f"{IP}/{'v' * 129}", "vm_id"),
        (f"{IP}/vm-1?network=A", "network"),
        (f"{IP}/stats?network=", "network"),
        (f"{IP}/allocations?limit=0", "limit"),
        (f"{IP}/allocations?limit=100001", "limit"),
        (f"{IP}/allocations?limit=x", "limit"),
        (f"{IP}/allocations?after=zz", "after"),
        (f"{IP}/allocations?after={'f' * 33}", "after"),
        (f"{NETWORKS}?limit=1001", "limit"),
        (f"{NETWORKS}?after=0", "after"),
        (f"{NETWORKS}/Upper", "network"),
    ],
)
def test_a_wrong_parameter_is_named(client: Client, path: str, field: str) -> None:
    assert assert_problem(client.get(path), 400, "invalid")["field"] == field


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"{IP}/vm-1?network=nowhere", None),
        ("GET", f"{IP}/stats?network=nowhere", None),
        ("GET", f"{IP}/allocations?network=nowhere", None),
        ("GET", f"{NETWORKS}/nowhere", None),
        ("GET", f"{NETWORKS}/nowhere/reserved", None),
        ("DELETE", f"{NETWORKS}/nowhere", None),
        ("DELETE", f"{IP}/release/vm-1?network=nowhere", None),
        ("DELETE", f"{IP}/release-by-ip/10.0.0.1?network=nowhere", None),
        ("POST", f"{IP}/allocate", {"vm_id": "vm-1", "network": "nowhere"}),
        ("POST", f"{IP}/allocate:batch", {"requests": [{"vm_id": "vm-1", "network": "nowhere"}]}),
        ("POST", f"{IP}/release:batch", {"vm_ids": ["vm-1"], "network": "nowhere"}),
        ("POST", f"{IP}/reconcile", {"vm_ids": [], "network": "nowhere"}),
        ("POST", f"{IP}/reconcile", {"vm_ids": [], "network": "nowhere", "apply": True}),
    ],
)
def test_a_network_that_is_not_there(client: Client, method: str, path: str, body: Any) -> None:
    assert_problem(client.request(method, path, json=body), 404, "addresses.unknown_network")


# ── sent twice ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_release_that_is_sent_twice_takes_nothing_from_who_came_next(pool: Client) -> None:
    mine = allocate(pool, "vm-1").json()
    path, key = f"{IP}/release-by-ip/{mine['ip']}", {"Idempotency-Key": "r1"}
    first = pool.delete(path, headers=key)
    assert allocate(pool, "vm-2").json()["ip"] == mine["ip"]
    copy = pool.delete(path, headers=key)
    assert (copy.status_code, copy.content, copy.headers[REPLAYED]) == (200, first.content, "true")
    assert pool.get(f"{IP}/vm-2").json()["ip"] == mine["ip"]
    assert_problem(pool.delete(f"{path}?network=default", headers=key), 422, "idempotency_mismatch")


CREATING: list[tuple[str, dict[str, Any], int]] = [
    (f"{IP}/allocate", {"vm_id": "a"}, 201),
    (f"{IP}/allocate:batch", {"requests": [{"vm_id": "a"}, {"vm_id": "b"}]}, 201),
    (f"{IP}/release:batch", {"vm_ids": ["kept"]}, 200),
    (f"{IP}/reconcile", {"vm_ids": [], "grace_seconds": 0, "apply": True}, 200),
    (NETWORKS, {"network": "lan", "cidr": "10.0.0.0/8"}, 201),
]


@pytest.mark.parametrize(("path", "body", "status"), CREATING)
def test_a_copy_under_the_same_key_is_told_the_same_and_does_nothing(
    pool: Client, path: str, body: dict[str, Any], status: int
) -> None:
    allocate(pool, "kept")
    first = pool.post(path, json=body, headers={"Idempotency-Key": "k"})
    before = seqs(pool)
    copy = pool.post(path, json=body, headers={"Idempotency-Key": "k"})
    assert (first.status_code, copy.status_code) == (status, status)
    assert REPLAYED not in first.headers
    assert (copy.content, copy.headers[REPLAYED]) == (first.content, "true")
    assert seqs(pool) == before


def test_a_vm_that_has_an_address_is_told_so_under_a_new_key_too(pool: Client) -> None:
    first = allocate(pool, "vm-1")
    again = pool.post(f"{IP}/allocate", json={"vm_id": "vm-1"}, headers={"Idempotency-Key": "new"})
    assert (again.status_code, again.content, again.headers[REPLAYED]) == (201, first.content, "true")


# ── a certain address, many addresses ────────────────────────────────────────────────────────────────────────────────


def test_a_certain_address_is_given_once(pool: Client) -> None:
    assert allocate(pool, "vm-1", ip="172.16.0.200").json()["ip"] == "172.16.0.200"
    assert allocate(pool, "vm-1", ip="172.16.0.200").headers[REPLAYED] == "true"
    assert_problem(allocate(pool, "vm-2", ip="172.16.0.200"), 409, "addresses.address_taken")
    assert_problem(allocate(pool, "vm-1", ip="172.16.0.201"), 409, "addresses.assigned_elsewhere")
    assert addresses_of(pool) == ["172.16.0.200"]


def test_a_batch_is_all_or_none(pool: Client) -> None:
    requests = [{"vm_id": "a", "hostname": "web"}, {"vm_id": "b", "ip": "172.16.0.9"}]
    made = pool.post(f"{IP}/allocate:batch", json={"requests": requests})
    assert made.status_code == 201
    assert [(one["vm_id"], one["ip"]) for one in made.json()["assignments"]] == [
        ("a", "172.16.0.2"),
        ("b", "172.16.0.9"),
    ]
    wrong = {"requests": [{"vm_id": "c"}, {"vm_id": "d", "ip": "172.16.0.9"}]}
    assert assert_problem(pool.post(f"{IP}/allocate:batch", json=wrong), 409, "addresses.address_taken")["index"] == 1
    gone = {"vm_ids": ["a", "nobody"]}
    assert assert_problem(pool.post(f"{IP}/release:batch", json=gone), 404, "addresses.not_assigned")["index"] == 1
    assert addresses_of(pool) == ["172.16.0.2", "172.16.0.9"]
    released = pool.post(f"{IP}/release:batch", json={"vm_ids": ["b", "a"]})
    assert [one["vm_id"] for one in released.json()["released"]] == ["b", "a"]
    assert addresses_of(pool) == []


@pytest.mark.parametrize(("count", "is_taken"), [(0, False), (1, True), (1_000, True), (1_001, False)])
def test_a_batch_names_one_to_a_thousand_vms(client: Client, count: int, is_taken: bool) -> None:
    vm_ids = [f"vm-{number}" for number in range(count)]
    requests = [{"vm_id": vm_id, "network": "nowhere"} for vm_id in vm_ids]
    for path, body in (
        (f"{IP}/allocate:batch", {"requests": requests}),
        (f"{IP}/release:batch", {"vm_ids": vm_ids, "network": "nowhere"}),
    ):
        assert client.post(path, json=body).status_code == (404 if is_taken else 400)


def test_a_batch_that_does_not_fit_takes_nothing(pool: Client) -> None:
    requests = [{"vm_id": f"vm-{number}"} for number in range(254)]
    refused = pool.post(f"{IP}/allocate:batch", json={"requests": requests})
    assert_problem(refused, 503, "addresses.network_exhausted")
    assert pool.get(f"{IP}/stats").json()["available"] == 253
