"""The description of the API says what is true, and its page asks nobody else for anything."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from tests.http.conftest import Client, Serve

UNDOCUMENTED = ("/docs", "/docs/assets/{name}", "/api/v1/openapi.json")


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    response = client.get("/api/v1/openapi.json")
    assert response.headers["content-type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, item in document["paths"].items() for method, one in item.items()]


def test_every_route_is_described(client: Client, document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    routes = {
        (route.path_format, method.lower())
        for route in client.app.routes
        if isinstance(route, HTTPRoute) and route.path_format not in UNDOCUMENTED
        if route.path_format != "/" and not route.path_format.startswith("/dashboard/")
        for method in route.methods - {"OPTIONS"}
    }
    assert {(path, method) for path, method, _ in operations(document)} == routes


def test_every_operation_has_a_name_of_its_own_and_a_sentence(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["tags"] for _, _, operation in operations(document))


def test_every_refusal_is_a_problem_document(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        refused = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert {"421", "500"} <= refused.keys(), (path, method)
        for answer in refused.values():
            assert answer["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            }


def test_what_changes_state_says_how_it_is_guarded(document: dict[str, Any]) -> None:
    for _, method, operation in operations(document):
        if method != "get":
            assert {"403", "413", "415"} <= operation["responses"].keys()
        if "requestBody" in operation:
            assert "400" in operation["responses"]


def test_every_post_and_every_release_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        headers = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "header"]
        is_release = method == "delete" and not re.search("/(auctions|hours|keys)/", path)
        creates = method == "post" and not path.endswith("/preview")
        assert headers == (["Idempotency-Key"] if creates or is_release else []), path
        assert ("422" in operation["responses"]) is bool(headers)


def test_a_list_that_is_an_array_says_where_its_next_page_is(document: dict[str, Any]) -> None:
    answer = document["paths"]["/api/v1/ip/allocations"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Assignment"},
    }
    assert list(answer["headers"]) == ["Link"]


def test_bounds_are_described_as_they_are_checked(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["NewBid"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Buy"]
    assert schemas["Buy"]["properties"]["volume"]["maximum"] == 1_000_000_000
    parameters = {
        one["name"]: one for one in document["paths"]["/api/v1/hours/markets/{market}/bids"]["get"]["parameters"]
    }
    assert parameters["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
        "default": 100,
        "description": "how many rows at most",
    }
    assert parameters["state"]["schema"] == {"type": "string", "enum": ["open", "filled", "cancelled", "expired"]}
    assert parameters["market"]["schema"]["maxLength"] == 64
    assert parameters["after"]["schema"]["pattern"]


def test_the_allocation_is_plain_text(document: dict[str, Any]) -> None:
    assert list(document["paths"]["/allocation"]["get"]["responses"]["200"]["content"]) == ["text/plain"]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts_inline = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value for name in ("src", "href") if (value := given.get(name))]
        self.scripts_inline += tag in ("script", "style") and "src" not in given
        assert not [name for name in given if name.startswith("on") or name == "style"]


def test_the_page_loads_nothing_from_another_host(client: Client) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    links = Links()
    links.feed(response.text)
    assert links.scripts_inline == 0
    assert [link for link in links.found if not link.startswith("/docs/assets/")] == ["data:,"]
    for link in links.found:
        if link.startswith("/"):
            assert client.get(link).status_code == 200, link


def test_the_page_may_load_nothing_from_another_host(client: Client) -> None:
    policy = client.get("/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    allowed = {source for directive in policy.split("; ") for source in directive.split()[1:]}
    assert allowed == {"'none'", "'self'", "data:"}


def test_stylesheets_name_no_other_host(client: Client) -> None:
    css = client.get("/docs/assets/swagger-ui.css").text
    assert re.findall(r"url\(\s*(?![\"']?data:)[^)]{0,40}|@import[^;]*", css) == []


def test_a_browser_keeps_the_assets(client: Client) -> None:
    first = client.get("/docs/assets/docs.js")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    again = client.get("/docs/assets/docs.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_a_key_needs_is_told_where_callers_have_keys(serve: Serve, document: dict[str, Any]) -> None:
    assert "securitySchemes" not in document["components"]
    assert not any("security" in operation for _, _, operation in operations(document))
    with serve(auth="keys") as keyed:
        found = keyed.get("/api/v1/openapi.json").json()
    assert found["components"]["securitySchemes"]["key"] == {
        "type": "http",
        "scheme": "bearer",
        "description": "an API key: `mk_…`",
    }
    for path, _, operation in operations(found):
        is_open = path in ("/livez", "/readyz", "/api/v1/health") or path.endswith("/notice")
        assert ("security" in operation) is not is_open
        assert {"401", "403", "429"} <= operation["responses"].keys() or is_open
    scopes = found["paths"]
    assert scopes["/buy"]["post"]["security"] == [{"key": ["trade"]}]
    batch = scopes["/api/v1/hours/markets/{market}/orders:batch"]["post"]
    assert batch["security"] == [{"key": ["trade"]}, {"key": ["supply"]}]
