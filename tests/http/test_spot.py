"""Bids and leases of the spot market over HTTP, on an embedded database, without the loops that match and run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http import spot_market
from tests.http.conftest import Client, Serve
from tests.http.spot_market import BIDS, CONTAINER, LEASES, NODES, POOLS, SECRET
from tests.http.test_gate import assert_problem

ANN = {**CONTAINER, "username": "ann"}
UNIT = {**ANN, "cpu_millis": 1000, "memory_mib": 2048}


@pytest.fixture
def market(serve: Serve) -> Iterator[Client]:
    """A pool with a node of two units, where nothing happens by itself."""
    with serve(jobs=False) as client:
        node = {"node": "n1", "backend": "simulated", "cpu_millis": 2000, "memory_mib": 4096}
        assert client.post(NODES, json=node).status_code == 201
        yield client


def done(answer: Any) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def place(client: Client, body: dict[str, Any], **more: Any) -> int:
    placed: int = done(client.post(BIDS, json=body | more))["bid_id"]
    return placed


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bid_is_answered_with_what_is_held_and_read_with_everything_it_said(market: Client) -> None:
    body = UNIT | {
        "command": ["sh", "-c", "echo hi"], "environment": {"A": "b"}, "ttl_seconds": 600, "on_eviction": "requeue",
        "expires_at": "2030-01-01T00:00:00+01:00", "budget": "2.5", "max_preemptions": 3, "notice_seconds": 30,
    }  # fmt: skip
    answer = market.post(BIDS, json=body)
    assert answer.status_code == 201
    placed = answer.json()
    assert placed["state"] == "submitted"
    assert (placed["max_price_per_hour"], placed["held"], placed["lease_id"]) == ("3.00", "0.05", None)
    found = done(market.get(f"{BIDS}/{placed['bid_id']}"))
    asked = {name: found[name] for name in body if name not in ("max_price_per_hour", "expires_at", "budget")}
    assert asked == {name: body[name] for name in asked}
    assert (found["expires_at"], found["budget"]) == ("2029-12-31T23:00:00Z", "2.50")
    assert (found["rank"], found["min_price_to_run_per_hour"]) == (1, "0.01")
    assert done(market.get(BIDS))["items"][0] == {
        name: value
        for name, value in found.items()
        if name not in ("rank", "waits_because", "min_price_to_run_per_hour")
    }


def test_a_price_by_the_minute_is_sixty_times_as_much_by_the_hour(market: Client) -> None:
    body = {name: value for name, value in ANN.items() if name != "max_price_per_hour"}
    bid_id = place(market, body, max_price_per_minute="0.050001")
    assert done(market.get(f"{BIDS}/{bid_id}"))["max_price_per_hour"] == "3.00006"
    assert done(market.patch(f"{BIDS}/{bid_id}", json={"max_price_per_minute": "0.1"}))["max_price_per_hour"] == "6.00"


def test_what_waits_is_told_its_rank_and_why(market: Client) -> None:
    large = place(market, ANN, cpu_millis=4000, max_price_per_hour="100")
    low = place(market, UNIT, max_price_per_hour="1")
    high = place(market, UNIT, max_price_per_hour="2")
    found = {bid_id: done(market.get(f"{BIDS}/{bid_id}")) for bid_id in (large, high, low)}
    assert [one["rank"] for one in found.values()] == [1, 2, 3]
    assert "large enough" in found[large]["waits_because"]
    assert found[large]["min_price_to_run_per_hour"] is None
    assert found[high]["waits_because"] == "It is about to be placed."
    done(market.delete(f"{BIDS}/{low}"))
    over = done(market.get(f"{BIDS}/{low}"))
    assert (over["state"], over["cause"], over["rank"], over["waits_because"]) == ("cancelled", "stopped", None, None)
    assert over["ended_at"] is not None


def test_a_wallet_that_does_not_cover_the_minimum_runtime_is_refused(market: Client) -> None:
    answer = market.post(BIDS, json=ANN | {"max_price_per_hour": "999999"})
    problem = assert_problem(answer, 402, "ledger.not_covered")
    assert problem["available"] == "1000.00"
    assert done(market.get(BIDS))["items"] == []


def test_the_same_bid_under_the_same_key_is_placed_once(market: Client) -> None:
    first, second = (market.post(BIDS, json=ANN, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(done(market.get(BIDS))["items"]) == 1
    other = market.post(BIDS, json=ANN | {"cpu_millis": 200}, headers={"Idempotency-Key": "k1"})
    assert_problem(other, 422, "idempotency_mismatch")


def test_a_cancelled_bid_gives_its_money_back_and_may_be_cancelled_again(market: Client) -> None:
    bid_id = place(market, ANN)
    wallet = "/api/v1/wallets/ann"
    assert done(market.get(wallet))["balances"][0]["held"] == "0.05"
    first, second = (done(market.delete(f"{BIDS}/{bid_id}")) for _ in range(2))
    assert first == second
    assert done(market.get(wallet))["balances"][0]["held"] == "0.00"
    assert_problem(market.patch(f"{BIDS}/{bid_id}", json={"max_price_per_hour": "4"}), 409, "spot.bid_over")


def test_lists_go_on_where_a_page_ended_and_are_filtered(market: Client) -> None:
    ids = [place(market, ANN | {"username": name}) for name in ("ann", "bob", "ann", "ann")]
    done(market.delete(f"{BIDS}/{ids[3]}"))
    first = done(market.get(f"{BIDS}?username=ann&limit=2"))
    assert [one["bid_id"] for one in first["items"]] == [ids[0], ids[2]]
    rest = done(market.get(f"{BIDS}?username=ann&limit=2&after={first['next']}"))
    assert ([one["bid_id"] for one in rest["items"]], rest["next"]) == ([ids[3]], None)
    found = done(market.get(f"{BIDS}?state=submitted&pool=default"))["items"]
    assert [one["bid_id"] for one in found] == ids[:3]
    assert done(market.get(f"{BIDS}?pool=nowhere"))["items"] == []


# ── preview ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_without_a_price_says_what_it_would_take_and_gives_a_body_to_send(market: Client) -> None:
    draft = {"image": "app:1", "username": "ann", "cpu_millis": 500, "memory_mib": 2048}
    found = done(market.post(f"{BIDS}/preview", json=draft))
    assert (found["runs_now"], found["min_price_to_run_per_hour"], found["unit_price_per_hour"]) == (
        False, "0.01", "0.01",
    )  # fmt: skip
    assert found["body"] == draft | {"max_price_per_hour": "0.01"}
    again = done(market.post(f"{BIDS}/preview", json=found["body"]))
    assert (again["runs_now"], again["cost_per_hour"], again["body"]) == (True, "0.01", found["body"])
    assert done(market.get(BIDS))["items"] == []
    assert done(market.post(BIDS, json=found["body"]))["held"] == again["held"]


def test_a_preview_names_whom_it_would_evict(market: Client) -> None:
    bids = [place(market, UNIT, max_price_per_hour=price) for price in ("1", "2")]
    for bid_id in bids:
        spot_market.begin(market, spot_market.match(market, bid_id, "n1"))
    done(market.patch(f"{POOLS}/default", json={"minimum_runtime_seconds": 0}))
    found = done(market.post(f"{BIDS}/preview", json=UNIT))
    assert (found["runs_now"], found["would_evict"]) == (True, [bids[0]])
    assert found["min_price_to_run_per_hour"] == "1.050001"
    low = done(market.post(f"{BIDS}/preview", json=UNIT | {"max_price_per_hour": "1.04"}))
    assert low["runs_now"] is False
    assert low["waits_because"]
    assert low["body"]["max_price_per_hour"] == "1.050001"
    both = done(market.post(f"{BIDS}/preview", json=UNIT | {"cpu_millis": 2000, "max_price_per_hour": "10"}))
    assert sorted(both["would_evict"]) == bids


def test_a_preview_is_refused_as_the_bid_would_be(market: Client) -> None:
    done(market.patch(f"{POOLS}/default", json={"images": ["ours/*"], "max_cpu_millis": 1000}))
    for more, code in (
        ({"image": "theirs/app"}, "spot.image_not_allowed"),
        ({"image": "ours/app", "cpu_millis": 1001}, "spot.too_large"),
        ({"image": "ours/app", "max_price_per_hour": "0.000001"}, "spot.below_reserve"),
        ({"pool": "nowhere"}, "spot.unknown_pool"),
    ):
        for path in (BIDS, f"{BIDS}/preview"):
            assert market.post(path, json=ANN | more).json()["code"] == code, (more, path)


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_is_read_by_its_id_and_listed_by_its_bid(market: Client) -> None:
    bid_id = place(market, UNIT)
    lease_id = spot_market.match(market, bid_id, "n1")
    spot_market.begin(market, lease_id, address="172.16.0.7")
    found = done(market.get(f"{LEASES}/{lease_id}"))
    assert (found["bid_id"], found["node"], found["state"], found["address"]) == (
        bid_id, "n1", "running", "172.16.0.7",
    )  # fmt: skip
    assert found["started_at"] is not None
    assert done(market.get(f"{LEASES}?bid_id={bid_id}"))["items"] == [found]
    assert done(market.get(f"{LEASES}?username=bob"))["items"] == []
    assert "notice_secret" not in found
    stopped = done(market.delete(f"{LEASES}/{lease_id}"))
    assert stopped["bid_id"] == bid_id
    assert done(market.get(f"{LEASES}/{lease_id}"))["state"] == "stopping"
    spot_market.end(market, lease_id)
    assert done(market.get(f"{LEASES}?state=ended"))["items"][0]["lease_id"] == lease_id


def test_a_lease_has_no_notice_until_it_is_to_go_and_tells_it_to_its_secret_alone(market: Client) -> None:
    lease_id = spot_market.match(market, place(market, UNIT, notice_seconds=90), "n1")
    spot_market.begin(market, lease_id)
    notice = f"{LEASES}/{lease_id}/notice"
    assert_problem(market.get(f"{notice}?secret={SECRET}"), 404, "spot.unknown_lease")
    done(market.post(f"{LEASES}/{lease_id}/simulate-eviction"))
    told = done(market.get(f"{notice}?secret={SECRET}"))
    assert (told["lease_id"], told["cause"]) == (lease_id, "drill")
    assert 80 < told["seconds_left"] <= 90
    for wrong in ("nonsense", SECRET[:-1], "%C3%A9"):
        assert_problem(market.get(f"{notice}?secret={wrong}"), 404, "spot.unknown_lease")
    assert market.get(notice).status_code == 400
    again = market.post(f"{LEASES}/{lease_id}/simulate-eviction")
    assert_problem(again, 409, "spot.lease_not_running")
    spot_market.end(market, lease_id)
    assert_problem(market.get(f"{notice}?secret={SECRET}"), 404, "spot.unknown_lease")


def test_what_is_not_there_is_not_found(market: Client) -> None:
    for path, code in (
        (f"{BIDS}/77", "spot.unknown_bid"),
        (f"{LEASES}/77", "spot.unknown_lease"),
        (f"{POOLS}/nowhere", "spot.unknown_pool"),
        (f"{POOLS}/nowhere/nodes", "spot.unknown_pool"),
        (f"{POOLS}/nowhere/nodes/n1", "spot.unknown_node"),
        (f"{NODES}/nowhere", "spot.unknown_node"),
        *((f"{POOLS}/nowhere/{name}", "spot.unknown_pool") for name in (
            "price", "prices", "candles", "percentiles", "utilisation",
        )),
    ):  # fmt: skip
        assert_problem(market.get(path), 404, code)
    assert_problem(market.delete(f"{BIDS}/77"), 404, "spot.unknown_bid")
    assert_problem(market.delete(f"{LEASES}/77"), 404, "spot.unknown_lease")


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────────

HUGE = "x" * 33_000
BAD_BIDS: list[tuple[dict[str, Any], str]] = [
    ({"image": ""}, "image"),
    ({"image": "busybox\n"}, "image"),
    ({"image": "UPPER"}, "image"),
    ({"image": "-rm"}, "image"),
    ({"image": "a" * 256}, "image"),
    ({"image": "busybox; rm -rf /"}, "image"),
    ({"image": None}, "image"),
    ({"cpu_millis": 0}, "cpu_millis"),
    ({"cpu_millis": 1.5}, "cpu_millis"),
    ({"cpu_millis": True}, "cpu_millis"),
    ({"cpu_millis": 10**18}, "cpu_millis"),
    ({"memory_mib": 15}, "memory_mib"),
    ({"memory_mib": -1}, "memory_mib"),
    ({"max_price_per_hour": 3}, "max_price_per_hour"),
    ({"max_price_per_hour": "0"}, "max_price_per_hour"),
    ({"max_price_per_hour": "-1"}, "max_price_per_hour"),
    ({"max_price_per_hour": "1e3"}, "max_price_per_hour"),
    ({"max_price_per_hour": "0.0000001"}, "max_price_per_hour"),
    ({"max_price_per_hour": "1000000.000001"}, "max_price_per_hour"),
    ({"max_price_per_hour": "9999999"}, "max_price_per_hour"),
    ({"max_price_per_hour": None}, "max_price_per_hour"),
    ({"max_price_per_minute": "1"}, "max_price_per_minute"),
    ({"max_price_per_hour": None, "max_price_per_minute": "16666.666667"}, "max_price_per_minute"),
    ({"command": "sh"}, "command"),
    ({"command": [""]}, "command[0]"),
    ({"command": ["a\0b"]}, "command[0]"),
    ({"command": ["a"] * 257}, "command"),
    ({"command": ["a", HUGE]}, "command[1]"),
    ({"command": ["ü" * 10_000, "ü" * 10_000]}, "command"),
    ({"environment": {"a-b": "1"}}, "environment"),
    ({"environment": {"1A": "1"}}, "environment"),
    ({"environment": {"A": "\0"}}, "environment"),
    ({"environment": {"A": 1}}, "environment"),
    ({"environment": {f"A{number}": "" for number in range(257)}}, "environment"),
    ({"environment": {"A": "ü" * 20_000}}, "environment"),
    ({"ttl_seconds": 0}, "ttl_seconds"),
    ({"ttl_seconds": 10**12}, "ttl_seconds"),
    ({"on_eviction": "restart"}, "on_eviction"),
    ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
    ({"expires_at": "0001-01-01T00:00:00+23:00"}, "expires_at"),
    ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ({"budget": "0"}, "budget"),
    ({"budget": "99999999999"}, "budget"),
    ({"max_preemptions": -1}, "max_preemptions"),
    ({"notice_seconds": 3601}, "notice_seconds"),
    ({"pool": "../etc"}, "pool"),
    ({"username": ""}, "username"),
    ({"username": "a\u202e\nb"}, "username"),
    ({"priviledged": True}, ""),
]


@pytest.mark.parametrize(("more", "field"), BAD_BIDS, ids=lambda value: str(value)[:60])
def test_a_field_out_of_its_bounds_is_refused_by_its_name(client: Client, more: dict[str, Any], field: str) -> None:
    before = done(client.get(f"{BIDS}?limit=1"))
    answer = client.post(BIDS, json=ANN | more)
    assert answer.status_code == 400, answer.text
    assert answer.json().get("field", "").startswith(field), answer.text
    assert done(client.get(f"{BIDS}?limit=1")) == before


@pytest.mark.parametrize(
    "body",
    [
        "[]", "null", "{", '{"image":"a","image":', "7", '"x"', '{"cpu_millis":NaN}', '{"username":"\\ud800"}',
        '{"image":"a","cpu_millis":1e400,"memory_mib":64}', "[" * 5_000, '{"environment":' * 3_000,
    ],
)  # fmt: skip
def test_what_is_no_bid_at_all_is_refused(client: Client, body: str) -> None:
    for path in (BIDS, f"{BIDS}/preview", POOLS, NODES):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (path, answer.text)


def test_a_body_of_more_than_a_mebibyte_is_refused(client: Client) -> None:
    body = json.dumps(ANN | {"command": ["x" * 1_100_000]})
    answer = client.post(BIDS, content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    "path",
    [
        f"{BIDS}?state=null", f"{BIDS}?limit=0", f"{BIDS}?limit=1001", f"{BIDS}?after=zz", f"{BIDS}/0", f"{BIDS}/-1",
        f"{BIDS}/9223372036854775808", f"{BIDS}/one", f"{BIDS}?username=", f"{LEASES}?bid_id=0", f"{LEASES}?bid_id=x",
        f"{LEASES}?bid_id=null", f"{LEASES}?bid_id=9999999999999999999",
        f"{LEASES}?state=submitted", f"{LEASES}/1.5", f"{LEASES}/1/notice?secret=", f"{POOLS}/UPPER",
        f"{POOLS}/default/prices?after=1", f"{POOLS}/default/candles?interval=5m",
        f"{POOLS}/default/candles?since=yesterday", f"{POOLS}/default/candles?until=2026-01-01T00:00:00",
        f"{POOLS}/default/candles?limit=100000",
        f"{NODES}?after=UPPER", f"{NODES}/a%0Ab",
    ],
)  # fmt: skip
def test_a_parameter_out_of_its_bounds_is_refused(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400, answer.text
