"""What members do by their keys, route by route: names left out, lists of their own, keys made and revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketplace import identity
from marketplace.database import open_database
from tests.http.conftest import serving
from tests.http.keyed import Keyed, keyed
from tests.http.test_gate import assert_problem

MARKET = "/api/v1/hours/markets/default"


@pytest.fixture
def server(sqlite_url: str) -> Iterator[Keyed]:
    with keyed(sqlite_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def idle_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """One for all requests that are to do nothing."""
    with keyed(f"sqlite:///{tmp_path_factory.mktemp('idle') / 'keys.db'}") as opened:
        yield opened


@pytest.mark.parametrize(
    "header",
    [
        "{key}",
        "Basic {key}",
        "Bearer",
        "Bearer ",
        "Bearer{key}",
        "Token {key}",
        "Bearer {key}, Bearer {key}",
        "Bearer x{key}",
        "Bearer {key}ü".encode().decode("latin-1"),
    ],
)
def test_a_header_that_is_no_bearers_key_lets_nobody_in(idle_server: Keyed, header: str) -> None:
    value = header.format(key=idle_server.tokens["ann"]).encode("latin-1")
    answer = idle_server.client.get("/api/v1/me", headers=[(b"Authorization", value)])
    assert_problem(answer, 401, "unauthenticated")


def test_the_scheme_is_written_in_any_case(server: Keyed) -> None:
    for scheme in ("bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {server.tokens['ann']}"}
        assert server.client.get("/api/v1/me", headers=headers).json()["username"] == "ann"


# ── hours ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_name_that_is_left_out_is_the_callers_own(server: Keyed) -> None:
    server.done("ann", "POST", "/buy", json={"volume": 3, "price": 2})
    server.done("ann", "POST", f"{MARKET}/bids", json={"volume": 2, "price": 1})
    server.done("bob", "POST", "/sell", json={"volume": 4})
    orders = [{"side": "buy", "volume": 1, "price": 0}, {"side": "sell", "volume": 1, "min_price": 9}]
    server.done("bob", "POST", f"{MARKET}/orders:batch", json={"orders": orders})
    assert server.get("ann", "/allocation").text == "4"
    assert [bid["username"] for bid in server.done("ann", "GET", f"{MARKET}/bids")["items"]] == ["ann", "ann"]
    assert [bid["username"] for bid in server.done("bob", "GET", f"{MARKET}/bids")["items"]] == ["bob"]
    assert {one["provider"] for one in server.done("bob", "GET", f"{MARKET}/supplies")["items"]} == {"bob"}
    assert server.done("ann", "GET", f"{MARKET}/supplies")["items"] == []
    assert len(server.done("ann", "GET", f"{MARKET}/allocations")["items"]) == 2
    assert server.done("bob", "GET", f"{MARKET}/allocations")["items"] == []
    assert len(server.done("admin", "GET", f"{MARKET}/bids")["items"]) == 3
    assert len(server.done("bob", "GET", f"{MARKET}/fills")["items"]) == 2, "fills have no names, and are for all"


def test_an_admin_acts_for_whom_it_names_and_else_for_itself(server: Keyed) -> None:
    server.done("admin", "POST", "/buy", json={"volume": 3, "price": 2, "username": "ann"})
    server.done("admin", "POST", "/buy", json={"volume": 3, "price": 2})
    names = [bid["username"] for bid in server.done("admin", "GET", f"{MARKET}/bids")["items"]]
    assert names == ["ann", "admin"]


@pytest.mark.parametrize(("who", "side", "missing"), [("ann trade", "sell", "supply"), ("ann supply", "buy", "trade")])
def test_an_order_among_many_takes_the_scope_that_it_takes_alone(
    server: Keyed, who: str, side: str, missing: str
) -> None:
    buy, sell = {"side": "buy", "volume": 1, "price": 0}, {"side": "sell", "volume": 1}
    own = buy if side == "sell" else sell
    server.done(who, "POST", f"{MARKET}/orders:batch", json={"orders": [own, own]})
    answer = server.post(who, f"{MARKET}/orders:batch", {"orders": [own, buy if side == "buy" else sell]})
    assert assert_problem(answer, 403, "scope_needed")["scope"] == missing
    assert server.done("admin", "GET", "/api/v1/events")["next"] == 2, "nothing of it was run"


def test_a_supply_that_nobody_was_named_for_is_for_admins_alone(server: Keyed, tmp_path: Path) -> None:
    supply = server.done("admin", "POST", "/sell", json={"volume": 1})["supply_id"]
    assert server.get("admin", f"{MARKET}/supplies/{supply}").json()["provider"] == "admin"
    assert_problem(server.get("ann", f"{MARKET}/supplies/{supply}"), 404, "hours.unknown_supply")


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_belongs_to_who_asked_for_it(server: Keyed) -> None:
    first = server.done("ann", "POST", "/api/v1/ip/allocate", json={"vm_id": "vm-1"})
    again = server.post("ann", "/api/v1/ip/allocate", {"vm_id": "vm-1", "owner": "ann", "hostname": "web"})
    assert (again.json()["ip"], again.headers["idempotent-replayed"]) == (first["ip"], "true")
    assert_problem(server.post("bob", "/api/v1/ip/allocate", {"vm_id": "x", "owner": "ann"}), 403, "forbidden")
    assert [one["vm_id"] for one in server.done("ann", "GET", "/api/v1/ip/allocations")] == ["vm-1"]
    assert server.done("bob", "GET", "/api/v1/ip/allocations") == []
    assert server.done("admin", "GET", "/api/v1/ip/vm-1")["hostname"] == "web"


def test_one_foreign_vm_among_many_undoes_all(server: Keyed) -> None:
    server.done("ann", "POST", "/api/v1/ip/allocate", json={"vm_id": "anns"})
    server.done("bob", "POST", "/api/v1/ip/allocate", json={"vm_id": "bobs"})
    answer = server.post("bob", "/api/v1/ip/allocate:batch", {"requests": [{"vm_id": "new"}, {"vm_id": "anns"}]})
    assert assert_problem(answer, 409, "addresses.vm_of_another")["index"] == 1
    answer = server.post("bob", "/api/v1/ip/release:batch", {"vm_ids": ["bobs", "anns"]})
    assert assert_problem(answer, 404, "addresses.not_assigned")["index"] == 1
    assert [one["vm_id"] for one in server.done("admin", "GET", "/api/v1/ip/allocations")] == ["anns", "bobs"]


def test_who_reconciles_its_own_vms_leaves_the_others_alone(server: Keyed) -> None:
    for who in ("ann", "bob"):
        for name in ("live", "gone"):
            server.done(who, "POST", "/api/v1/ip/allocate", json={"vm_id": f"{who}-{name}"})
    body: dict[str, Any] = {"vm_ids": ["ann-live"], "grace_seconds": 0}
    assert [one["vm_id"] for one in server.done("ann", "POST", "/api/v1/ip/reconcile", json=body)["orphans"]] == [
        "ann-gone"
    ]
    server.done("ann", "POST", "/api/v1/ip/reconcile", json=body | {"apply": True})
    left = [one["vm_id"] for one in server.done("admin", "GET", "/api/v1/ip/allocations")]
    assert left == ["ann-live", "bob-live", "bob-gone"]


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_member_makes_uses_and_revokes_a_key_of_its_own(server: Keyed) -> None:
    made = server.done("ann", "POST", "/api/v1/keys", json={"scopes": ["trade", "read"], "label": "bot"})
    server.tokens["bot"] = made.pop("key")
    assert (made["username"], made["label"], made["scopes"]) == ("ann", "bot", ["read", "trade"])
    assert server.done("bot", "GET", "/api/v1/me") == {
        "username": "ann", "key_id": made["key_id"], "scopes": ["read", "trade"], "expires_at": None,
    }  # fmt: skip
    assert server.done("bot", "GET", f"/api/v1/keys/{made['key_id']}") == made
    assert made["key_id"] in [one["key_id"] for one in server.done("ann", "GET", "/api/v1/keys")["items"]]
    revoked = server.done("bot", "DELETE", f"/api/v1/keys/{made['key_id']}")
    assert revoked["revoked_at"]
    time.sleep(0.6)
    detail = assert_problem(server.get("bot", "/api/v1/me"), 401, "unauthenticated")["detail"]
    assert detail.startswith("The key was revoked at ")
    assert server.done("ann", "DELETE", f"/api/v1/keys/{made['key_id']}") == revoked


def test_a_key_makes_none_that_may_do_more_or_lasts_longer(server: Keyed) -> None:
    answer = server.post("ann trade", "/api/v1/keys", {"scopes": ["trade", "read"]})
    assert "no scope read" in assert_problem(answer, 403, "identity.beyond_own")["detail"]
    soon = {"scopes": ["trade"], "expires_at": "2090-01-01T00:00:00Z"}
    server.tokens["short"] = server.done("ann", "POST", "/api/v1/keys", json=soon)["key"]
    assert_problem(server.post("short", "/api/v1/keys", {"scopes": ["trade"]}), 403, "identity.beyond_own")
    assert server.post("short", "/api/v1/keys", soon).status_code == 201


def test_a_key_revokes_none_that_may_do_more(server: Keyed) -> None:
    more = server.done("ann", "GET", "/api/v1/me")["key_id"]
    assert_problem(server.call("ann trade", "DELETE", f"/api/v1/keys/{more}"), 403, "identity.beyond_own")
    server.done("ann", "GET", "/api/v1/me")


def test_an_admin_makes_keys_for_members_that_there_are(server: Keyed) -> None:
    body = {"scopes": ["read"], "username": "eve"}
    assert_problem(server.post("admin", "/api/v1/keys", body), 404, "identity.unknown_member")
    server.done("admin", "POST", "/api/v1/members", json={"username": "eve"})
    assert_problem(server.post("admin", "/api/v1/members", {"username": "eve"}), 409, "identity.member_exists")
    server.tokens["eve"] = server.done("admin", "POST", "/api/v1/keys", json=body)["key"]
    assert server.done("eve", "GET", "/api/v1/members/eve")["username"] == "eve"
    names = [one["username"] for one in server.done("admin", "GET", "/api/v1/members")["items"]]
    assert names == ["admin", "ann", "bob", "eve"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes[0]"),
        ({"scopes": ["read"] * 6}, "scopes"),
        ({"scopes": ["read"], "label": ""}, "label"),
        ({"scopes": ["read"], "label": "x" * 101}, "label"),
        ({"scopes": ["read"], "label": "a\nb"}, "label"),
        ({"scopes": ["read"], "expires_at": "tomorrow"}, "expires_at"),
        ({"scopes": ["read"], "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"scopes": ["read"], "expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"scopes": ["read"], "secret": "mine"}, "secret"),
    ],
)
def test_a_wrong_field_of_a_new_key_is_named(idle_server: Keyed, body: Any, field: str) -> None:
    assert assert_problem(idle_server.post("ann", "/api/v1/keys", body), 400, "invalid")["field"] == field


def test_a_key_that_has_expired_before_it_is_made_is_refused(server: Keyed) -> None:
    answer = server.post("ann", "/api/v1/keys", {"scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"})
    assert_problem(answer, 409, "identity.expiry_passed")


@pytest.mark.parametrize("key_id", ["x", "F" * 16, "f" * 17, "f" * 15 + "%0A"])
def test_a_key_id_has_one_shape(idle_server: Keyed, key_id: str) -> None:
    assert_problem(idle_server.get("admin", f"/api/v1/keys/{key_id}"), 400, "invalid")


def test_the_secret_is_told_once_and_never_to_a_copy(server: Keyed) -> None:
    headers = {"Idempotency-Key": "k1"}
    first, *copies = [server.post("ann", "/api/v1/keys", {"scopes": ["read"]}, headers=headers) for _ in range(3)]
    key = first.json()["key"]
    assert key.startswith(f"mk_{first.json()['key_id']}_")
    assert "idempotent-replayed" not in first.headers
    for copy in copies:
        assert copy.json() == first.json() | {"key": None}
        assert (copy.status_code, copy.headers["idempotent-replayed"]) == (201, "true")
    listed = server.get("ann", "/api/v1/keys").text
    assert first.json()["key_id"] in listed
    assert key[-64:] not in listed


def test_lists_of_keys_and_members_are_pages(server: Keyed) -> None:
    for path in ("/api/v1/keys", "/api/v1/members"):
        whole = server.done("admin", "GET", path)["items"]
        rows: list[Any] = []
        following: str | None = ""
        while following is not None:
            page = server.done("admin", "GET", f"{path}?limit=1{following and '&after=' + following}")
            rows += page["items"]
            following = page["next"]
        assert rows == whole
        assert len(rows) > 2


def test_when_a_key_was_used_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.db'}"
    with keyed(url) as server:
        server.done("ann", "GET", "/api/v1/me")
        key_id = server.done("ann", "GET", "/api/v1/me")["key_id"]

    async def read() -> Any:
        database = open_database(url)
        found = await database.read_one(identity.find_key, key_id)
        await database.close()
        return found

    assert asyncio.run(read()).last_used_at


# ── who is remembered under an Idempotency-Key ───────────────────────────────────────────────────────────────────────


def test_an_idempotency_key_belongs_to_its_member(server: Keyed) -> None:
    headers, body = {"Idempotency-Key": "k1"}, {"volume": 1, "price": 1}
    first = server.post("ann", "/buy", body, headers=headers).json()
    assert server.post("ann trade", "/buy", body, headers=headers).json() == first, "the member's, whichever its key"
    assert server.post("bob", "/buy", body, headers=headers).json() != first


def test_a_member_of_that_name_is_not_everybody(tmp_path: Path) -> None:
    headers, body = {"Idempotency-Key": "k1"}, {"volume": 1, "price": 1, "username": "open"}
    with serving(tmp_path / "keys.db") as client:
        client.post("/buy", json=body, headers=headers)
    with keyed(f"sqlite:///{tmp_path / 'keys.db'}") as server:
        server.done("admin", "POST", "/api/v1/members", json={"username": "open"})
        made = server.done("admin", "POST", "/api/v1/keys", json={"scopes": ["trade"], "username": "open"})
        server.tokens["open"] = made["key"]
        assert "idempotent-replayed" not in server.post("open", "/buy", body, headers=headers).headers
