"""A browser without a screen or scripts: it keeps cookies, and sends forms as they stand on a page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.http.conftest import ORIGIN, Client

Fields = dict[str, str]


class Forms(HTMLParser):
    """The forms of a page: by where they are sent to, the fields as a browser would send them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, Fields]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "form":
            self.found.append((given.get("action") or "", {}))
        elif tag == "input" and self.found and (given.get("type") != "checkbox" or "checked" in given):
            self.found[-1][1][given.get("name") or ""] = given.get("value") or ""

    def of(self, action: str) -> Fields:
        """Return the fields of the first form that is sent to an address."""
        return next(fields for address, fields in self.found if address == action)


class Browser:
    """One visitor of an application that a client serves. Redirects are followed, since browsers do."""

    def __init__(self, client: Client, *, origin: str = ORIGIN) -> None:
        self.cookies = httpx.Cookies()
        self._client = client
        self._origin = origin

    def request(self, method: str, path: str, **more: Any) -> Any:
        """Send a request with the cookies of this visitor, and keep those that come."""
        self._client.cookies = self.cookies
        try:
            return self._client.request(method, f"{self._origin}{path}", **more)
        finally:
            self.cookies = httpx.Cookies(self._client.cookies)
            self._client.cookies = httpx.Cookies()

    def get(self, path: str, **more: Any) -> Any:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> Any:
        return self.request("POST", path, **more)

    def html(self, path: str) -> str:
        """Return a page that has to be there."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def send(self, page: str, action: str, **fields: Any) -> Any:
        """Fill in the form of a page that goes to `action`, and send it."""
        filled = Forms(self.html(page)).of(action) | fields
        return self.post(action, data=filled)

    def token(self, page: str = "/dashboard/hours") -> str:
        """Return what this browser's forms carry."""
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.html(page))
        assert found
        return found[1]

    def sign_in(self, key: str) -> Any:
        return self.send("/dashboard/sign-in", "/dashboard/sign-in", key=key)


def said(answer: Any) -> str:
    """Return what an answer says of a form."""
    found = re.search(r'<div class="notice (?:good|bad)"[^>]*>\s*<p>(.*?)</p>', answer.text, re.DOTALL)
    assert found, answer.text
    return found[1]
