"""The same request under the same key is answered once more, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import Client, Serve
from tests.http.test_gate import assert_problem

MARKET = "/api/v1/hours/markets/default"
BUY = {"username": "u1", "volume": 10, "price": 3}

CREATING: list[tuple[str, dict[str, Any], int]] = [
    ("/buy", BUY, 200),
    ("/sell", {"volume": 10}, 200),
    ("/api/v1/hours/markets", {"market": "new"}, 201),
    (f"{MARKET}/bids", BUY, 201),
    (f"{MARKET}/supplies", {"volume": 10}, 201),
    (f"{MARKET}/orders:batch", {"orders": [{"side": "buy", **BUY}]}, 200),
]


@pytest.mark.parametrize(("path", "body", "status"), CREATING)
def test_a_copy_of_a_request_is_told_the_same(serve: Serve, path: str, body: dict[str, Any], status: int) -> None:
    with serve() as client:
        answers = [client.post(path, json=body, headers={"Idempotency-Key": "k1"}) for _ in range(3)]
        without = client.post(path, json=body) if path != "/api/v1/hours/markets" else answers[0]
        seqs = [event["seq"] for event in client.get("/api/v1/events").json()["items"]]
    first, *copies = answers
    assert [answer.status_code for answer in answers] == [status] * 3
    assert {answer.content for answer in answers} == {first.content}
    assert {answer.headers["content-type"] for answer in [*answers, without]} == {"application/json"}
    assert "idempotent-replayed" not in first.headers
    assert [copy.headers["idempotent-replayed"] for copy in copies] == ["true", "true"]
    assert without.json().keys() == first.json().keys()
    assert len(seqs) == (1 if without is first else 2)


def test_a_refusal_is_told_again_as_the_problem_that_it_was(serve: Serve) -> None:
    with serve() as client:
        path, headers = "/api/v1/hours/markets/nowhere/bids", {"Idempotency-Key": "k1"}
        first = client.post(path, json=BUY, headers=headers)
        client.post("/api/v1/hours/markets", json={"market": "nowhere"})
        copy = client.post(path, json=BUY, headers=headers)
    assert_problem(first, 404, "hours.unknown_market")
    assert_problem(copy, 404, "hours.unknown_market")
    assert copy.content == first.content
    assert copy.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("path", "body"),
    [("/buy", {**BUY, "volume": 11}), (f"{MARKET}/bids", BUY), ("/sell", {"volume": 10})],
    ids=["body", "path", "both"],
)
def test_another_request_under_the_key_is_refused(serve: Serve, path: str, body: dict[str, Any]) -> None:
    with serve() as client:
        headers = {"Idempotency-Key": "k1"}
        client.post("/buy", json=BUY, headers=headers)
        assert_problem(client.post(path, json=body, headers=headers), 422, "idempotency_mismatch")


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "ü".encode(), "\t"])
@pytest.mark.parametrize(
    ("path", "body"), [(path, body) for path, body, _ in CREATING] + [("/buy", {**BUY, "volume": 0})]
)
def test_a_key_is_visible_ascii_of_bounded_length(client: Client, path: str, body: dict[str, Any], key: Any) -> None:
    response = client.post(path, json=body, headers={"Idempotency-Key": key})
    assert assert_problem(response, 400, "invalid")["field"] == "Idempotency-Key"


def test_the_longest_key_is_taken(client: Client) -> None:
    assert client.post("/sell", json={"volume": 1}, headers={"Idempotency-Key": "~" * 255}).status_code == 200
