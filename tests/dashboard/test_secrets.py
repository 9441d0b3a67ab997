"""What is shown once is shown once: the secrets of keys and webhooks."""

from __future__ import annotations

import re

from tests.dashboard.browsing import Browser, Forms, said
from tests.http.keyed import Keyed

KEYS, HOOKS = "/dashboard/admin/keys", "/dashboard/admin/webhooks"


def secret_of(text: str) -> str | None:
    found = re.search(r'<code id="secret">(.+?)</code>', text)
    return found[1] if found else None


def test_a_key_is_shown_once_and_works(server: Keyed) -> None:
    browser = Browser(server.client)
    browser.sign_in(server.tokens["ann"])
    fields = Forms(browser.html(KEYS)).of(KEYS) | {"label": "bot", "scopes": "trade"}
    first, second = browser.post(KEYS, data=fields), browser.post(KEYS, data=fields)
    key = secret_of(first.text)
    assert key
    assert said(first) == said(second), "it was made once"
    assert secret_of(second.text) is None, "and is shown once"
    assert key[-64:] not in browser.html(KEYS)
    server.tokens["made"] = key
    assert server.done("made", "POST", "/buy", json={"volume": 1, "price": 0})["remaining"] == 1
    key_id = key.split("_")[1]
    assert "opens nothing any more" in said(browser.send(KEYS, f"{KEYS}/{key_id}/revoke"))
    assert "revoked" in browser.html(KEYS)


def test_a_page_makes_no_key_that_may_do_more_than_its_own(server: Keyed) -> None:
    browser = Browser(server.client)
    browser.sign_in(server.tokens["ann trade"])
    api = server.client.get  # the page itself asks for `read`, which this key has not
    assert browser.get(KEYS).status_code == 403
    assert api("/livez").status_code == 200
    both = server.done("ann", "POST", "/api/v1/keys", json={"scopes": ["read", "trade"]})
    limited = Browser(server.client)
    limited.sign_in(both["key"])
    assert 'value="supply"' not in limited.html(KEYS), "it is not even offered"
    answer = limited.send(KEYS, KEYS, scopes="supply")
    assert answer.status_code == 403
    assert "has no scope supply" in said(answer)


def test_the_secret_of_a_webhook_is_shown_once(server: Keyed) -> None:
    browser = Browser(server.client)
    browser.sign_in(server.tokens["bob"])
    fields = Forms(browser.html(HOOKS)).of(HOOKS) | {"url": "https://example.org/hook", "topics": "hours"}
    first, second = browser.post(HOOKS, data=fields), browser.post(HOOKS, data=fields)
    secret = secret_of(first.text)
    assert secret
    assert secret.startswith("whsec_")
    assert secret_of(second.text) is None
    (hook,) = server.done("bob", "GET", "/api/v1/webhooks")["items"]
    page = browser.html(f"{HOOKS}/{hook['webhook_id']}")
    assert secret not in page
    rotated = browser.send(f"{HOOKS}/{hook['webhook_id']}", f"{HOOKS}/{hook['webhook_id']}/rotate")
    assert secret_of(rotated.text) not in (None, secret)


def test_a_webhook_goes_where_the_api_would_send_one(server: Keyed) -> None:
    browser = Browser(server.client)
    browser.sign_in(server.tokens["bob"])
    for url in ("http://example.org/", "https://127.0.0.1/", "https://localhost/", "file:///etc/passwd"):
        assert browser.send(HOOKS, HOOKS, url=url).status_code == 400, url
    assert server.done("bob", "GET", "/api/v1/webhooks")["items"] == []
