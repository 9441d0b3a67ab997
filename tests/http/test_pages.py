"""Whatever a browser shows as a page says what the page may do, and that nobody may put it in a frame."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.conftest import Client
from tests.http.test_gate import ROUTES

EXPECTED = {"x-content-type-options": "nosniff"}
# Not no-referrer where there are forms: browsers would send them with the origin "null".
REFERRER = ("no-referrer", "same-origin")


def pages(client: Client) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the path and the headers of every page that the service has."""
    for method, path in ROUTES:
        if method == "GET" and not path.endswith("/stream"):  # which is no page, and has no end
            answer = client.get(path)
            if answer.headers.get("content-type", "").startswith("text/html"):
                yield path, dict(answer.headers)


def test_every_page_bounds_what_it_may_do(client: Client) -> None:
    found = dict(pages(client))
    assert {"/docs", "/dashboard/hours", "/dashboard/hours/default"} <= found.keys()
    for path, headers in found.items():
        assert headers.items() >= EXPECTED.items(), path
        assert headers["referrer-policy"] in REFERRER, path
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'", path
        assert policy["base-uri"] == "'none'", path
        assert "unsafe" not in headers["content-security-policy"], path


@pytest.mark.parametrize("name", ["docs.js", "swagger-ui.css", "swagger-ui-bundle.js"])
def test_what_a_page_loads_is_what_it_says_it_is(client: Client, name: str) -> None:
    answer = client.get(f"/docs/assets/{name}")
    assert answer.headers["x-content-type-options"] == "nosniff"
