"""Signing in: by a key, into a session that is good for what the key is good for, and ends with it."""

from __future__ import annotations

import re
import time

import pytest

from tests.dashboard.browsing import Browser, Forms, said
from tests.http.keyed import Keyed


@pytest.fixture
def browser(server: Keyed) -> Browser:
    return Browser(server.client)


def test_who_is_not_signed_in_is_asked_to(browser: Browser) -> None:
    for path in ("/", "/dashboard/hours", "/dashboard/wallet", "/dashboard/admin/keys", "/dashboard/addresses/default"):
        answer = browser.get(path)
        assert answer.url.path == "/dashboard/sign-in", path
        assert 'name="key"' in answer.text


def test_a_page_that_asks_by_itself_is_sent_to_the_sign_in(browser: Browser) -> None:
    answer = browser.get("/dashboard/hours/default/preview?volume=1&price=1", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"], answer.text) == (401, "/dashboard/sign-in", "")


def test_a_key_signs_in_and_is_in_no_cookie_and_on_no_page(browser: Browser, server: Keyed) -> None:
    answer = browser.sign_in(server.tokens["ann"])
    assert answer.url.path == "/dashboard/hours"
    assert "Bids of <bdi>ann</bdi>" in answer.text
    cookie = browser.cookies["marketplace"]
    key_id, secret = server.tokens["ann"].split("_")[1:]
    pages = "".join(browser.html(f"/dashboard/{name}") for name in ("hours", "wallet", "addresses", "admin"))
    for told in (cookie, answer.text, pages):
        assert secret not in told
        assert key_id not in told


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(browser: Browser, server: Keyed) -> None:
    fields = Forms(browser.html("/dashboard/sign-in")).of("/dashboard/sign-in") | {"key": server.tokens["ann"]}
    answer = browser.post("/dashboard/sign-in", data=fields, follow_redirects=False)
    assert answer.status_code == 303
    (cookie,) = answer.headers.get_list("set-cookie")
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert "secure" not in parts
    seconds = next(int(part.partition("=")[2]) for part in parts if part.startswith("max-age="))
    assert 12 * 3600 - 60 < seconds <= 12 * 3600


def test_behind_tls_the_cookie_stays_with_this_host_and_off_the_open_wire(server: Keyed) -> None:
    answer = Browser(server.client, origin="https://127.0.0.1:8080").get("/dashboard/sign-in")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-marketplace=")
    assert "secure" in cookie.lower()


def test_signing_in_changes_the_id_that_the_browser_had(browser: Browser, server: Keyed) -> None:
    browser.html("/dashboard/sign-in")
    before = browser.cookies["marketplace"]
    browser.sign_in(server.tokens["ann"])
    assert browser.cookies["marketplace"] != before
    other = Browser(server.client)
    other.cookies.set("marketplace", before)
    assert other.get("/dashboard/hours").url.path == "/dashboard/sign-in"


@pytest.mark.parametrize("who", ["malformed", "unknown", "revoked", "expired"])
def test_a_key_of_no_use_signs_nobody_in(browser: Browser, server: Keyed, who: str) -> None:
    answer = browser.sign_in(server.tokens[who])
    assert answer.status_code == 401
    assert said(answer)
    assert browser.get("/dashboard/hours").url.path == "/dashboard/sign-in"


def test_signing_out_ends_the_session_and_not_only_the_cookie(browser: Browser, server: Keyed) -> None:
    browser.sign_in(server.tokens["ann"])
    cookie = browser.cookies["marketplace"]
    assert browser.send("/dashboard/hours", "/dashboard/sign-out").url.path == "/dashboard/sign-in"
    thief = Browser(server.client)
    thief.cookies.set("marketplace", cookie)
    assert thief.get("/dashboard/hours").url.path == "/dashboard/sign-in"


def test_a_revoked_key_ends_its_sessions(browser: Browser, server: Keyed) -> None:
    made = server.done("ann", "POST", "/api/v1/keys", json={"scopes": ["read"]})
    browser.sign_in(made["key"])
    browser.html("/dashboard/hours")
    server.done("ann", "DELETE", f"/api/v1/keys/{made['key_id']}")
    deadline = time.monotonic() + 1
    while browser.get("/dashboard/hours").url.path != "/dashboard/sign-in":
        assert time.monotonic() < deadline, "a page was shown more than a second after its key was revoked"


def test_who_signed_in_by_a_key_that_may_not_look_is_told_how_to_go_on(browser: Browser, server: Keyed) -> None:
    answer = browser.sign_in(server.tokens["ann trade"])
    assert (answer.status_code, answer.url.path) == (403, "/dashboard/hours")
    assert "Sign in by another key" in answer.text
    assert browser.sign_in(server.tokens["ann"]).status_code == 200


def test_a_session_is_no_key_of_the_api(browser: Browser, server: Keyed) -> None:
    browser.sign_in(server.tokens["admin"])
    assert browser.get("/api/v1/me").status_code == 401
    session = browser.cookies["marketplace"]
    assert browser.get("/api/v1/me", headers={"Authorization": f"Bearer {session}"}).status_code == 401


def test_a_key_in_a_header_is_no_session(browser: Browser, server: Keyed) -> None:
    headers = {"Authorization": f"Bearer {server.tokens['admin']}"}
    assert browser.get("/dashboard/hours", headers=headers).url.path == "/dashboard/sign-in"


def test_of_what_a_visitor_typed_as_a_key_nothing_comes_back(browser: Browser) -> None:
    answer = browser.sign_in("mk_0123456789abcdef_<script>alert(1)</script>")
    assert "alert(1)" not in answer.text
    assert re.search(r'name="key" type="password"[^>]*value', answer.text) is None
