"""Every route × every kind of caller. A route that is not in the table fails; so does one that asks for another scope.

Pages have a table of their own, in tests/dashboard: there a browser calls, by a session.

The table says it once more, in words of its own: which scope a route asks for, and what becomes of a member who means
another member's things.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from marketplace.app import create_app
from marketplace.foundation.settings import Settings
from marketplace.http import callers
from tests.http import auctioned, spot_market
from tests.http.conftest import serving
from tests.http.keyed import ALL_BUT_ADMIN, Keyed, keyed
from tests.http.routes_table import MARKET, TABLE, WEBHOOK
from tests.http.test_gate import assert_problem

ANSWERED = [name for name in TABLE if not name.endswith("/stream")]
NOBODY = ("malformed", "unknown", "revoked", "expired")


def routes() -> dict[str, Any]:
    """Return every handler of the application but those of pages, by method and path."""
    app = create_app(Settings(database_url="sqlite:///never-opened.db"))
    return {
        f"{method} {re.sub(r':[a-z]+}', '}', route.path_format)}": handler
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS" and not (route.path == "/" or route.path.startswith("/dashboard/"))
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """One server for all tests here: who may do what is decided without a look at the engine."""
    with keyed(f"sqlite:///{tmp_path_factory.mktemp('keys') / 'keys.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def orders(server: Keyed) -> dict[str, Any]:
    return auctioned.put_out(server)


_numbers = itertools.count(1)


@pytest.fixture
def things(server: Keyed, orders: dict[str, Any]) -> dict[str, Any]:
    return orders | things_of_bob(server)


def things_of_bob(server: Keyed) -> dict[str, Any]:
    """Return what bob has: a bid, a supply, an address, a key, …; a network of the admin, and numbers to be new by."""
    number = next(_numbers)
    bid = server.done("bob", "POST", f"{MARKET}/bids", json={"volume": 5, "price": 0})
    supply = server.done("bob", "POST", f"{MARKET}/supplies", json={"volume": 5, "min_price": 9})
    address = server.done("bob", "POST", "/api/v1/ip/allocate", json={"vm_id": f"bobs-{number}"})
    key = server.done("bob", "POST", "/api/v1/keys", json={"scopes": ["solve"]})
    for hook in server.done("bob", "GET", "/api/v1/webhooks")["items"]:  # a member may have twenty
        server.done("bob", "DELETE", f"/api/v1/webhooks/{hook['webhook_id']}")
    made = server.done("bob", "POST", "/api/v1/webhooks", json=WEBHOOK)
    server.done("admin", "POST", "/api/v1/wallets/bob/deposits", json={"amount": "5.00"})
    server.done("admin", "POST", "/api/v1/networks", json={"network": f"t{number}", "cidr": f"fd01:{number:x}::/64"})
    ids = {"bid_id": bid["bid_id"], "supply_id": supply["supply_id"], "key_id": key["key_id"], "ip": address["ip"]}
    ids["webhook_id"] = made["webhook"]["webhook_id"]
    ids |= spot_market.things(server, number)
    order = server.done("bob", "POST", "/api/v1/auctions/orders", json={"description": "x", "input_budget": "0.01"})
    ids["order_id"] = order["order_id"]
    return ids | {"vm_id": f"bobs-{number}", "network": f"t{number}", "number": number, "hex": f"{number:x}"}


def send(server: Keyed, who: str | None, name: str, things: dict[str, Any]) -> Any:
    """Send the request of a row."""
    row = TABLE[name]
    body = {} if row.body is None else {"json": _filled(row.body, things)}
    return server.call(who, name.partition(" ")[0], row.path.format_map(things), **body)


def _filled(body: Any, things: dict[str, Any]) -> Any:
    """Put the things' names into a body."""
    text = json.dumps(body)
    return json.loads(re.sub(r"\{(\w+)}", lambda found: str(things[found[1]]), text))


def heads(server: Keyed) -> dict[str, int]:
    """Return where each lane's log ends."""
    return {lane: _head(server, lane) for lane in ("hours", "addresses", "money")}


def _head(server: Keyed, lane: str) -> int:
    after, following = -1, _known.get((id(server), lane), 0)
    while after != following:
        after = following
        page = server.done("admin", "GET", f"/api/v1/events?lane={lane}&after={after}&limit=1000")
        following = page["next"]
    _known[id(server), lane] = after
    return after


_known: dict[tuple[int, str], int] = {}
"""How far a server's logs were when they were looked at last."""


# ── the table is whole ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_route_is_in_the_table_and_asks_for_what_the_table_says() -> None:
    asked = {name: set(callers.scopes_of(handler)) for name, handler in routes().items()}
    assert asked == {name: set((row.scopes or "").split()) for name, row in TABLE.items()}


def test_only_what_says_nothing_of_anybody_is_for_everybody() -> None:
    assert {row.path.split("/")[-1] for row in TABLE.values() if row.scopes is None} == {
        "livez", "readyz", "health", "openapi.json", "docs", "docs.js", "notice?secret={secret}",
    }  # fmt: skip


# ── who calls ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", TABLE)
def test_nobody_is_let_in_without_a_good_key(server: Keyed, name: str) -> None:
    method, path = name.partition(" ")[0], TABLE[name].path.format_map(SOME)
    # A body that cannot be read: whoever is refused is refused before anybody looks at it.
    broken = {"content": b"{", "headers": {"Content-Type": "application/json"}} if method in ("POST", "PATCH") else {}
    for who in (None, *NOBODY):
        answer = server.call(who, method, path, **broken)
        if TABLE[name].scopes is None:
            assert answer.is_success or answer.status_code == 404, who
        else:
            assert_problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"


SOME = {
    "bid_id": 1,
    "supply_id": 1,
    "vm_id": "vm",
    "ip": "172.16.0.9",
    "webhook_id": 1,
    "order_id": 1,
    "open_order_id": 1,
    "due_order_id": 1,
    "said_order_id": 1,
    "commitment_id": 1,
    "key_id": "f" * 16,
    "network": "n",
    "spot_bid_id": 1,
    "lease_id": 1,
    "noticed_lease_id": 1,
    "secret": "s",
    "node": "n",
}


@pytest.mark.parametrize("name", TABLE)
def test_a_key_without_the_scope_is_refused_and_one_with_it_is_not(server: Keyed, name: str) -> None:
    method, path, scopes = name.partition(" ")[0], TABLE[name].path.format_map(SOME), TABLE[name].scopes
    broken = {"content": b"{", "headers": {"Content-Type": "application/json"}} if method in ("POST", "PATCH") else {}
    for scope in ALL_BUT_ADMIN:
        answer = server.call(f"ann {scope}", method, path, **broken)
        if scopes is None or scope in scopes.split():
            assert (answer.status_code, "scope_needed" in answer.text) not in ((401, False), (403, True)), answer.text
        else:
            problem = assert_problem(answer, 403, "scope_needed")
            assert problem["scope"] == scopes.replace(" ", " or ")


@pytest.mark.parametrize("name", TABLE)
def test_a_member_touches_nothing_of_another(server: Keyed, name: str, things: dict[str, Any]) -> None:
    row, before = TABLE[name], heads(server)
    answer = send(server, "ann", name, things)
    if row.scopes == "admin":
        assert_problem(answer, 403, "scope_needed")
    elif row.ann is None:
        assert answer.is_success, answer.text
        return
    else:
        assert_problem(answer, *row.ann)
    assert heads(server) == before


@pytest.mark.parametrize("name", [name for name in ANSWERED if TABLE[name].scopes != "admin"])
def test_a_member_may_do_all_this_with_its_own(server: Keyed, name: str, things: dict[str, Any]) -> None:
    answer = send(server, "bob", name, things)
    assert answer.is_success, answer.text


@pytest.mark.parametrize("name", ANSWERED)
def test_an_admin_may_do_everything_for_anyone(server: Keyed, name: str, things: dict[str, Any]) -> None:
    answer = send(server, "admin", name, things)
    assert answer.is_success, answer.text


def test_every_route_works_on_postgres_too(postgres_url: str) -> None:
    with keyed(postgres_url) as server:
        things = auctioned.put_out(server) | things_of_bob(server)
        for name in sorted(ANSWERED, key=lambda name: not name.startswith("GET")):  # reads leave things as they are
            if not name.startswith("GET"):
                things |= things_of_bob(server)
            answer = send(server, "admin", name, things)
            assert answer.is_success, (name, answer.text)


def test_a_member_reads_its_own_entries_of_the_log_and_those_of_nobody(server: Keyed) -> None:
    for who in ("ann", "bob"):
        server.done(who, "POST", f"{MARKET}/bids", json={"volume": 1, "price": 0})
    head = server.done("admin", "GET", "/api/v1/events?lane=hours")["head"]
    for who, seen in (("ann", {"ann"}), ("bob", {"bob"}), ("admin", {"ann", "bob"})):
        page = server.done(who, "GET", f"/api/v1/events?lane=hours&after={head - 2}")
        assert {item["member"] for item in page["items"]} == seen
        assert (page["next"], page["head"]) == (head, head), "what others did is passed over, and not waited for"
    public = server.done("ann", "GET", "/api/v1/events?lane=addresses&kind=network_created")["items"]
    assert public[0]["subject"] == "default"


def test_money_goes_to_members_alone(server: Keyed, things: dict[str, Any]) -> None:
    before = server.done("bob", "GET", "/api/v1/wallets/bob")
    paid = server.call("bob", "POST", "/api/v1/transfers", json={"to": "nobody", "amount": "1"})
    assert_problem(paid, 404, "identity.unknown_member")
    given = server.call("admin", "POST", "/api/v1/wallets/nobody/deposits", json={"amount": "1"})
    assert_problem(given, 404, "identity.unknown_member")
    assert server.done("bob", "GET", "/api/v1/wallets/bob") == before


def test_what_is_nowhere_says_so_to_everybody(server: Keyed) -> None:
    for who in (None, "unknown", "ann"):
        assert_problem(server.get(who, "/nowhere"), 404, "no_such_path")
        assert_problem(server.call(who, "PUT", "/buy"), 405, "method_not_allowed")


# ── without keys ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_keys_nobody_is_asked_and_a_key_says_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "open.db") as client:
        for headers in ({}, {"Authorization": "Bearer nonsense"}):
            for path in ("/api/v1/members", "/api/v1/keys", "/metrics", f"{MARKET}/bids"):
                assert client.get(path, headers=headers).status_code == 200
            scopes = ["admin", "read", "solve", "supply", "trade"]
            assert client.get("/api/v1/me", headers=headers).json() == {
                "username": None, "key_id": None, "scopes": scopes, "expires_at": None,
            }  # fmt: skip
