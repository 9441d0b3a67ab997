"""Networks over HTTP, those that a server is started with, and their metrics."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.addresses import meters
from marketplace.addresses.model import Stats
from marketplace.foundation import errors
from tests.http.conftest import Client, Serve
from tests.http.test_addresses import IP, NETWORKS, allocate, seqs
from tests.http.test_gate import assert_problem


def create(client: Client, network: str, cidr: str, **fields: Any) -> Any:
    return client.post(NETWORKS, json={"network": network, "cidr": cidr, **fields})


def names(client: Client) -> list[str]:
    return [one["network"] for one in client.get(NETWORKS).json()["items"]]


def test_a_network_is_created_read_used_and_deleted(pool: Client) -> None:
    fields = {"gateway": "10.1.0.9", "allocation": "random", "reuse_delay_seconds": 60}
    made = create(pool, "lan", "10.1.0.0/16", **fields, reserved=["10.1.0.20-10.1.0.29", "10.1.255.0/24", "10.1.0.5"])
    assert made.status_code == 201
    assert made.json().items() >= {"network": "lan", "cidr": "10.1.0.0/16", **fields}.items()
    assert pool.get(f"{NETWORKS}/lan").json() == made.json()
    assert pool.get(f"{NETWORKS}/lan/reserved").json()["items"] == [
        {"first": "10.1.0.5", "last": "10.1.0.5"},
        {"first": "10.1.0.20", "last": "10.1.0.29"},
        {"first": "10.1.255.0", "last": "10.1.255.255"},
    ]
    assert allocate(pool, "vm-1", network="lan").json()["network"] == "10.1.0.0/16"
    assert allocate(pool, "vm-1").json()["network"] == "172.16.0.0/24", "a VM has one address in each network"
    assert_problem(pool.delete(f"{NETWORKS}/lan"), 409, "addresses.network_in_use")
    pool.delete(f"{IP}/release/vm-1?network=lan")
    assert pool.delete(f"{NETWORKS}/lan").json() == made.json()
    assert names(pool) == ["default"]


def test_an_ipv6_address_is_canonical_in_every_answer(pool: Client) -> None:
    made = create(pool, "v6", "FD00:0:0:0::/64").json()
    assert (made["cidr"], made["gateway"]) == ("fd00::/64", "fd00::1")
    assert allocate(pool, "vm-1", network="v6", ip="FD00:0::00aB").json()["ip"] == "fd00::ab"
    for spelling in ("fd00:0:0:0:0:0:0:ab", "FD00::AB", "fd00::0:00ab"):
        assert pool.delete(f"{IP}/release-by-ip/{spelling}?network=v6").json()["ip"] == "fd00::ab"
        allocate(pool, "vm-1", network="v6", ip="fd00::ab")


def test_counts_beyond_what_a_float_holds_are_exact(pool: Client) -> None:
    create(pool, "v6", "fd00::/64")
    create(pool, "half", "::/1")
    allocate(pool, "vm-1", network="v6")
    counts = pool.get(f"{IP}/stats?network=v6").json()
    assert counts["total"] == 2**64 - 1
    assert counts["available"] == 2**64 - 3
    assert pool.get(f"{IP}/stats?network=half").json()["available"] == 2**127 - 2


@pytest.mark.parametrize(
    ("cidr", "gateway", "total", "given"),
    [
        ("10.0.0.0/30", "10.0.0.1", 2, ["10.0.0.2"]),
        ("10.0.0.0/31", None, 2, ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.7/32", None, 1, ["10.0.0.7"]),
        ("fd00::/127", None, 2, ["fd00::", "fd00::1"]),
        ("fd00::7/128", None, 1, ["fd00::7"]),
        ("10.0.0.0/29", "10.0.0.1", 6, [f"10.0.0.{last}" for last in range(2, 7)]),
        ("fd00::/125", "fd00::1", 7, [f"fd00::{last}" for last in range(2, 8)]),
    ],
)
def test_small_networks_give_every_address_that_a_host_may_have(
    pool: Client, cidr: str, gateway: str | None, total: int, given: list[str]
) -> None:
    assert create(pool, "small", cidr).json()["gateway"] == gateway
    assert [allocate(pool, f"vm-{number}", network="small").json()["ip"] for number in range(len(given))] == given
    assert_problem(allocate(pool, "one-more", network="small"), 503, "addresses.network_exhausted")
    counts = pool.get(f"{IP}/stats?network=small").json()
    assert (counts["total"], counts["allocated"], counts["available"]) == (total, len(given), 0)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cidr": "10.0.0.1/24"}, "cidr"),
        ({"cidr": "10.0.0.0"}, "cidr"),
        ({"cidr": "10.0.0.0/33"}, "cidr"),
        ({"cidr": "lan"}, "cidr"),
        ({"cidr": ""}, "cidr"),
        ({"cidr": 10}, "cidr"),
        ({}, "cidr"),
        ({"cidr": "10.0.0.0/24", "network": "Lan"}, "network"),
        ({"cidr": "10.0.0.0/24", "network": ""}, "network"),
        ({"cidr": "10.0.0.0/24", "gateway": "10.0.1.1"}, "gateway"),
        ({"cidr": "10.0.0.0/24", "gateway": "10.0.0.0"}, "gateway"),
        ({"cidr": "10.0.0.0/24", "gateway": "router"}, "gateway"),
        ({"cidr": "10.0.0.0/24", "gateway": ""}, "gateway"),
        ({"cidr": "10.0.0.0/24", "reserved": ["10.0.1.1"]}, "reserved"),
        ({"cidr": "10.0.0.0/24", "reserved": ["10.0.0.9-10.0.0.5"]}, "reserved"),
        ({"cidr": "10.0.0.0/24", "reserved": ["all"]}, "reserved"),
        ({"cidr": "10.0.0.0/24", "reserved": "10.0.0.5"}, "reserved"),
        ({"cidr": "10.0.0.0/24", "reserved": ["10.0.0.5"] * 1001}, "reserved"),
        ({"cidr": "10.0.0.0/24", "allocation": "highest"}, "allocation"),
        ({"cidr": "10.0.0.0/24", "reuse_delay_seconds": -1}, "reuse_delay_seconds"),
        ({"cidr": "10.0.0.0/24", "reuse_delay_seconds": 10**12}, "reuse_delay_seconds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_network_is_not_created(client: Client, fields: dict[str, Any], field: str) -> None:
    before = seqs(client)
    response = client.post(NETWORKS, json={"network": "new", **fields})
    assert response.status_code == 400
    assert response.json()["field"] == field
    assert seqs(client) == before


@pytest.mark.parametrize("cidr", ["172.16.0.0/24", "172.16.0.128/25", "172.16.0.0/12", "172.16.0.7/32", "0.0.0.0/0"])
def test_networks_do_not_overlap(pool: Client, cidr: str) -> None:
    assert_problem(create(pool, "other", cidr), 409, "addresses.network_overlaps")
    assert names(pool) == ["default"]


def test_two_networks_have_two_names(pool: Client) -> None:
    assert create(pool, "lan", "10.0.0.0/24").status_code == 201
    assert_problem(create(pool, "lan", "10.0.1.0/24"), 409, "addresses.network_exists")
    assert create(pool, "beside", "10.0.1.0/24").status_code == 201


def test_networks_are_listed_in_pages(pool: Client) -> None:
    for number in range(4):
        create(pool, f"n{number}", f"10.0.{number}.0/24")
    first = pool.get(f"{NETWORKS}?limit=2").json()
    rest = pool.get(f"{NETWORKS}?limit=1000&after={first['next']}").json()
    assert [one["network"] for one in first["items"] + rest["items"]] == ["default", "n0", "n1", "n2", "n3"]
    assert rest["next"] is None


def test_a_released_address_rests_unless_there_is_no_other(pool: Client) -> None:
    create(pool, "calm", "10.0.0.0/29", reuse_delay_seconds=3600)
    first = allocate(pool, "a", network="calm").json()["ip"]
    pool.delete(f"{IP}/release/a?network=calm")
    assert pool.get(f"{IP}/stats?network=calm").json()["resting"] == 1
    assert_problem(allocate(pool, "b", network="calm", ip=first), 409, "addresses.address_resting")
    given = [allocate(pool, f"vm-{number}", network="calm").json()["ip"] for number in range(5)]
    assert given[-1] == first
    assert pool.get(f"{IP}/stats?network=calm").json()["resting"] == 0


# ── what a server is started with ────────────────────────────────────────────────────────────────────────────────────


def test_a_network_and_a_gateway_are_what_calls_without_one_mean(serve: Serve) -> None:
    with serve(network="192.168.1", gateway="192.168.1.254") as client:
        assert allocate(client, "vm-1").json() == {
            "ip": "192.168.1.1",
            "vm_id": "vm-1",
            "gateway": "192.168.1.254",
            "network": "192.168.1.0/24",
            "hostname": None,
        }


def test_a_restart_with_another_network_keeps_the_old_one(serve: Serve) -> None:
    with serve() as client:
        first = allocate(client, "vm-1").json()
    with serve(network="fd00::/64") as client:
        assert allocate(client, "vm-2").json()["ip"] == "fd00::2"
        assert client.get(f"{IP}/vm-1?network=default").json() == first
        assert len(names(client)) == 2
    with serve() as client:
        assert client.get(f"{IP}/vm-1").json() == first, "without a flag the first created is meant"
        assert len(names(client)) == 2
    with serve(network="fd00:0::/64") as client:
        assert client.get(f"{IP}/vm-2").json()["ip"] == "fd00::2"
        assert len(names(client)) == 2


def test_a_start_without_flags_adds_no_network_where_there_is_one(serve: Serve) -> None:
    with serve(network="192.168.1") as client:
        assert names(client) == ["default"]
    with serve() as client:
        assert client.get(f"{IP}/stats").json()["network"] == "192.168.1.0/24"
        assert names(client) == ["default"]


# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def gauges(client: Client, network: str) -> dict[str, float]:
    found = {}
    for line in client.get("/metrics").text.splitlines():
        if line.startswith("marketplace_network_") and f'{{network="{network}"}}' in line:
            name, _, value = line.partition("{")
            found[name.removeprefix("marketplace_network_")] = float(value.rpartition(" ")[2])
    return found


def test_the_metrics_count_every_network_and_sound_an_alarm(serve: Serve) -> None:
    with serve(network_alarm_percent=50) as client:
        create(client, "small", "10.0.0.0/29", reserved=["10.0.0.6"])
        for number in range(2):
            allocate(client, f"vm-{number}", network="small")
        expected = {"allocated": 2, "available": 2, "reserved": 2, "resting": 0, "alarm": 1}
        assert gauges(client, "small") == expected
        client.delete(f"{IP}/release/vm-0?network=small")
        assert gauges(client, "small") == expected | {"allocated": 1, "available": 3, "alarm": 0}
        assert gauges(client, "default")["alarm"] == 0
        client.delete(f"{IP}/release/vm-1?network=small")
        client.delete(f"{NETWORKS}/small")
        assert gauges(client, "small") == {}


@pytest.mark.parametrize(
    ("allocated", "percent", "alarm"), [(89, 90, 0), (90, 90, 1), (100, 100, 1), (99, 100, 0), (0, 1, 0)]
)
def test_the_alarm_is_a_share_of_what_can_be_given_out(allocated: int, percent: int, alarm: int) -> None:
    one = Stats("lan", "10.0.0.0/24", None, 150, allocated, 50, 0, 100 - allocated)
    *_, family = meters.gauges([one], alarm_percent=percent)
    assert [sample.value for sample in family.samples] == [alarm]


def test_metrics_are_told_without_the_networks_while_the_database_is_away(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise errors.Busy("The database is away.")

    with serve() as client:
        monkeypatch.setattr("marketplace.database.Database.read_one", away)
        text = client.get("/metrics").text
    assert "marketplace_lane_orders_total" in text
    assert "marketplace_network_" not in text
