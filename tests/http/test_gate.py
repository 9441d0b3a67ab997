"""No foreign page and no foreign name reaches us: on every route there is, and on those that there are not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from marketplace.app import create_app
from marketplace.foundation.settings import Settings
from marketplace.http.gate import BATCH_SUFFIXES, MAX_BATCH_BODY, MAX_BODY, Gate
from tests.http.conftest import ORIGIN, Client, Serve

VALUES = {
    "username": "u1",
    "market": "default",
    "bid_id": "1",
    "supply_id": "1",
    "webhook_id": "1",
    "vm_id": "vm1",
    "ip": "172.16.0.2",
    "network": "default",
    "name": "docs.js",
    "key_id": "0123456789abcdef",
    "pool": "default",
    "node": "node-1",
    "lease_id": "1",
}


def routes() -> list[tuple[str, str]]:
    """Return every method and path of the application, and a path that it has not."""
    app = create_app(Settings(database_url="sqlite:///never-opened.db"))
    paths = {route.path_format: route.methods for route in app.routes if isinstance(route, HTTPRoute)}
    filled = [(method, path.format_map(VALUES)) for path, methods in paths.items() for method in methods]
    return sorted([*filled, ("GET", "/nowhere"), ("POST", "/nowhere")])


ROUTES = routes()
CHANGING = [(method, path) for method, path in ROUTES if method not in ("GET", "OPTIONS")]


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{code}"
    assert problem["title"]
    assert problem["detail"]
    return problem


def test_the_table_has_every_route() -> None:
    assert ("POST", "/buy") in ROUTES
    assert ("DELETE", "/api/v1/hours/markets/default/bids/1") in ROUTES
    assert ("GET", "/metrics") in ROUTES
    assert ("GET", "/docs/assets/docs.js") in ROUTES
    assert len(ROUTES) > 50


# ── the host ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_host_reaches_no_route(client: Client, method: str, path: str) -> None:
    assert_problem(client.request(method, path, headers={"Host": "rebound.example"}), 421, "wrong_host")


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:1234", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080"],
)
def test_loopback_names_are_ours_on_any_port(client: Client, host: str) -> None:
    assert client.get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.",
        "localhost.example",
        "xlocalhost",
        "localhost:",
        "localhost:80x",
        "localhost:80:80",
        "127.0.0.1.example",
        "127.0.0.2",
        "::1",
        "[::1",
        "[::2]",
        "0.0.0.0:8080",
        "user@localhost",
        "localhost/",
        "localhost,rebound.example",
    ],
)
def test_what_only_looks_like_a_name_of_ours_is_foreign(client: Client, host: str) -> None:
    assert_problem(client.get("/livez", headers={"Host": host}), 421, "wrong_host")


def test_the_operator_names_further_hosts(serve: Serve) -> None:
    with serve(allowed_hosts=("market.example", "other.example:8443")) as client:
        for host, status in {
            "market.example": 200,
            "Market.Example:9000": 200,
            "other.example:8443": 200,
            "other.example": 421,
            "sub.market.example": 421,
        }.items():
            assert client.get("/livez", headers={"Host": host}).status_code == status, host


def test_the_address_that_is_listened_on_is_a_name_of_ours(serve: Serve) -> None:
    with serve(host="10.1.2.3", trusted_network=True) as client:
        assert client.get("/livez", headers={"Host": "10.1.2.3:8080"}).status_code == 200
        assert client.get("/livez", headers={"Host": "10.1.2.4:8080"}).status_code == 421


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_makes_no_name_ours(serve: Serve, host: str) -> None:
    with serve(host=host, trusted_network=True) as client:
        assert client.get("/livez", headers={"Host": "0.0.0.0:8080"}).status_code == 421
        assert client.get("/livez", headers={"Host": "localhost:8080"}).status_code == 200


@pytest.mark.parametrize(
    "name", [b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-length", b"authorization"]
)
async def test_a_header_that_decides_is_given_once(name: bytes) -> None:
    started: list[Any] = []

    async def send(message: Any) -> None:
        started.append(message)

    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"accept", b"a"), (b"accept", b"b")]
    scope = {"type": "http", "method": "POST", "path": "/buy", "headers": [*headers, (name, b"1"), (name, b"2")]}
    await Gate(None, Settings())(scope, None, send)  # type: ignore[arg-type]
    assert started[0]["status"] == 400


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "http://localhost:8080"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "Same-Origin"},
    {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_a_foreign_page_changes_nothing(client: Client, method: str, path: str, headers: dict[str, str]) -> None:
    assert_problem(client.request(method, path, headers=headers, json={}), 403, "cross_site")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ORIGIN},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
def test_our_own_page_and_no_page_may_change_things(client: Client, headers: dict[str, str]) -> None:
    body = {"username": "u", "volume": 0, "price": 1}
    assert client.post("/buy", json=body, headers=headers).status_code == 200


def test_a_foreign_page_may_ask_but_not_read(client: Client) -> None:
    response = client.get("/livez", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 200
    assert not [name for name in response.headers if name.startswith("access-control-")]


# ── pages that the operator lets in ──────────────────────────────────────────────────────────────────────────────────

FRIEND = "https://friend.example"


def test_a_page_of_cors_origins_may_change_and_read(serve: Serve) -> None:
    with serve(cors_origins=(FRIEND,)) as client:
        headers = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}
        response = client.post("/buy", json={"username": "u", "volume": 0, "price": 1}, headers=headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == FRIEND
        assert "Idempotent-Replayed" in response.headers["access-control-expose-headers"]
        assert response.headers["vary"] == "Origin"
        assert client.post("/buy", headers=headers, content=b"{").headers["access-control-allow-origin"] == FRIEND


def test_other_pages_stay_outside(serve: Serve) -> None:
    with serve(cors_origins=(FRIEND,)) as client:
        for origin in ("https://evil.example", f"{FRIEND}.evil.example", "http://friend.example", f"{FRIEND}:8443"):
            assert_problem(client.post("/buy", json={}, headers={"Origin": origin}), 403, "cross_site")
            response = client.get("/livez", headers={"Origin": origin})
            assert response.headers["vary"] == "Origin"
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("path", ["/buy", "/api/v1/hours/markets/default/bids/1", "/nowhere"])
def test_a_preflight_is_answered_for_cors_origins_only(serve: Serve, path: str) -> None:
    with serve(cors_origins=(FRIEND,)) as client:
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        response = client.options(path, headers={"Origin": FRIEND} | asking)
        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] == FRIEND
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "Idempotency-Key" in response.headers["access-control-allow-headers"]
        assert_problem(client.options(path, headers={"Origin": "https://evil.example"} | asking), 403, "cross_site")


# ── the body ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_that_is_not_json_reaches_no_route(client: Client, method: str, path: str, media_type: str) -> None:
    response = client.request(method, path, content=b'{"volume":1}', headers={"Content-Type": media_type})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("media_type", "is_json"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ('Application/JSON;charset="UTF-8"', True),
        ("application/json;", True),
        ("application/json; charset=latin-1", False),
        ("application/jsonp", False),
        ("text/json", False),
        ("application/problem+json", False),
        ("text/plain; application/json", False),
    ],
)
def test_json_is_application_json_in_utf8(client: Client, media_type: str, is_json: bool) -> None:
    response = client.post("/sell", content=b'{"volume":0}', headers={"Content-Type": media_type})
    assert response.status_code == (200 if is_json else 415)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_that_is_too_large_reaches_no_route(client: Client, method: str, path: str) -> None:
    limit = MAX_BATCH_BODY if path.endswith(BATCH_SUFFIXES) else MAX_BODY
    headers = {"Content-Type": "application/json", "Content-Length": str(limit + 1)}
    problem = assert_problem(client.request(method, path, content=b"{}", headers=headers), 413, "body_too_large")
    assert f"{limit // 1024 // 1024} MiB" in problem["detail"]


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 65_536):
        yield b" " * 65_536
    yield b'{"volume":0}'


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/sell", 65_536, 200),
        ("/sell", MAX_BODY, 413),
        ("/api/v1/hours/markets/default/orders:batch", MAX_BODY, 400),
        ("/api/v1/hours/markets/default/orders:batch", MAX_BATCH_BODY, 413),
    ],
)
def test_a_body_that_does_not_say_its_length_is_counted(client: Client, path: str, size: int, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.post(path, content=chunks(size), headers=headers).status_code == status


def test_a_length_that_is_no_number_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "12x"}
    assert_problem(client.post("/sell", content=b'{"volume":0}', headers=headers), 400, "invalid")


def test_every_answer_has_a_request_id(client: Client) -> None:
    for answer in (client.get("/livez"), client.get("/nowhere"), client.get("/livez", headers={"Host": "x"})):
        assert re.fullmatch(r"[0-9a-f]{16}-[0-9a-f]+", answer.headers["x-request-id"])
    assert client.get("/livez", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("/livez", headers={"X-Request-Id": "m i n e"}).headers["x-request-id"] != "m i n e"
