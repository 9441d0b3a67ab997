"""Lists are pages: all of it once, whatever arrives meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.http import cursors
from marketplace.wire import limits
from tests.http.conftest import Client, Serve
from tests.http.test_gate import assert_problem

MARKET = "/api/v1/hours/markets/default"


@pytest.fixture
def busy(serve: Serve) -> Iterator[Client]:
    """A market with seven bids, all filled by three supplies."""
    with serve() as client:
        for number in range(7):
            assert client.post("/buy", json={"username": f"u{number}", "volume": 3, "price": number}).is_success
        for volume in (2, 9, 10):
            assert client.post("/sell", json={"volume": volume}).is_success
        for name in ("a", "b.c", "d-e"):
            assert client.post("/api/v1/hours/markets", json={"market": name}).is_success
        yield client


def walk(client: Client, path: str, *, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        page = client.get(f"{path}?limit={limit}{after}").json()
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next"] is None:
            return items
        after = f"&after={page['next']}"


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/api/v1/hours/markets", 4),
        (f"{MARKET}/bids", 7),
        (f"{MARKET}/supplies", 3),
        (f"{MARKET}/fills", 9),
        (f"{MARKET}/allocations", 9),
    ],
)
def test_pages_of_any_size_make_the_same_list(busy: Client, path: str, count: int) -> None:
    whole = busy.get(path).json()
    assert whole["next"] is None
    assert len(whole["items"]) == count
    for limit in (1, 2, 3, count, 1000):
        assert walk(busy, path, limit=limit) == whole["items"]


def test_the_log_is_read_by_seq(busy: Client) -> None:
    first = busy.get("/api/v1/events?limit=4").json()
    rest = busy.get(f"/api/v1/events?after={first['next']}").json()
    assert [event["seq"] for event in first["items"] + rest["items"]] == list(range(1, 14))
    assert rest["next"] == 13
    assert busy.get("/api/v1/events?after=13").json() == {"items": [], "next": 13, "head": 13}


@pytest.mark.parametrize("path", ["/api/v1/hours/markets", f"{MARKET}/bids", f"{MARKET}/supplies", f"{MARKET}/fills"])
@pytest.mark.parametrize(
    "cursor", ["", "0", "x", "null", "-1", "8000000000000000", "zz" * 8, "g" * 16, "0" * 600, "%00"]
)
def test_a_cursor_that_is_none_of_ours_is_refused(client: Client, path: str, cursor: str) -> None:
    assert assert_problem(client.get(f"{path}?after={cursor}"), 400, "invalid")["field"] == "after"


@given(st.integers(0, limits.MAX_SEQ))
def test_an_id_comes_back_from_its_cursor(number: int) -> None:
    assert cursors.to_id(cursors.of_id(number)) == number


@given(st.integers(0, limits.MAX_SEQ), st.integers(0, 2**31 - 1))
def test_a_place_comes_back_from_its_cursor(seq: int, position: int) -> None:
    assert cursors.to_place(cursors.of_place((seq, position))) == (seq, position)


@given(st.from_regex(r"[a-z0-9][a-z0-9_.-]*", fullmatch=True))
def test_a_name_comes_back_from_its_cursor(name: str) -> None:
    assert cursors.to_name(cursors.of_name(name)) == name
