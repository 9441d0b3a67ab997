"""Forms: only those of our own pages, within the API's bounds, and each once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dashboard.browsing import Browser, Forms, said
from tests.http.conftest import Client

HOURS = "/dashboard/hours/default"
BIDS = f"{HOURS}/bids"
API = "/api/v1/hours/markets/default"
BID = {"username": "ann", "volume": "100", "price": "3"}


def bids(market: Client) -> list[Any]:
    found: list[Any] = market.get(f"{API}/bids").json()["items"]
    return found


def test_a_bid_is_placed_amended_and_cancelled_without_a_script(browser: Browser, market: Client) -> None:
    market.post(f"{API}/supplies", json={"volume": 40, "min_price": 2})
    answer = browser.send(HOURS, BIDS, **BID)
    assert said(answer) == "Bid 2 has 40 of 100 hours at up to 3; 60 wait."
    assert f'href="{HOURS}"' in answer.text, "the page leads back"
    assert said(browser.send(f"{BIDS}/2", f"{BIDS}/2", volume="50", price="4")) == (
        "Bid 2 has 40 of 50 hours at up to 4; 10 wait."
    )
    assert (
        said(browser.send(f"{BIDS}/2", f"{BIDS}/2/cancel")) == "Bid 2 is cancelled: it got 40 of 50 hours at up to 4."
    )
    assert "Change it" not in browser.html(f"{BIDS}/2")


def test_what_a_bid_would_get_is_told_before_and_is_what_it_gets(browser: Browser, market: Client) -> None:
    market.post(f"{API}/supplies", json={"volume": 40, "min_price": 2})
    market.post(f"{API}/bids", json={"username": "bob", "volume": 7, "price": 1})
    page = browser.html(f"{HOURS}/preview?volume=100&price=3")
    assert "<dd>40 hours for 120 credits</dd>" in page
    assert "<dd>60 hours behind 0</dd>" in page
    assert "from 2 per hour" in page
    assert "has 40 of 100 hours" in said(browser.send(HOURS, BIDS, **BID))


@pytest.mark.parametrize(
    "query", ["", "?volume=&price=", "?volume=x&price=1", "?volume=0&price=1", "?volume=9e9&price=1"]
)
def test_a_form_that_is_not_filled_in_yet_is_no_mistake(browser: Browser, query: str) -> None:
    assert "Say how many hours" in browser.html(f"{HOURS}/preview{query}")


def test_a_form_sent_twice_does_what_it_says_once(browser: Browser, market: Client) -> None:
    fields = Forms(browser.html(HOURS)).of(BIDS) | BID
    first, second = browser.post(BIDS, data=fields), browser.post(BIDS, data=fields)
    assert said(first) == said(second)
    assert len(bids(market)) == 1
    other = browser.post(BIDS, data=fields | {"volume": "101"})
    assert other.status_code == 422
    assert len(bids(market)) == 1


def test_a_refusal_is_said_and_nothing_happens(browser: Browser, market: Client) -> None:
    answer = browser.send(HOURS, BIDS, **BID, time_in_force="fok")
    assert answer.status_code == 409
    assert "Only 0 of 100 hours" in said(answer)
    assert bids(market) == []


BAD = {
    "volume": ["0", "-1", "1.5", "ten", "1000000001", ""],
    "price": ["-1", "3,0", "٣", "1000000001"],
    "username": [" ann", "a\nb", "x" * 129],
    "time_in_force": ["later"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_bad_input_names_the_field(browser: Browser, market: Client, field: str, value: str) -> None:
    answer = browser.send(HOURS, BIDS, **BID | {field: value})
    assert answer.status_code == 400
    assert field in said(answer)
    assert bids(market) == []


# ── of our own pages ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("token", [None, "", "0" * 64, "x"])
def test_a_form_without_its_token_does_nothing(browser: Browser, market: Client, token: str | None) -> None:
    fields = Forms(browser.html(HOURS)).of(BIDS) | BID
    del fields["token"]
    answer = browser.post(BIDS, data=fields if token is None else fields | {"token": token})
    assert answer.status_code == 403
    assert "belongs to another visit" in answer.text
    assert bids(market) == []


def test_the_token_of_another_visitor_opens_nothing(browser: Browser, market: Client) -> None:
    other = Browser(market)
    answer = browser.send(HOURS, BIDS, **BID, token=other.token())
    assert answer.status_code == 403
    assert bids(market) == []


def test_a_form_without_the_cookie_does_nothing(browser: Browser, market: Client) -> None:
    fields = Forms(browser.html(HOURS)).of(BIDS) | BID
    answer = Browser(market).post(BIDS, data=fields)
    assert answer.status_code == 403
    assert bids(market) == []


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_a_foreign_page_sends_no_form_even_with_a_token(
    browser: Browser, market: Client, headers: dict[str, str]
) -> None:
    fields = Forms(browser.html(HOURS)).of(BIDS) | BID
    assert browser.post(BIDS, data=fields, headers=headers).status_code == 403
    assert bids(market) == []


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"volume": 1, "price": 1, "username": "ann"}', "application/json"),
        (b"volume=1", "text/plain"),
        (b"volume=1", "multipart/form-data; boundary=x"),
    ],
)
def test_a_page_takes_forms_and_nothing_else(browser: Browser, body: bytes, media_type: str) -> None:
    assert browser.post(BIDS, content=body, headers={"Content-Type": media_type}).status_code == 415


@pytest.mark.parametrize("body", [b"&" * 100_000, b"a=1&" * 100, b"volume=%ff%fe", b"\xff\xfe", b"a" * 2_000_000])
def test_a_body_that_is_no_form_of_ours_is_refused(browser: Browser, body: bytes) -> None:
    browser.html(HOURS)
    answer = browser.post(BIDS, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code in (400, 403, 413)


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example/dashboard/", "/api/v1/me", "javascript:alert(1)", ""]
)
def test_nobody_is_led_to_another_site(browser: Browser, to: str) -> None:
    fields = Forms(browser.html(HOURS)).of("/dashboard/acting") | {"username": "ann", "to": to}
    answer = browser.post("/dashboard/acting", data=fields, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/hours")


def test_whoever_may_act_for_anyone_chooses_for_whom(browser: Browser) -> None:
    browser.send(HOURS, BIDS, **BID)
    assert browser.send(HOURS, "/dashboard/acting", username="ann").url.path == HOURS
    assert "Bids of <bdi>ann</bdi>" in browser.html(HOURS)
    assert f'action="{BIDS}/1/cancel"' in browser.html(HOURS)
    browser.send(HOURS, "/dashboard/acting", username="")
    assert "Say as whom you act" in browser.html(HOURS)


def test_what_there_is_not_is_a_page_that_leads_on(browser: Browser) -> None:
    for path in (
        f"{BIDS}/77",
        "/dashboard/hours/nowhere",
        "/dashboard/addresses/nowhere",
        "/dashboard/admin/webhooks/7",
    ):
        answer = browser.get(path)
        assert answer.status_code == 404, path
        assert "There is no" in answer.text or "has no bid" in answer.text
        assert 'href="/dashboard/wallet"' in answer.text, "the navigation is there"


@pytest.mark.parametrize(
    "path", ["?interval=2m", "/default?interval=x", "/UPPER", "/default/bids/x", "/default/bids/0"]
)
def test_an_address_that_cannot_be_is_refused_on_a_page(browser: Browser, path: str) -> None:
    answer = browser.get(f"/dashboard/hours{path}")
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("text/html")
    assert "Traceback" not in answer.text
