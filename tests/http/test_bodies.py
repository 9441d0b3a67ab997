"""Bodies are taken strictly: what is not exactly what the handler asks for is a 400 that names the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.http.conftest import Client
from tests.http.test_gate import assert_problem

BIDS = "/api/v1/hours/markets/default/bids"
BATCH = "/api/v1/hours/markets/default/orders:batch"
GOOD = {"username": "u1", "volume": 100, "price": 3}


@pytest.mark.parametrize("path", ["/buy", BIDS])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("volume", -1),
        ("volume", 1.5),
        ("volume", 1.0),
        ("volume", "100"),
        ("volume", True),
        ("volume", None),
        ("volume", [1]),
        ("volume", 1_000_000_001),
        ("volume", 10**30),
        ("price", -1),
        ("price", 0.5),
        ("price", "3"),
        ("price", False),
        ("price", 1_000_000_001),
        ("username", ""),
        ("username", " "),
        ("username", " u1"),
        ("username", "u1\n"),
        ("username", "u\x00"),
        ("username", "u" * 129),
        ("username", 1),
        ("username", None),
        ("username", ...),
        ("volume", ...),
        ("price", ...),
    ],
)
def test_a_wrong_field_is_named(client: Client, path: str, field: str, value: Any) -> None:
    body = {**GOOD, field: value} if value is not ... else {key: GOOD[key] for key in GOOD if key != field}
    problem = assert_problem(client.post(path, json=body), 400, "invalid")
    assert problem["field"] == field
    assert field in problem["detail"]


@pytest.mark.parametrize("path", ["/buy", "/sell", BIDS, BATCH])
@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"null", b"1", b'"x"', b"{}x", b"\xff", b"{'a':1}", b'{"volume":NaN}']
)
def test_what_is_no_json_object_is_refused(client: Client, path: str, content: bytes) -> None:
    response = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert_problem(response, 400, "invalid")


@pytest.mark.parametrize("path", ["/buy", "/sell", BIDS, BATCH, "/api/v1/hours/markets"])
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_a_missing_body_is_refused(client: Client, path: str, headers: dict[str, str]) -> None:
    assert "body" in assert_problem(client.post(path, headers=headers), 400, "invalid")["detail"]


def test_text_that_is_not_utf8_is_refused(client: Client) -> None:
    content = b'{"username":"\xff","volume":1,"price":1}'
    assert_problem(client.post("/buy", content=content, headers={"Content-Type": "application/json"}), 400, "invalid")


def test_unknown_fields_are_ignored_by_the_seed_and_refused_elsewhere(client: Client) -> None:
    assert client.post("/buy", json={**GOOD, "volume": 0, "colour": "red"}).status_code == 200
    assert client.post("/sell", json={"volume": 0, "colour": "red"}).status_code == 200
    problem = assert_problem(client.post(BIDS, json={**GOOD, "colour": "red"}), 400, "invalid")
    assert problem["field"] == "colour"


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"side": "buy", **GOOD, "volume": 0}, "orders[1].volume"),
        ({"side": "buy", **GOOD, "price": "3"}, "orders[1].price"),
        ({"side": "sell"}, "orders[1].volume"),
        ({"side": "hold", "volume": 1}, "orders[1].side"),
        ({"volume": 1}, "orders[1].side"),
        ({"side": "sell", "volume": 1, "colour": "red"}, "orders[1].colour"),
        ({"side": "buy", **GOOD, "expires_at": "0001-01-01T00:00:00+01:00"}, "orders[1].expires_at"),
    ],
)
def test_a_wrong_order_of_a_batch_is_named(client: Client, order: dict[str, Any], field: str) -> None:
    orders = [{"side": "sell", "volume": 1}, order]
    assert assert_problem(client.post(BATCH, json={"orders": orders}), 400, "invalid")["field"] == field


@pytest.mark.parametrize(
    ("orders", "is_taken"), [(0, False), (1, True), (10_000, True), (10_001, False)], ids=["0", "1", "10000", "10001"]
)
def test_a_batch_has_one_to_ten_thousand_orders(client: Client, orders: int, is_taken: bool) -> None:
    # A market that is not there takes none of them: only the bounds are looked at.
    path = "/api/v1/hours/markets/nowhere/orders:batch"
    response = client.post(path, json={"orders": [{"side": "sell", "volume": 1}] * orders})
    assert (response.status_code == 400) is not is_taken


@pytest.mark.parametrize(
    "expires_at", ["2026-01-31", "2026-01-31T12:00:00", "tomorrow", "", 1_800_000_000, "9999-12-31T23:59:59-01:00"]
)
def test_a_time_needs_its_zone_and_a_year_of_four_digits(client: Client, expires_at: Any) -> None:
    problem = assert_problem(client.post(BIDS, json={**GOOD, "expires_at": expires_at}), 400, "invalid")
    assert problem["field"] == "expires_at"


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────────

MARKET = "/api/v1/hours/markets/default"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/allocation", "username"),
        ("/allocation?username=", "username"),
        ("/allocation?username=%20", "username"),
        ("/allocation?username=%00", "username"),
        ("/api/v1/hours/markets/Upper", "market"),
        (f"/api/v1/hours/markets/{'m' * 65}", "market"),
        (f"{MARKET}/bids/0", "bid_id"),
        (f"{MARKET}/bids/-1", "bid_id"),
        (f"{MARKET}/bids/1_0", "bid_id"),
        (f"{MARKET}/bids/x", "bid_id"),
        (f"{MARKET}/bids/9223372036854775808", "bid_id"),
        (f"{MARKET}/bids?limit=0", "limit"),
        (f"{MARKET}/bids?limit=1001", "limit"),
        (f"{MARKET}/bids?limit=ten", "limit"),
        (f"{MARKET}/bids?limit=", "limit"),
        (f"{MARKET}/bids?limit=null", "limit"),
        (f"{MARKET}/bids?state=closed", "state"),
        (f"{MARKET}/bids?state=null", "state"),
        (f"{MARKET}/bids?username=", "username"),
        (f"{MARKET}/supplies?provider=%20x", "provider"),
        (f"{MARKET}/supplies?state=filled", "state"),
        (f"{MARKET}/candles?interval=2h", "interval"),
        (f"{MARKET}/candles?since=0", "since"),
        (f"{MARKET}/candles?since=2026-01-31", "since"),
        (f"{MARKET}/candles?until=2026-01-31T12:00:00", "until"),
        (f"{MARKET}/preview?volume=1", "price"),
        (f"{MARKET}/preview?volume=0&price=1", "volume"),
        (f"{MARKET}/preview?volume=1&price=1000000001", "price"),
        ("/api/v1/events?lane=gold", "lane"),
        ("/api/v1/events?after=-1", "after"),
        ("/api/v1/events?after=9223372036854775808", "after"),
    ],
)
def test_a_wrong_parameter_is_named(client: Client, path: str, field: str) -> None:
    problem = assert_problem(client.get(path), 400, "invalid")
    assert problem["field"] == field
    assert field in problem["detail"]


@pytest.mark.parametrize("since", ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00%2B01:00", "2026-01-31T12:00:00+01:00"])
def test_a_time_in_the_query_has_a_zone(client: Client, since: str) -> None:
    assert client.get(f"{MARKET}/candles?since={since}").status_code == 200


def test_a_problem_is_small_json(client: Client) -> None:
    problem = msgspec.json.decode(client.post("/sell", json={"volume": -1}).content)
    assert problem == {
        "type": "/problems/invalid",
        "title": "Invalid request",
        "status": 400,
        "code": "invalid",
        "detail": "The field volume of the body is wrong: expected `int` >= 0.",
        "field": "volume",
    }
