"""Every page × every kind of visitor: nobody can do on a page what their key could not do."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from litestar.routes import HTTPRoute

from marketplace.app import create_app
from marketplace.foundation.settings import Settings
from marketplace.http import callers
from tests.dashboard import auction_pages
from tests.dashboard.browsing import Browser
from tests.http import spot_market
from tests.http.keyed import ALL_BUT_ADMIN, Keyed, keyed

HOURS = "/dashboard/hours/default"
KEYS = "/dashboard/admin/keys"
HOOKS = "/dashboard/admin/webhooks"
SPOT = "/dashboard/spot/default"
POOLS = "/dashboard/admin/pools"
BID = {"volume": "1", "price": "0"}
CONTAINER = {"image": "busybox:1", "cpu": "0.1", "memory_mib": "64", "max_price": "3"}
NODE = {"backend": "simulated", "cpu": "1", "memory_mib": "1024"}


class Row(NamedTuple):
    """What a page asks for; a request, about things of bob's; and the status that ann is answered who sends it."""

    scopes: str | None
    path: str
    form: dict[str, str] | None = None
    ann: int = 200


TABLE = {
    "GET /": Row(None, "/"),
    "GET /dashboard/sign-in": Row(None, "/dashboard/sign-in"),
    "POST /dashboard/sign-in": Row(None, "/dashboard/sign-in"),
    "POST /dashboard/sign-out": Row(None, "/dashboard/sign-out"),
    "POST /dashboard/acting": Row("read", "/dashboard/acting", {"username": "bob"}, 403),
    "GET /dashboard/files/{name}": Row(None, "/dashboard/files/{file}"),
    # hours
    "GET /dashboard/hours": Row("read", "/dashboard/hours"),
    "POST /dashboard/hours": Row("admin", "/dashboard/hours", {"market": "m{number}"}),
    "GET /dashboard/hours/{market}": Row("read", HOURS),
    "GET /dashboard/hours/{market}/preview": Row("read", f"{HOURS}/preview?volume=1&price=1"),
    "GET /dashboard/hours/{market}/stream": Row("read", f"{HOURS}/stream"),
    "POST /dashboard/hours/{market}/bids": Row("trade", f"{HOURS}/bids", BID | {"username": "bob"}, 403),
    "GET /dashboard/hours/{market}/bids/{bid_id}": Row("read", f"{HOURS}/bids/{{bid_id}}", ann=404),
    "POST /dashboard/hours/{market}/bids/{bid_id}": Row("trade", f"{HOURS}/bids/{{bid_id}}", {"volume": "7"}, 404),
    "POST /dashboard/hours/{market}/bids/{bid_id}/cancel": Row("trade", f"{HOURS}/bids/{{bid_id}}/cancel", {}, 404),
    "POST /dashboard/hours/{market}/supplies": Row(
        "supply", f"{HOURS}/supplies", {"volume": "1", "min_price": "9", "provider": "bob"}, 403
    ),
    "POST /dashboard/hours/{market}/supplies/{supply_id}/withdraw": Row(
        "supply", f"{HOURS}/supplies/{{supply_id}}/withdraw", {}, 404
    ),
    # spot
    "GET /dashboard/spot": Row("read", "/dashboard/spot"),
    "GET /dashboard/spot/{pool}": Row("read", SPOT),
    "GET /dashboard/spot/{pool}/stream": Row("read", f"{SPOT}/stream"),
    "POST /dashboard/spot/{pool}/preview": Row("read", f"{SPOT}/preview", CONTAINER | {"username": "bob"}, 403),
    "POST /dashboard/spot/{pool}/bids": Row("trade", f"{SPOT}/bids", CONTAINER | {"username": "bob"}, 403),
    "GET /dashboard/spot/{pool}/bids/{bid_id}": Row("read", f"{SPOT}/bids/{{spot_bid_id}}", ann=404),
    "GET /dashboard/spot/{pool}/bids/{bid_id}/stream": Row("read", f"{SPOT}/bids/{{spot_bid_id}}/stream", ann=404),
    "POST /dashboard/spot/{pool}/bids/{bid_id}": Row("trade", f"{SPOT}/bids/{{spot_bid_id}}", {"max_price": "4"}, 404),
    "POST /dashboard/spot/{pool}/bids/{bid_id}/cancel": Row("trade", f"{SPOT}/bids/{{spot_bid_id}}/cancel", {}, 404),
    "GET /dashboard/spot/{pool}/leases/{lease_id}": Row("read", f"{SPOT}/leases/{{lease_id}}", ann=404),
    "GET /dashboard/spot/{pool}/leases/{lease_id}/stream": Row("read", f"{SPOT}/leases/{{lease_id}}/stream", ann=404),
    "GET /dashboard/spot/{pool}/leases/{lease_id}/log": Row("read", f"{SPOT}/leases/{{lease_id}}/log", ann=404),
    "POST /dashboard/spot/{pool}/leases/{lease_id}/stop": Row("trade", f"{SPOT}/leases/{{lease_id}}/stop", {}, 404),
    "POST /dashboard/spot/{pool}/leases/{lease_id}/simulate-eviction": Row(
        "admin", f"{SPOT}/leases/{{lease_id}}/simulate-eviction", {}
    ),
    # addresses
    "GET /dashboard/addresses": Row("read", "/dashboard/addresses"),
    "GET /dashboard/addresses/stream": Row("read", "/dashboard/addresses/stream"),
    "POST /dashboard/addresses": Row("admin", "/dashboard/addresses", {"network": "n{number}", "cidr": "{cidr}"}),
    "GET /dashboard/addresses/{network}": Row("read", "/dashboard/addresses/default"),
    "GET /dashboard/addresses/{network}/stream": Row("read", "/dashboard/addresses/default/stream"),
    "POST /dashboard/addresses/{network}/allocate": Row(
        "trade", "/dashboard/addresses/default/allocate", {"vm_id": "{vm_id}"}, 409
    ),
    "POST /dashboard/addresses/{network}/release": Row(
        "trade", "/dashboard/addresses/default/release", {"vm_id": "{vm_id}", "seq": "{seq}"}
    ),
    # wallet
    "GET /dashboard/wallet": Row("read", "/dashboard/wallet"),
    "GET /dashboard/wallet/stream": Row("read", "/dashboard/wallet/stream"),
    "POST /dashboard/wallet/transfers": Row(
        "trade", "/dashboard/wallet/transfers", {"username": "bob", "to": "ann", "amount": "1.00"}, 403
    ),
    "POST /dashboard/wallet/threshold": Row(
        "trade", "/dashboard/wallet/threshold", {"username": "bob", "low_balance": "1.00"}, 403
    ),
    "POST /dashboard/wallet/deposits": Row(
        "admin", "/dashboard/wallet/deposits", {"username": "bob", "amount": "5.00"}
    ),
    "POST /dashboard/wallet/withdrawals": Row(
        "admin", "/dashboard/wallet/withdrawals", {"username": "bob", "amount": "1.00"}
    ),
    # admin
    "GET /dashboard/admin": Row("read", "/dashboard/admin"),
    "GET /dashboard/admin/stream": Row("read", "/dashboard/admin/stream"),
    "GET /dashboard/admin/pools": Row("read", POOLS),
    "POST /dashboard/admin/pools": Row(
        "admin",
        POOLS,
        {"pool": "p{number}", "cpu": "1", "unit_memory_mib": "2048", "reserve_price_per_hour": "0.01"},
    ),
    "GET /dashboard/admin/pools/{pool}": Row("read", f"{POOLS}/default"),
    "GET /dashboard/admin/pools/{pool}/stream": Row("read", f"{POOLS}/default/stream"),
    "POST /dashboard/admin/pools/{pool}": Row("admin", f"{POOLS}/default", {"margin_basis_points": "500"}),
    "POST /dashboard/admin/pools/{pool}/nodes": Row("admin", f"{POOLS}/default/nodes", NODE | {"node": "m{number}"}),
    "POST /dashboard/admin/pools/{pool}/nodes/{node}": Row(
        "supply", f"{POOLS}/default/nodes/{{node}}", {"state": "draining"}, 404
    ),
    "POST /dashboard/admin/pools/{pool}/nodes/{node}/remove": Row(
        "supply", f"{POOLS}/default/nodes/{{node}}/remove", {}, 404
    ),
    "GET /dashboard/admin/members": Row("admin", "/dashboard/admin/members"),
    "GET /dashboard/admin/members/stream": Row("admin", "/dashboard/admin/members/stream"),
    "POST /dashboard/admin/members": Row("admin", "/dashboard/admin/members", {"username": "u{number}"}),
    "GET /dashboard/admin/keys": Row("read", KEYS),
    "GET /dashboard/admin/keys/stream": Row("read", f"{KEYS}/stream"),
    "POST /dashboard/admin/keys": Row("trade supply solve", KEYS, {"username": "bob", "scopes": "solve"}, 403),
    "POST /dashboard/admin/keys/{key_id}/revoke": Row("trade supply solve", f"{KEYS}/{{key_id}}/revoke", {}, 404),
    "GET /dashboard/admin/webhooks": Row("read", HOOKS),
    "GET /dashboard/admin/webhooks/stream": Row("read", f"{HOOKS}/stream"),
    "POST /dashboard/admin/webhooks": Row("trade", HOOKS, {"username": "bob", "url": "https://example.org/"}, 403),
    "GET /dashboard/admin/webhooks/{webhook_id}": Row("read", f"{HOOKS}/{{hook}}", ann=404),
    "GET /dashboard/admin/webhooks/{webhook_id}/stream": Row("read", f"{HOOKS}/{{hook}}/stream", ann=404),
    "POST /dashboard/admin/webhooks/{webhook_id}": Row("trade", f"{HOOKS}/{{hook}}", {"state": "enabled"}, 404),
    "POST /dashboard/admin/webhooks/{webhook_id}/delete": Row("trade", f"{HOOKS}/{{hook}}/delete", {}, 404),
    "POST /dashboard/admin/webhooks/{webhook_id}/rotate": Row("trade", f"{HOOKS}/{{hook}}/rotate", {}, 404),
    "POST /dashboard/admin/webhooks/{webhook_id}/test": Row("trade", f"{HOOKS}/{{hook}}/test", {}, 404),
    "POST /dashboard/admin/webhooks/{webhook_id}/replay": Row(
        "trade", f"{HOOKS}/{{hook}}/replay", {"lane": "hours", "from_seq": "1", "to_seq": "2"}, 404
    ),
}
TABLE |= {name: Row(*row) for name, row in auction_pages.TABLE.items()}
ASKING = [name for name, row in TABLE.items() if row.scopes]
# A stream has no end, which a client in this process would wait for; the tests of `live` follow some.
ANSWERED = [name for name in ASKING if not name.endswith("/stream")]


def routes() -> dict[str, Any]:
    """Return every handler of the dashboard, by method and path."""
    app = create_app(Settings(database_url="sqlite:///never-opened.db"))
    return {
        f"{method} {re.sub(r':[a-z]+}', '}', route.path_format)}": handler
        for route in app.routes
        if isinstance(route, HTTPRoute) and (route.path == "/" or route.path.startswith("/dashboard/"))
        for handler in route.route_handlers
        for method in handler.http_methods
        if method != "OPTIONS"
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A server for all tests here."""
    with keyed(f"sqlite:///{tmp_path_factory.mktemp('pages') / 'pages.db'}") as opened:
        yield opened


@pytest.fixture(scope="module")
def browsers(server: Keyed) -> dict[str, Browser]:
    """Somebody signed in by each key."""
    return {
        name: signed_in(server, name) for name in ("admin", "ann", "bob", *(f"ann {scope}" for scope in ALL_BUT_ADMIN))
    }


def signed_in(server: Keyed, who: str) -> Browser:
    browser = Browser(server.client)
    browser.sign_in(server.tokens[who])
    return browser


_numbers = itertools.count(1)


@pytest.fixture
def things(server: Keyed) -> dict[str, Any]:
    return things_of_bob(server)


def things_of_bob(server: Keyed) -> dict[str, Any]:
    """Make what bob has, and names that nobody has yet."""
    number = next(_numbers)
    api = "/api/v1/hours/markets/default"
    bid = server.done("bob", "POST", f"{api}/bids", json={"volume": 5, "price": 0})
    supply = server.done("bob", "POST", f"{api}/supplies", json={"volume": 5, "min_price": 9})
    server.done("bob", "POST", "/api/v1/ip/allocate", json={"vm_id": f"bobs-{number}"})
    entry = server.done("admin", "GET", "/api/v1/events?lane=addresses&kind=address_assigned&limit=1000")["items"][-1]
    key = server.done("bob", "POST", "/api/v1/keys", json={"scopes": ["solve"]})
    for hook in server.done("bob", "GET", "/api/v1/webhooks")["items"]:  # a member may have twenty
        server.done("bob", "DELETE", f"/api/v1/webhooks/{hook['webhook_id']}")
    made = server.done("bob", "POST", "/api/v1/webhooks", json={"url": "https://example.org/"})
    server.done("admin", "POST", "/api/v1/wallets/bob/deposits", json={"amount": "5.00"})
    leased = spot_market.things(server, number)
    ids = leased | {
        "bid_id": bid["bid_id"],
        "supply_id": supply["supply_id"],
        "key_id": key["key_id"],
        "seq": entry["seq"],
    }
    return (
        ids
        | auction_pages.things_of_bob(server)
        | {
            "hook": made["webhook"]["webhook_id"],
            "vm_id": f"bobs-{number}",
            "number": number,
            "cidr": f"fd02:{number:x}::/64",
        }
    )


SOME = {
    "spot_bid_id": 1,
    "lease_id": 1,
    "node": "n1",
    "bid_id": 1,
    "supply_id": 1,
    "key_id": "f" * 16,
    "hook": 1,
    "file": "x",
} | auction_pages.SOME


def send(browser: Browser, name: str, things: dict[str, Any]) -> Any:
    """Send the request of a row, as a page of this browser would."""
    row, method = TABLE[name], name.partition(" ")[0]
    path = row.path.format_map(things)
    if method == "GET":
        return browser.get(path)
    filled = {field: value.format_map(things) for field, value in (row.form or {}).items()}
    once = f"o{next(_numbers)}"
    page = "/dashboard/hours" if browser.get("/dashboard/hours").status_code == 200 else "/dashboard/sign-in"
    return browser.post(path, data={**filled, "token": browser.token(page), "once": once})


def heads(server: Keyed) -> list[int]:
    """Return where each lane's log ends."""
    return [server.done("admin", "GET", f"/api/v1/events?lane={lane}&limit=1")["head"] for lane in LANES]


LANES = ("hours", "addresses", "money")


def test_every_page_is_in_the_table_and_asks_for_what_the_table_says() -> None:
    asked = {name: set(callers.scopes_of(handler)) for name, handler in routes().items()}
    assert asked == {name: set((row.scopes or "").split()) for name, row in TABLE.items()}


@pytest.mark.parametrize("name", ASKING)
def test_nobody_is_shown_or_does_anything_without_signing_in(server: Keyed, name: str) -> None:
    browser, method = Browser(server.client), name.partition(" ")[0]
    answer = browser.request(method, TABLE[name].path.format_map(SOME), follow_redirects=False)
    assert (answer.status_code, answer.headers["location"], answer.text) == (303, "/dashboard/sign-in", "")


@pytest.mark.parametrize("name", ASKING)
def test_a_session_without_the_scope_is_refused(browsers: dict[str, Browser], name: str) -> None:
    method, scopes = name.partition(" ")[0], TABLE[name].scopes or ""
    for scope in ALL_BUT_ADMIN:
        if scope not in scopes.split():
            answer = browsers[f"ann {scope}"].request(method, TABLE[name].path.format_map(SOME))
            assert answer.status_code == 403, (scope, answer.text)
            assert f"the scope {scopes.replace(' ', ' or ')}" in answer.text


@pytest.mark.parametrize("name", ANSWERED)
def test_a_member_touches_nothing_of_another(
    server: Keyed, browsers: dict[str, Browser], things: dict[str, Any], name: str
) -> None:
    row, before = TABLE[name], heads(server)
    answer = send(browsers["ann"], name, things)
    if row.scopes == "admin":
        assert answer.status_code == 403
    else:
        assert answer.status_code == row.ann, answer.text
    if row.form is not None:
        assert heads(server) == before


@pytest.mark.parametrize("name", [name for name in ANSWERED if TABLE[name].scopes != "admin"])
def test_a_member_may_do_all_this_with_its_own(browsers: dict[str, Browser], things: dict[str, Any], name: str) -> None:
    assert send(browsers["bob"], name, things).status_code == 200


@pytest.mark.parametrize("name", ANSWERED)
def test_an_admin_may_do_everything_for_anyone(browsers: dict[str, Browser], things: dict[str, Any], name: str) -> None:
    answer = send(browsers["admin"], name, things)
    assert answer.status_code == 200, answer.text


def test_every_page_works_on_postgres_too(postgres_url: str) -> None:
    with keyed(postgres_url) as server:
        admin = signed_in(server, "admin")
        things = things_of_bob(server)
        for name in sorted(ANSWERED, key=lambda name: not name.startswith("GET")):  # reads leave things as they are
            things = things if name.startswith("GET") else things_of_bob(server)
            answer = send(admin, name, things)
            assert answer.status_code == 200, (name, answer.text)


def test_a_member_sees_no_name_of_another(browsers: dict[str, Browser], things: dict[str, Any]) -> None:
    del things  # bob has something of everything now
    for name in ANSWERED:
        path = TABLE[name].path
        if name.startswith("GET") and "{" not in path and TABLE[name].scopes == "read" and "wallet" not in path:
            assert "bob" not in browsers["ann"].html(path), path


def test_a_page_offers_nothing_that_would_be_refused(browsers: dict[str, Browser]) -> None:
    reader = browsers["ann read"]
    pages = ("hours", "auctions", "wallet", "addresses/default", "admin/keys", "admin/webhooks")
    for path in (*(f"/dashboard/{page}" for page in pages), SPOT, POOLS):
        actions = re.findall(r'<form method="post" action="([^"]+)"', reader.html(path))
        assert set(actions) == {"/dashboard/sign-out"}, path
