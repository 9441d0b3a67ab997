"""Auctions over HTTP: every wrong request told and without effect; bids sealed; what is somebody's is not another's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.conftest import Client, Serve
from tests.http.test_gate import assert_problem

PATH = "/api/v1/auctions"
ORDERS = f"{PATH}/orders"
LATER = "2099-01-01T00:00:00Z"
QUICK = {"tick_seconds": 0.05, "bidding_window_seconds": 0.8, "fulfil_seconds": 2, "grace_seconds": 0.5}
PATIENCE_SECONDS = 20


@pytest.fixture
def house(serve: Serve) -> Iterator[Client]:
    """An application of the test's own, with a book `quick`."""
    with serve() as client:
        assert client.post(f"{PATH}/books", json={"book": "quick", **QUICK}).status_code == 201
        yield client


def place(client: Client, owner: str = "ann", **more: Any) -> Any:
    body = {"username": owner, "book": "quick", "description": "render a film", **more}
    return client.post(ORDERS, json=body)


def bid(client: Client, order_id: int, solver: str, **more: Any) -> Any:
    body = {"solver": solver, "max_input": "100", "conversion_rate": "1.05", "valid_till": LATER, **more}
    return client.post(f"{ORDERS}/{order_id}/bids", json=body)


def deposit(client: Client, order_id: int, solver: str, **more: Any) -> Any:
    return client.post(f"{ORDERS}/{order_id}/deposits", json={"solver": solver, **more})


def until(client: Client, order_id: int, state: str) -> dict[str, Any]:
    """Wait until an order is in a state, which the clock brings about."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := client.get(f"{ORDERS}/{order_id}").json())["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    order: dict[str, Any] = found
    return order


def announced(client: Client, **more: Any) -> int:
    placed = place(client, **more)
    assert placed.status_code == 201, placed.text
    order_id: int = placed.json()["order_id"]
    until(client, order_id, "open")
    return order_id


def credits_of(client: Client, username: str) -> tuple[str, str]:
    """Return what a wallet has of credits, and what of that is held."""
    (found,) = client.get(f"/api/v1/wallets/{username}").json()["balances"]
    return found["balance"], found["held"]


# ── a whole order ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_goes_to_the_best_bid_and_is_filled(house: Client) -> None:
    order_id = announced(house, input_budget="100", limit_output="90", payload={"fps": 24})
    assert credits_of(house, "ann") == ("1000.00", "100.00")
    assert bid(house, order_id, "s1").json()["min_output"] == "105.00"
    assert bid(house, order_id, "s2", max_input="95", conversion_rate="1.2").json()["min_output"] == "114.00"
    until(house, order_id, "committed")
    (commitment,) = house.get(f"{PATH}/books/quick/commitments?order_id={order_id}").json()["items"]
    assert (commitment["solver"], commitment["input_amount"], commitment["min_output"]) == ("s2", "95.00", "114.00")
    done = deposit(house, order_id, "s2", amount="120").json()
    assert (done["amount"], done["commitment"]["deposited"]) == ("120.00", "120.00")
    assert until(house, order_id, "filled")["ended_at"]
    # The surplus is the owner's, and so is what was not asked for of the budget.
    assert [credits_of(house, name) for name in ("ann", "s2", "s1")] == [
        ("1025.00", "0.00"),
        ("975.00", "0.00"),
        ("1000.00", "0.00"),
    ]
    number = commitment["commitment_id"]
    assert house.get(f"{PATH}/books/quick/commitments/{number}").json()["state"] == "filled"
    assert house.get(f"{PATH}/books/quick/solvers/s2").json()["filled"] == 1


def test_who_does_not_deliver_is_followed_by_the_next_best(house: Client) -> None:
    order_id = announced(house, input_budget="100")
    bid(house, order_id, "s1", conversion_rate="2")
    bid(house, order_id, "s2", conversion_rate="1")
    until(house, order_id, "committed")
    assert deposit(house, order_id, "s1", amount="3").status_code == 201
    deadline = time.monotonic() + PATIENCE_SECONDS
    while deposit(house, order_id, "s2").status_code != 201:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    until(house, order_id, "filled")
    assert credits_of(house, "s1") == ("1000.00", "0.00")
    found = house.get(f"{PATH}/books/quick/solvers?limit=1").json()
    rest = house.get(f"{PATH}/books/quick/solvers?limit=1&after={found['next']}").json()
    assert [(one["solver"], one["filled"], one["failed"]) for one in found["items"] + rest["items"]] == [
        ("s1", 0, 1),
        ("s2", 1, 0),
    ]
    document = assert_problem(deposit(house, order_id, "s1"), 404, "auctions.unknown_commitment")
    assert document["order_id"] == order_id


def test_a_book_of_claims_takes_a_word_for_it(house: Client) -> None:
    house.post(f"{PATH}/books", json={"book": "word", **QUICK, "escrow": "claim"})
    order_id = announced(house, book="word", input_budget="10")
    bid(house, order_id, "s1", max_input="10")
    until(house, order_id, "committed")
    assert_problem(deposit(house, order_id, "s1"), 409, "auctions.wrong_escrow")
    assert house.post(f"{ORDERS}/{order_id}/claims", json={"solver": "s1"}).json()["claimed_at"]
    until(house, order_id, "filled")
    assert credits_of(house, "s1")[0] == "1010.00"


def test_an_order_is_cancelled_until_somebody_is_committed(house: Client) -> None:
    first = place(house, input_budget="10").json()["order_id"]
    cancelled = house.delete(f"{ORDERS}/{first}")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert credits_of(house, "ann") == ("1000.00", "0.00")
    second = announced(house)
    bid(house, second, "s1")
    until(house, second, "committed")
    assert_problem(house.delete(f"{ORDERS}/{second}"), 409, "auctions.not_cancellable")
    assert_problem(house.delete(f"{ORDERS}/999"), 404, "auctions.unknown_order")


# ── sent twice ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_that_is_sent_twice_is_carried_out_once(house: Client) -> None:
    for path, body in (
        (ORDERS, {"username": "ann", "description": "x", "book": "quick"}),
        (f"{PATH}/books", {"book": "night"}),
    ):
        key = {"Idempotency-Key": f"twice {path}".replace(" ", "-")}
        first, again = (house.post(path, json=body, headers=key) for _ in range(2))
        assert (first.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
    assert len(house.get(ORDERS).json()["items"]) == 1


def test_a_deposit_with_its_reference_happens_once(house: Client) -> None:
    order_id = announced(house)
    bid(house, order_id, "s1")
    until(house, order_id, "committed")
    first, again = (deposit(house, order_id, "s1", amount="1", reference="part-1") for _ in range(2))
    assert (first.json()["commitment"]["deposited"], again.json()["commitment"]["deposited"]) == ("1.00", "1.00")
    assert again.headers["idempotent-replayed"] == "true"


def test_a_deposit_sent_again_after_the_end_is_answered_and_not_unknown(house: Client) -> None:
    order_id = announced(house)
    bid(house, order_id, "s1")
    until(house, order_id, "committed")
    first = deposit(house, order_id, "s1", reference="all")
    until(house, order_id, "filled")
    again = deposit(house, order_id, "s1", reference="all")
    assert (again.status_code, again.json()["amount"]) == (first.status_code, first.json()["amount"])
    assert again.json()["commitment"]["commitment_id"] == first.json()["commitment"]["commitment_id"]
    assert again.json()["commitment"]["state"] == "filled"
    assert again.headers["idempotent-replayed"] == "true"


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"description": ""}, "description", "invalid"),
        ({"description": " x"}, "description", "invalid"),
        ({"description": "x" * 1001}, "description", "invalid"),
        ({"payload": "x"}, "payload", "invalid"),
        ({"payload": {"x": "y" * 17_000}}, "payload", "auctions.bad_text"),
        ({"input_budget": "0"}, "input_budget", "auctions.bad_amount"),
        ({"input_budget": "1.0000001"}, "input_budget", "auctions.bad_amount"),
        ({"input_budget": "9999999999999999"}, "input_budget", "auctions.bad_amount"),
        ({"input_budget": 5}, "input_budget", "invalid"),
        ({"input_budget": "-5"}, "input_budget", "invalid"),
        ({"limit_output": "0.5", "output_asset": "hour"}, "limit_output", "auctions.bad_amount"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "auctions.instant_passed"),
        ({"expires_at": "2099-01-01"}, "expires_at", "invalid"),
        ({"expires_at": "0001-01-01T00:00:00+23:00"}, "expires_at", "invalid"),
        ({"book": "Quick"}, "book", "invalid"),
        ({"price": 1}, "price", "invalid"),
        ({"username": None}, "username", "invalid"),
    ],
)
def test_a_wrong_field_of_an_order_is_named(house: Client, fields: dict[str, Any], field: str, code: str) -> None:
    assert assert_problem(place(house, **fields), 400, code)["field"] == field
    assert house.get(ORDERS).json()["items"] == []


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"book": "nowhere"}, 404, "auctions.unknown_book"),
        ({"input_asset": "gold"}, 404, "ledger.unknown_asset"),
        ({"output_asset": "gold"}, 404, "ledger.unknown_asset"),
        ({"input_budget": "1000.01"}, 402, "ledger.not_covered"),
    ],
)
def test_an_order_that_cannot_be_is_refused(house: Client, fields: dict[str, Any], status: int, code: str) -> None:
    refused = place(house, **fields)
    assert (refused.status_code, refused.json()["code"]) in ((status, code), (400, code)), refused.text
    assert credits_of(house, "ann") == ("1000.00", "0.00")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"conversion_rate": "0"}, 400, "auctions.bad_rate"),
        ({"conversion_rate": "0.000"}, 400, "auctions.bad_rate"),
        ({"conversion_rate": "NaN"}, 400, "invalid"),
        ({"conversion_rate": "Infinity"}, 400, "invalid"),
        ({"conversion_rate": "1e3"}, 400, "invalid"),
        ({"conversion_rate": "1" * 13}, 400, "invalid"),
        ({"conversion_rate": "0." + "1" * 19}, 400, "invalid"),
        ({"conversion_rate": 1.05}, 400, "invalid"),
        ({"max_input": "0"}, 400, "auctions.bad_amount"),
        ({"max_input": "0.0000001"}, 400, "auctions.bad_amount"),
        ({"max_input": "100.01"}, 409, "auctions.over_budget"),
        ({"max_input": "10"}, 409, "auctions.below_limit"),
        ({"valid_till": "2020-01-01T00:00:00Z"}, 400, "auctions.instant_passed"),
        ({"valid_till": "soon"}, 400, "invalid"),
        ({"solver": "ann"}, 409, "auctions.own_order"),
        ({"solver": " s1"}, 400, "invalid"),
        ({"solver": None}, 400, "invalid"),
        ({"more": 1}, 400, "invalid"),
    ],
)
def test_a_bid_that_cannot_be_is_refused(house: Client, fields: dict[str, Any], status: int, code: str) -> None:
    order_id = announced(house, input_budget="100", limit_output="90")
    assert_problem(bid(house, order_id, fields.pop("solver", "s1"), **fields), status, code)
    assert house.get(f"{ORDERS}/{order_id}").json()["bids"] == 0


def test_a_bid_on_what_takes_none_is_refused(house: Client) -> None:
    assert_problem(bid(house, 999, "s1"), 404, "auctions.unknown_order")
    order_id = announced(house)
    house.delete(f"{ORDERS}/{order_id}")
    assert assert_problem(bid(house, order_id, "s1"), 409, "auctions.order_closed")["state"] == "cancelled"
    for path in (f"{ORDERS}/0", f"{ORDERS}/9223372036854775808", f"{ORDERS}/x/bids"):
        assert house.get(path).status_code in (400, 404)


# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_default_book_is_there_with_its_settings(client: Client) -> None:
    found = client.get(f"{PATH}/books/default").json()
    del found["opened_at"]
    assert found == {
        "book": "default", "tick_seconds": 2.0, "batch_size": 5, "bidding_window_seconds": 5.0, "fulfil_seconds": 10.0,
        "grace_seconds": 2.0, "bond": None, "escrow": "ledger",
    }  # fmt: skip


def test_books_are_opened_once_changed_and_listed_by_name(house: Client) -> None:
    assert_problem(house.post(f"{PATH}/books", json={"book": "quick"}), 409, "auctions.book_exists")
    changed = house.patch(f"{PATH}/books/quick", json={"bond": "2.5", "batch_size": 7}).json()
    assert (changed["bond"], changed["batch_size"], changed["tick_seconds"]) == ("2.50", 7, 0.05)
    assert house.patch(f"{PATH}/books/quick", json={"bond": None}).json()["bond"] is None
    assert_problem(house.patch(f"{PATH}/books/none", json={}), 404, "auctions.unknown_book")
    first = house.get(f"{PATH}/books?limit=1").json()
    rest = house.get(f"{PATH}/books?limit=5&after={first['next']}").json()
    assert [one["book"] for one in first["items"] + rest["items"]] == ["default", "quick"]


@pytest.mark.parametrize(
    "fields",
    [
        {"tick_seconds": 0},
        {"tick_seconds": 3601},
        {"batch_size": 0},
        {"batch_size": 1001},
        {"bidding_window_seconds": -1},
        {"fulfil_seconds": 1e9},
        {"grace_seconds": -0.1},
        {"bond": "0"},
        {"bond": "x"},
        {"escrow": "trust"},
        {"tick": 1},
    ],
)
def test_a_wrong_setting_of_a_book_is_named(client: Client, fields: dict[str, Any]) -> None:
    for answer in (
        client.post(f"{PATH}/books", json={"book": "wrong", **fields}),
        client.patch(f"{PATH}/books/default", json=fields),
    ):
        assert answer.status_code == 400
        assert answer.json()["field"] == next(iter(fields))
    assert client.get(f"{PATH}/books/wrong").status_code == 404


# ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_orders_are_listed_in_pages_and_by_what_is_asked_for(house: Client) -> None:
    mine = [announced(house) for _ in range(3)]
    theirs = announced(house, owner="bob")
    first = house.get(f"{ORDERS}?limit=2").json()
    rest = house.get(f"{ORDERS}?limit=2&after={first['next']}").json()
    assert [one["order_id"] for one in first["items"] + rest["items"]] == [*mine, theirs]

    def listed(**query: Any) -> list[int]:
        return [one["order_id"] for one in house.get(ORDERS, params=query).json()["items"]]

    assert listed(username="bob") == [theirs]
    assert listed(book="default") == []
    house.delete(f"{ORDERS}/{mine[1]}")
    assert listed(state="cancelled") == [mine[1]]
    assert listed(state="open", username="ann") == [mine[0], mine[2]]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{ORDERS}?state=closed", "state"),
        (f"{ORDERS}?after=x", "after"),
        (f"{ORDERS}?limit=0", "limit"),
        (f"{PATH}/books/default/commitments?order_id=0", "order_id"),
        (f"{PATH}/books/default/commitments?state=open", "state"),
        (f"{PATH}/books/default/solvers?after=00d800", "after"),
        (f"{PATH}/books/default/solvers?after=000000", "after"),
        (f"{PATH}/books/default/log?from=-1", "from"),
        (f"{PATH}/books/default/log?wait_seconds=61", "wait_seconds"),
        (f"{PATH}/books/default/log/stream?from=x", "from"),
    ],
)
def test_a_wrong_parameter_is_named(client: Client, path: str, field: str) -> None:
    assert assert_problem(client.get(path), 400, "invalid")["field"] == field


@pytest.mark.parametrize("path", ["commitments", "solvers", "log", "log/stream", "commitments/1", "solvers/s1"])
def test_a_book_that_is_not_there_has_nothing(client: Client, path: str) -> None:
    assert client.get(f"{PATH}/books/nowhere/{path}").status_code == 404


def test_the_metrics_tell_what_solvers_sent_and_how_books_stand(house: Client) -> None:
    order_id = announced(house)
    house.post(f"{ORDERS}/{order_id}/bids", json={}, headers={"Idempotency-Key": "k"})
    assert bid(house, order_id, "s1").status_code == 201
    body = {"solver": "ann", "max_input": "1", "conversion_rate": "1", "valid_till": LATER}
    house.post(f"{ORDERS}/{order_id}/bids", json=body, headers={"Idempotency-Key": "k2"})
    text = house.get("/metrics").text
    assert 'marketplace_auction_requests_total{outcome="done",what="bid"}' in text
    assert 'marketplace_auction_requests_total{outcome="own_order",what="bid"}' in text
    assert 'marketplace_auction_orders{book="quick",state="bidding"} 1.0' in text
    assert 'marketplace_auction_ticks_total{book="quick",outcome="done"}' in text
