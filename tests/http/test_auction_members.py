"""Auctions among members with keys: who may what, and what is nobody else's to see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.keyed import Keyed, keyed
from tests.http.test_auctions import LATER, PATIENCE_SECONDS, QUICK
from tests.http.test_gate import assert_problem

PATH = "/api/v1/auctions"
ORDERS = f"{PATH}/orders"


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Keyed]:
    """Ann, bob and the admin, who have 100 credits each, and a book `quick`."""
    with keyed(f"sqlite:///{tmp_path / 'keys.db'}", with_jobs=True) as opened:
        opened.done("admin", "POST", f"{PATH}/books", json={"book": "quick", **QUICK, "bidding_window_seconds": 1})
        for name in ("ann", "bob", "admin"):
            opened.done("admin", "POST", f"/api/v1/wallets/{name}/deposits", json={"amount": "100"})
        yield opened


def place(members: Keyed, who: str, **more: Any) -> int:
    body = {"book": "quick", "description": "render a film", **more}
    order_id: int = members.done(who, "POST", ORDERS, json=body)["order_id"]
    return order_id


def until(members: Keyed, who: str, order_id: int, state: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while members.done(who, "GET", f"{ORDERS}/{order_id}")["state"] != state:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def bid(members: Keyed, who: str, order_id: int, **more: Any) -> Any:
    body = {"max_input": "10", "conversion_rate": "1", "valid_till": LATER, **more}
    return members.post(who, f"{ORDERS}/{order_id}/bids", body)


def test_an_order_that_waits_for_its_batch_is_its_owners_alone(members: Keyed) -> None:
    until(members, "ann", place(members, "ann", book="default"), "open")
    # After the batch of this hour there is none before the next one.
    members.done("admin", "PATCH", f"{PATH}/books/default", json={"tick_seconds": 3600})
    order_id = place(members, "ann", book="default")
    assert_problem(members.get("bob", f"{ORDERS}/{order_id}"), 404, "auctions.unknown_order")
    assert_problem(bid(members, "bob", order_id), 404, "auctions.unknown_order")
    assert order_id not in [one["order_id"] for one in members.done("bob", "GET", ORDERS)["items"]]
    assert order_id in [one["order_id"] for one in members.done("ann", "GET", ORDERS)["items"]]
    assert order_id in [one["order_id"] for one in members.done("admin", "GET", ORDERS)["items"]]


def test_whose_order_it_is_is_told_to_its_owner_alone(members: Keyed) -> None:
    order_id = place(members, "ann")
    until(members, "ann", order_id, "open")
    assert members.done("ann", "GET", f"{ORDERS}/{order_id}")["username"] == "ann"
    assert members.done("bob", "GET", f"{ORDERS}/{order_id}")["username"] is None
    (listed,) = members.done("bob", "GET", f"{ORDERS}?book=quick")["items"]
    assert listed["username"] is None
    assert_problem(members.get("bob", f"{ORDERS}?username=ann"), 403, "forbidden")


def test_nobody_acts_for_another(members: Keyed) -> None:
    order_id = place(members, "ann")
    until(members, "ann", order_id, "open")
    assert_problem(bid(members, "bob", order_id, solver="ann"), 403, "forbidden")
    assert_problem(members.post("bob", f"{ORDERS}/{order_id}/deposits", {"solver": "ann"}), 403, "forbidden")
    assert_problem(members.post("bob", f"{ORDERS}/{order_id}/claims", {"solver": "ann"}), 403, "forbidden")
    assert_problem(members.call("bob", "DELETE", f"{ORDERS}/{order_id}"), 404, "auctions.unknown_order")
    assert_problem(members.post("bob", ORDERS, {"description": "x", "username": "ann"}), 403, "forbidden")
    assert_problem(bid(members, "ann", order_id), 409, "auctions.own_order")


def test_a_bid_is_its_solvers_alone_until_the_selection(members: Keyed) -> None:
    order_id = place(members, "admin")
    until(members, "admin", order_id, "open")
    assert bid(members, "bob", order_id).json()["solver"] == "bob"
    assert bid(members, "ann", order_id, conversion_rate="2").status_code == 201

    def seen_by(who: str) -> list[str]:
        return [one["solver"] for one in members.done(who, "GET", f"{ORDERS}/{order_id}/bids")["items"]]

    assert (seen_by("bob"), seen_by("ann"), seen_by("admin")) == (["bob"], ["ann"], ["ann", "bob"])
    until(members, "bob", order_id, "committed")
    assert seen_by("bob") == ["ann", "bob"]
    # A newer one is for the next round, and sealed again.
    assert bid(members, "bob", order_id, conversion_rate="3").status_code == 201
    assert (seen_by("ann"), seen_by("bob")) == (["ann"], ["ann", "bob"])


def test_the_other_members_money_stays_its_own(members: Keyed) -> None:
    assert_problem(
        members.post("ann", ORDERS, {"description": "x", "input_budget": "100.01"}), 402, "ledger.not_covered"
    )
    order_id = place(members, "ann", input_budget="100")
    until(members, "ann", order_id, "open")
    assert bid(members, "bob", order_id, max_input="100", conversion_rate="1.01").status_code == 201
    until(members, "ann", order_id, "committed")
    refused = members.post("bob", f"{ORDERS}/{order_id}/deposits", {})
    assert assert_problem(refused, 402, "ledger.not_covered")["needed"] == "101.00"
