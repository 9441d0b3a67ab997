"""Whatever comes from somebody is shown as text."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from typing import Any

import markupsafe
import pytest

from marketplace.dashboard import texts
from tests.dashboard.browsing import Browser, Forms
from tests.http.conftest import Client

SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
HOSTILE = [
    SCRIPT,
    "' onmouseover='alert(1)",
    "{{ 7777 * 7777 }}",
    "ann\u202egpj.exe",
    "\u2066bob\u2069",
    "zero\u200bwidth",
    "Å⃝ 🦊 漢字 مرحبا",
    "</bdi></td></table><h1>",
    "javascript:alert(1)",
]
DANGEROUS = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069]|<script>alert|<img src=x|<h1>$|' onmouseover=")


@pytest.mark.parametrize("username", HOSTILE)
def test_a_hostile_username_is_text_on_every_page(market: Client, username: str) -> None:
    browser = Browser(market)
    market.post("/buy", json={"volume": 5, "price": 3, "username": username})
    market.post("/api/v1/hours/markets/default/supplies", json={"volume": 2, "provider": username})
    market.post("/api/v1/ip/allocate", json={"vm_id": "vm", "owner": username})
    market.post("/api/v1/members", json={"username": username})
    container = {"image": "app:1", "cpu_millis": 100, "memory_mib": 64, "max_price_per_hour": "3"}
    words = {"command": [username], "environment": {"A": username}}
    bid = market.post("/api/v1/spot/bids", json=container | words | {"username": username}).json()["bid_id"]
    node = {"node": "n1", "backend": "simulated", "cpu_millis": 100, "memory_mib": 64, "provider": username}
    assert market.post("/api/v1/spot/pools/default/nodes", json=node).status_code == 201
    paid = {"username": "ann", "to": username, "amount": "1.00", "reason": username[:64]}
    assert market.post("/api/v1/transfers", json=paid).status_code == 201
    assert browser.send("/dashboard/hours", "/dashboard/acting", username=username).status_code == 200
    pages = ["hours", "hours/default/bids/1", "addresses", "addresses/default", "wallet", "admin/members", "admin/keys"]
    pages += ["spot", f"spot/default/bids/{bid}", "admin/pools", f"addresses?q={SCRIPT}", "admin/webhooks"]
    for path in pages:
        page = browser.html(f"/dashboard/{path}")
        shown = re.sub(r' value="[^"]*"', "", page)  # a field holds the exact text, escaped
        assert not DANGEROUS.search(shown), path
        assert "60481729" not in shown


def test_a_field_holds_the_exact_name(market: Client) -> None:
    browser = Browser(market)
    for username in HOSTILE:
        browser.send("/dashboard/hours", "/dashboard/acting", username=username)
        page = browser.html("/dashboard/hours")
        assert Forms(page).of("/dashboard/hours/default/bids")["username"] == username


def test_what_cannot_be_seen_is_shown_by_its_number() -> None:
    assert texts.shown("ann\u202egpj.exe") == "ann[U+202E]gpj.exe"
    assert texts.shown("a\u200bb\x00c\u2028d") == "a[U+200B]b[U+0000]c[U+2028]d"
    assert texts.shown("Ann, 漢字 مرحبا é") == "Ann, 漢字 مرحبا é"


def test_a_megabyte_is_not_shown_in_a_cell() -> None:
    assert len(texts.name("x" * 1_000_000)) < 300
    assert texts.name(SCRIPT) == f"<bdi>{markupsafe.escape(SCRIPT)}</bdi>"


def test_numbers_for_a_chart_stay_inside_their_attribute() -> None:
    points: dict[str, Sequence[Any]] = {"price": [1, 2], "name": ['"><script>']}
    written = texts.points(points)
    assert '"' not in written
    assert "<" not in written
    assert json.loads(html.unescape(str(written))) == points


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (texts.cpu(1_000), "1"), (texts.cpu(250), "0.25"), (texts.cpu(1), "0.001"), (texts.cpu(10**9), "1,000,000"),
        (texts.cpu(0), "0"), (texts.memory(512), "512 MiB"), (texts.memory(2_048), "2 GiB"),
        (texts.exact_credits(1_234_567_890_123), "1,234,567.890123"), (texts.exact_credits(7), "0.000007"),
        (texts.hour(0), "00"),
    ],
)  # fmt: skip
def test_quantities_are_written_as_people_do(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize(("part", "whole", "width"), [(1, 4, "25.0%"), (5, 4, "100.0%"), (0, 4, "0.0%"), (1, 0, "0%")])
def test_a_bar_is_as_long_as_its_part_of_the_whole(part: int, whole: int, width: str) -> None:
    assert texts.share(part, whole) == width
