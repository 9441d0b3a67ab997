"""Webhooks over HTTP: made, shown without their secret, changed, and every wrong request told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.http.conftest import Client, Serve, serving
from tests.http.test_gate import assert_problem

HOOKS = "/api/v1/webhooks"
URL = "https://hooks.example.org/market"


@pytest.fixture
def hooks(serve: Serve) -> Iterator[Client]:
    """An application of the test's own, that sends nothing."""
    with serve(jobs=False) as client:
        yield client


@pytest.fixture(scope="module")
def no_hooks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One for all requests that are to do nothing."""
    with serving(tmp_path_factory.mktemp("idle") / "hooks.db", jobs=False) as client:
        yield client


def make(client: Client, **fields: Any) -> dict[str, Any]:
    answer = client.post(HOOKS, json={"url": URL, "username": "u1", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_webhook_is_made_and_its_secret_shown_once(hooks: Client) -> None:
    made = make(hooks, topics=["hours"], kinds=["bid_placed"])
    assert made["secret"].startswith("whsec_")
    shown = made["webhook"]
    assert {name: shown[name] for name in ("username", "url", "topics", "kinds", "all_members", "state", "reason")} == {
        "username": "u1",
        "url": URL,
        "topics": ["hours"],
        "kinds": ["bid_placed"],
        "all_members": False,
        "state": "enabled",
        "reason": None,
    }
    path = f"{HOOKS}/{shown['webhook_id']}"
    assert hooks.get(path).json() == shown
    assert hooks.get(HOOKS).json() == {"items": [shown], "next": None}
    assert "whsec_" not in hooks.get(path).text + hooks.get(HOOKS).text + hooks.get("/api/v1/events?lane=money").text


def test_a_copy_under_the_same_key_makes_one_webhook(hooks: Client) -> None:
    body, key = {"url": URL, "username": "u1"}, {"Idempotency-Key": "k"}
    first, copy = (hooks.post(HOOKS, json=body, headers=key) for _ in range(2))
    assert first.json()["secret"].startswith("whsec_")
    assert "idempotent-replayed" not in first.headers
    assert (copy.json(), copy.headers["idempotent-replayed"]) == (first.json() | {"secret": None}, "true")
    assert len(hooks.get(HOOKS).json()["items"]) == 1


def test_a_copy_under_the_same_key_replaces_a_secret_once(hooks: Client) -> None:
    path, key = f"{HOOKS}/{make(hooks)['webhook']['webhook_id']}/rotate", {"Idempotency-Key": "k"}
    first, copy = (hooks.post(path, headers=key) for _ in range(2))
    assert first.json()["secret"].startswith("whsec_")
    assert (copy.json(), copy.headers["idempotent-replayed"]) == (first.json() | {"secret": None}, "true")


def test_no_secret_is_among_the_stored_answers(hooks: Client, sqlite_url: str) -> None:
    made = hooks.post(HOOKS, json={"url": URL, "username": "u1"}, headers={"Idempotency-Key": "k1"}).json()
    hooks.post(f"{HOOKS}/{made['webhook']['webhook_id']}/rotate", headers={"Idempotency-Key": "k2"})
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as books:
        answers = [body for (body,) in books.execute("SELECT body FROM answers")]
    assert len(answers) == 2
    assert "whsec_" not in "".join(answers)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "url", "invalid"),
        ({"url": URL}, "username", "invalid"),
        ({"url": "http://example.org/", "username": "u1"}, "url", "events.bad_target"),
        ({"url": "https://10.0.0.1/", "username": "u1"}, "url", "events.bad_target"),
        ({"url": "https://localhost/", "username": "u1"}, "url", "events.bad_target"),
        ({"url": URL + "x" * 2048, "username": "u1"}, "url", "invalid"),
        ({"url": URL, "username": " u1"}, "username", "invalid"),
        ({"url": URL, "username": "u1", "topics": ["gold"]}, "topic", "events.unknown_kind"),
        ({"url": URL, "username": "u1", "kinds": ["bid_lost"]}, "kind", "events.unknown_kind"),
        ({"url": URL, "username": "u1", "kinds": "bid_placed"}, "kinds", "invalid"),
        ({"url": URL, "username": "u1", "kinds": ["bid placed"]}, "kinds[0]", "invalid"),
        ({"url": URL, "username": "u1", "secret": "whsec_mine"}, "secret", "invalid"),
    ],
)
def test_a_wrong_webhook_is_refused_and_none_is_made(no_hooks: Client, body: Any, field: str, code: str) -> None:
    assert assert_problem(no_hooks.post(HOOKS, json=body), 400, code)["field"] == field
    assert no_hooks.get(HOOKS).json()["items"] == []


def test_a_host_that_the_operator_allows_is_taken(serve: Serve) -> None:
    with serve(jobs=False, webhook_allowed_hosts=("127.0.0.1:9000",)) as client:
        make(client, url="http://127.0.0.1:9000/hook")
        body = {"url": "http://127.0.0.1:9001/hook", "username": "u1"}
        assert_problem(client.post(HOOKS, json=body), 400, "events.bad_target")


def test_a_webhook_is_changed_disabled_and_deleted(hooks: Client) -> None:
    path = f"{HOOKS}/{make(hooks)['webhook']['webhook_id']}"
    changed = hooks.patch(path, json={"kinds": ["market_created"], "url": f"{URL}/2"}).json()
    assert (changed["kinds"], changed["url"], changed["topics"]) == (["market_created"], f"{URL}/2", [])
    assert hooks.patch(path, json={}).json() == changed
    assert hooks.patch(path, json={"state": "disabled"}).json()["state"] == "disabled"
    assert_problem(hooks.post(f"{path}/test"), 409, "events.webhook_disabled")
    assert hooks.patch(path, json={"state": "enabled"}).json()["state"] == "enabled"
    for body, field in (
        ({"state": "deleted"}, "state"),
        ({"url": "https://[::1]/"}, "url"),
        ({"member": "x"}, "member"),
    ):
        assert hooks.patch(path, json=body).json()["field"] == field
    assert hooks.delete(path).status_code == 200
    assert_problem(hooks.delete(path), 404, "events.unknown_webhook")
    assert hooks.get(HOOKS).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/rotate", None),
        ("POST", "/test", None),
        ("GET", "/deliveries", None),
        ("POST", "/replay", {"lane": "hours", "from_seq": 1, "to_seq": 1}),
    ],
)
def test_a_webhook_that_is_not_there(no_hooks: Client, method: str, path: str, body: Any) -> None:
    assert_problem(no_hooks.request(method, f"{HOOKS}/17{path}", json=body), 404, "events.unknown_webhook")


def test_a_secret_is_replaced(hooks: Client) -> None:
    made = make(hooks)
    rotated = hooks.post(f"{HOOKS}/{made['webhook']['webhook_id']}/rotate").json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_until"]


def test_a_test_is_listed_among_the_deliveries(hooks: Client) -> None:
    identity = make(hooks)["webhook"]["webhook_id"]
    tested = hooks.post(f"{HOOKS}/{identity}/test").json()
    (item,) = hooks.get(f"{HOOKS}/{identity}/deliveries?lane=money").json()["items"]
    assert (item["seq"], item["message_id"], item["state"]) == (tested["seq"], tested["message_id"], "pending")
    assert (item["attempts"], item["finished_at"]) == ([], None)
    assert hooks.get(f"{HOOKS}/{identity}/deliveries?lane=money&state=failed").json()["items"] == []


def test_a_range_is_replayed_and_listed_page_by_page(hooks: Client) -> None:
    for user in ("u1", "u2", "u1", "u1"):
        hooks.post("/buy", json={"username": user, "volume": 1, "price": 1})
    path = f"{HOOKS}/{make(hooks)['webhook']['webhook_id']}"
    assert hooks.post(f"{path}/replay", json={"lane": "hours", "from_seq": 1, "to_seq": 4}).json() == {"deliveries": 3}
    first = hooks.get(f"{path}/deliveries?limit=2").json()
    rest = hooks.get(f"{path}/deliveries?limit=2&before={first['next']}").json()
    assert [item["seq"] for item in first["items"] + rest["items"]] == [4, 3, 1]
    assert rest["next"] is None
    for span, field in (((2, 1), "to_seq"), ((1, 10_001), "to_seq"), ((0, 1), "from_seq")):
        body = {"lane": "hours", "from_seq": span[0], "to_seq": span[1]}
        assert assert_problem(hooks.post(f"{path}/replay", json=body), 400, "invalid")["field"] == field


def test_webhooks_are_listed_by_id_and_by_member(hooks: Client) -> None:
    made = [make(hooks, username=name)["webhook"]["webhook_id"] for name in ("u1", "u2", "u1")]
    first = hooks.get(f"{HOOKS}?limit=2").json()
    rest = hooks.get(f"{HOOKS}?limit=2&after={first['next']}").json()
    assert [item["webhook_id"] for item in first["items"] + rest["items"]] == made
    assert [item["webhook_id"] for item in hooks.get(f"{HOOKS}?username=u2").json()["items"]] == made[1:2]
