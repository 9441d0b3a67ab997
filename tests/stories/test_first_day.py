"""The first day: three users and a provider with nothing but curl."""

from __future__ import annotations

from typing import Any

import httpx


def buy(http: httpx.Client, username: str, volume: int, price: int) -> dict[str, Any]:
    answer = http.post("/buy", json={"username": username, "volume": volume, "price": price})
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def sell(http: httpx.Client, volume: int) -> dict[str, Any]:
    answer = http.post("/sell", json={"volume": volume})
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def allocation(http: httpx.Client, username: str) -> str:
    answer = http.get("/allocation", params={"username": username})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


def test_three_bids_and_a_sell_of_250_give_100_100_and_50(http: httpx.Client) -> None:
    assert buy(http, "u1", 100, 3) == {"bid_id": 1, "allocated": 0, "remaining": 100}
    assert buy(http, "u2", 150, 2) == {"bid_id": 2, "allocated": 0, "remaining": 150}
    assert buy(http, "u3", 50, 4) == {"bid_id": 3, "allocated": 0, "remaining": 50}
    assert allocation(http, "u1") == "0"

    assert sell(http, 250) == {"supply_id": 4, "allocated": 250, "remaining": 0}
    assert [allocation(http, username) for username in ("u1", "u2", "u3")] == ["100", "100", "50"]

    # 50 are still open: u2 gets them, and what is left then waits for u4.
    assert sell(http, 80) == {"supply_id": 5, "allocated": 50, "remaining": 30}
    assert allocation(http, "u2") == "150"
    assert buy(http, "u4", 40, 0) == {"bid_id": 6, "allocated": 30, "remaining": 10}
    assert allocation(http, "u4") == "30"


def test_a_volume_of_zero_does_nothing_at_all(http: httpx.Client) -> None:
    assert buy(http, "u1", 0, 3) == {"bid_id": None, "allocated": 0, "remaining": 0}
    assert sell(http, 0) == {"supply_id": None, "allocated": 0, "remaining": 0}
    assert http.get("/allocation", params={"username": "u1"}).status_code == 404
    assert http.get("/api/v1/events").json()["items"] == []
    assert http.get("/api/v1/hours/markets/default/book").json()["seq"] == 0


BAD: list[tuple[str, Any]] = [
    *[
        ("/buy", {"username": name, "volume": 1, "price": 1})
        for name in ("", " ", "\t", " u1", "x" * 129, None, 7, True)
    ],
    *[("/buy", {"username": "u1", "volume": each, "price": 1}) for each in (-1, 1.5, True, "1", 10**9 + 1, None)],
    *[("/buy", {"username": "u1", "volume": 1, "price": each}) for each in (-1, 1.5, False, "1", 10**9 + 1, None)],
    *[("/sell", {"volume": each}) for each in (-1, 1.5, True, "1", 10**9 + 1, 10**30, None)],
    ("/buy", {"username": "u1", "volume": 1}),
    ("/buy", {"volume": 1, "price": 1}),
    ("/sell", {}),
    ("/sell", [1]),
]


def test_bad_input_is_told_and_nothing_is_written(http: httpx.Client) -> None:
    answers = [(path, body, http.post(path, json=body)) for path, body in BAD]
    taken = [(path, body, answer.status_code) for path, body, answer in answers if answer.status_code != 400]
    assert taken == []
    assert {answer.headers["content-type"] for _, _, answer in answers} == {"application/problem+json"}
    assert http.get("/api/v1/events").json()["items"] == []


def test_whoever_asks_for_an_allocation_says_whose(http: httpx.Client) -> None:
    assert http.get("/allocation").status_code == 400
    assert http.get("/allocation?username=").status_code == 400
    assert http.get("/allocation?username=nobody").status_code == 404
    assert http.post("/buy", content=b'{"username":', headers={"Content-Type": "application/json"}).status_code == 400
