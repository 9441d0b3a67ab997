"""The pages of auctions: what somebody does on them, what nobody may see there, and what they refuse."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from marketplace import auctions
from marketplace.database import money
from marketplace.http import resources
from tests.dashboard.browsing import Browser, Forms, said
from tests.dashboard.test_texts import DANGEROUS, HOSTILE
from tests.http.conftest import Client
from tests.http.keyed import Keyed

BOOK = "/dashboard/auctions/quick"
ORDERS = f"{BOOK}/orders"
API = "/api/v1/auctions"
ORDER = {"username": "ann", "description": "render a film", "input_budget": "100", "limit_output": "90"}
BID = {"solver": "s1", "max_input": "98.76", "conversion_rate": "1.2345", "valid_minutes": "60"}
SEALED = ("1.2345", "98.76", "121.91922")


@pytest.fixture
def book(market: Client) -> Client:
    """A market with a book whose ticks, windows and deadlines come when a test says so."""
    done(market, "books", book="quick", tick_seconds=0.05, bidding_window_seconds=0.05, fulfil_seconds=86_400)
    return market


def done(market: Client, path: str, **body: Any) -> Any:
    answer = market.post(f"{API}/{path}", json=body)
    assert answer.is_success, answer.text
    return answer.json()


def tick(market: Client) -> None:
    """Let a tick of the book come by, which no job sends here."""
    time.sleep(0.06)
    service = market.app.state[resources.STATE]
    with market.portal() as portal:
        portal.call(service.lanes[money.LANE].run, auctions.Tick("quick", "q"))


def acting(market: Client, username: str) -> Browser:
    browser = Browser(market)
    browser.send("/dashboard/hours", "/dashboard/acting", username=username)
    return browser


def announced(market: Client, **more: Any) -> int:
    """Put an order out that takes bids."""
    order_id: int = done(market, "orders", book="quick", **ORDER | more)["order_id"]
    tick(market)
    return order_id


def committed(market: Client, solver: str = "s1") -> int:
    """Put an order out to whose delivery a solver is committed: 121.91922 credits."""
    order_id = announced(market)
    place = f"{ORDERS}/{order_id}"
    assert acting(market, solver).send(place, f"{place}/bids", **BID | {"solver": solver}).status_code == 200
    tick(market)
    return order_id


def part(html: str, name: str) -> str:
    """Return what stands between a part's beginning and the end of its section."""
    found = re.search(rf'<div id="{name}">(.*?)</section>', html, re.DOTALL)
    assert found, name
    return found[1]


# ── what somebody does ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_order_is_placed_and_cancelled_without_a_script(book: Client) -> None:
    ann = acting(book, "ann")
    answer = ann.send(BOOK, ORDERS, **ORDER, payload='{"frames": 3}')
    found = re.fullmatch(r"Order (\d+) is placed; it is announced with the next batch.", said(answer))
    assert found
    order_id = found[1]
    assert f'href="{BOOK}"' in answer.text, "the page leads back"
    assert "pending" in part(ann.html(BOOK), "mine")
    page = ann.html(f"{ORDERS}/{order_id}")
    assert "render a film" in page
    assert "&#34;frames&#34;: 3" in page
    assert "100.00 credit" in page
    assert said(ann.send(BOOK, f"{ORDERS}/{order_id}/cancel")) == f"Order {order_id} is cancelled."
    assert "Cancel order" not in ann.html(BOOK)


def test_an_order_moves_from_phase_to_phase(book: Client) -> None:
    ann, solver = acting(book, "ann"), acting(book, "s1")
    order_id = announced(book)
    place = f"{ORDERS}/{order_id}"
    row = f">{order_id}</a>"
    assert row in part(ann.html(BOOK), "soliciting")
    assert said(solver.send(place, f"{place}/bids", **BID)).startswith("Bid ")
    tick(book)
    assert row not in part(ann.html(BOOK), "soliciting").partition('id="ended"')[0]
    assert row in part(ann.html(BOOK), "committed").partition('id="soliciting"')[0]
    assert "s1 owes 121.91922 for 98.76" in ann.html(BOOK)
    assert said(solver.send(place, f"{place}/deposits", amount="60.95961")) == (
        "60.95961 credit were deposited: 60.95961 of 121.91922 in all."
    )
    assert f'aria-label="order {order_id}: 50.0% deposited"' in ann.html(BOOK)
    assert said(solver.send(place, f"{place}/deposits")).startswith("60.95961 credit were deposited: 121.91")
    tick(book)
    page = ann.html(BOOK)
    assert row in part(page, "ended")
    assert row not in part(page, "committed").partition('id="soliciting"')[0]
    kinds = re.findall(r"<b>(\w+)</b>", part(ann.html(place), "entries"))
    assert kinds == [
        "OrderFilled", "DepositReceived", "DepositReceived", "CommitmentCreated", "BidSelected", "BidReceived",
        "OrderAdded",
    ]  # fmt: skip


def test_a_deposit_sent_twice_is_made_once(book: Client) -> None:
    solver = acting(book, "s1")
    place = f"{ORDERS}/{committed(book)}"
    fields = Forms(solver.html(place)).of(f"{place}/deposits") | {"amount": "10"}
    first, second = (solver.post(f"{place}/deposits", data=fields) for _ in range(2))
    assert said(first) == said(second) == "10.00 credit were deposited: 10.00 of 121.91922 in all."
    assert "10.00 of 121.91922" in solver.html(place)


def test_a_solver_gives_its_word_where_that_counts(book: Client) -> None:
    assert book.patch(f"{API}/books/quick", json={"escrow": "claim"}).is_success
    solver = acting(book, "s1")
    place = f"{ORDERS}/{committed(book)}"
    assert "deposit-form" not in solver.html(place)
    assert said(solver.send(place, f"{place}/claims", solver="s1")) == "It is noted as delivered."
    assert "said to be delivered" in solver.html(BOOK)


def test_an_admin_opens_a_book(book: Client) -> None:
    browser = Browser(book)
    answer = browser.send("/dashboard/auctions", "/dashboard/auctions", book="slow", tick_seconds="60", bond="5")
    assert said(answer) == "The book slow is open."
    assert "each 60 s" in browser.html("/dashboard/auctions/slow")
    assert "Bond: 5.00" in browser.html("/dashboard/auctions/slow")


# ── what nobody may see ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sealed_bid_is_on_no_page_but_its_solvers_until_the_selection(book: Client) -> None:
    order_id = announced(book)
    place = f"{ORDERS}/{order_id}"
    acting(book, "s1").send(place, f"{place}/bids", **BID)
    others = [acting(book, name) for name in ("ann", "s2", "admin")] + [Browser(book)]
    for browser in others:
        for page in (BOOK, place):
            html = browser.html(page)
            assert "s1" not in re.sub(r'value="[^"]*"|[0-9a-f]{16,}', "", html)
            assert not any(text in html for text in SEALED)
        assert "1 sealed" in browser.html(place)
    assert "1.2345" in acting(book, "s1").html(place), "its solver sees it"
    tick(book)
    for browser in others:
        assert "1.2345" in browser.html(place)


def test_with_keys_nobody_sees_anothers_order_before_its_batch_nor_a_sealed_bid(server: Keyed) -> None:
    order = server.done("bob", "POST", f"{API}/orders", json={"description": "a secret of bob's"})
    place = f"/dashboard/auctions/default/orders/{order['order_id']}"
    browsers = {}
    for who in ("admin", "ann", "bob"):
        browsers[who] = Browser(server.client)
        browsers[who].sign_in(server.tokens[who])
    assert browsers["ann"].get(place).status_code == 404
    assert "a secret" in browsers["bob"].html(place)
    assert "a secret" in browsers["admin"].html(place)
    for who in ("ann", "admin"):
        assert "a secret" not in browsers[who].html("/dashboard/auctions")
    assert "a secret" in browsers["bob"].html("/dashboard/auctions")


def test_whose_order_it_is_its_owner_alone_is_shown(server: Keyed) -> None:
    server.done("admin", "POST", f"{API}/books", json={"book": "quick", "tick_seconds": 0.05})
    order = server.done("bob", "POST", f"{API}/orders", json={"book": "quick", "description": "x"})
    tick(server.client)
    for who, shown in (("ann", False), ("bob", True)):
        browser = Browser(server.client)
        browser.sign_in(server.tokens[who])
        for page in (BOOK, f"{ORDERS}/{order['order_id']}"):
            assert ("bob" in browser.html(page)) is shown, (who, page)


def test_an_order_of_another_book_is_not_there(book: Client) -> None:
    order_id = announced(book)
    browser = Browser(book)
    for path in (f"/dashboard/auctions/default/orders/{order_id}", f"{ORDERS}/{order_id + 900}"):
        assert browser.get(path).status_code == 404
        assert browser.get(f"{path}/stream").status_code == 404
        assert browser.post(f"{path}/cancel", data={"token": browser.token(), "once": "x"}).status_code == 404
    assert browser.get("/dashboard/auctions/nowhere").status_code == 404
    assert browser.get("/dashboard/auctions/nowhere/stream").status_code == 404


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_descriptions_payloads_and_solvers_are_text(book: Client, text: str) -> None:
    order_id = announced(book, description=text, payload={text: [text, "\x07"]})
    done(
        book,
        f"orders/{order_id}/bids",
        solver=text,
        max_input="9",
        conversion_rate="11",
        valid_till="2099-01-01T00:00:00Z",
    )
    tick(book)
    for browser in (Browser(book), acting(book, text)):
        for page in (BOOK, f"{ORDERS}/{order_id}"):
            html = browser.html(page)
            shown = re.sub(r' value="[^"]*"', "", html)  # a field holds the exact text, escaped
            assert not DANGEROUS.search(shown), page
            assert "{{" not in text or "{{ 7777 * 7777 }}" in shown


def test_a_description_as_long_as_may_be_is_cut(book: Client) -> None:
    announced(book, description="x" * 1000)
    assert "x" * 201 not in Browser(book).html(BOOK)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────

BAD = {
    "description": ["", " x", "x" * 1001],
    "input_budget": ["0", "-1", "1.0000001", "1e3", "10000000000"],
    "limit_output": ["0", "ten"],
    "payload": ["x", "[1]", '"x"', '{"a": "' + "x" * 20_000 + '"}'],
    "username": [" ann", "x" * 129],
    "expires_at": ["tomorrow", "2026-01-01T00:00:00", "2001-01-01T00:00:00Z"],
    "output_asset": ["NONE"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_bad_input_names_the_field(book: Client, field: str, value: str) -> None:
    browser = Browser(book)
    answer = browser.send(BOOK, ORDERS, **ORDER | {field: value})
    assert answer.status_code == 400
    assert field in said(answer)
    assert "No order was placed" in acting(book, "ann").html(BOOK)


@pytest.mark.parametrize("minutes", ["", "0", "-1", "1.5", "x", "99999"])
def test_a_bid_is_good_for_a_time_that_can_be(book: Client, minutes: str) -> None:
    place = f"{ORDERS}/{announced(book)}"
    answer = acting(book, "s1").send(place, f"{place}/bids", **BID | {"valid_minutes": minutes})
    assert answer.status_code == 400
    assert "valid_minutes" in said(answer)


def test_a_refusal_is_said_and_nothing_happens(book: Client) -> None:
    browser = acting(book, "ann")
    assert browser.send(BOOK, ORDERS, **ORDER | {"input_budget": "5000"}).status_code == 402
    assert "No order was placed" in browser.html(BOOK)
    place = f"{ORDERS}/{committed(book)}"
    answer = browser.post(f"{place}/cancel", data={"token": browser.token(), "once": "x"})
    assert answer.status_code == 409
    assert "cannot be cancelled: it is committed" in said(answer)
    late = acting(book, "s2")
    answer = late.post(f"{place}/deposits", data={"token": late.token(), "once": "y", "solver": "s2"})
    assert answer.status_code == 404


@pytest.mark.parametrize("token", [None, "", "0" * 64])
def test_no_form_does_anything_without_its_token(book: Client, token: str | None) -> None:
    order_id = announced(book)
    place = f"{ORDERS}/{order_id}"
    sent = [
        (ORDERS, ORDER),
        (f"{place}/cancel", {}),
        (f"{place}/bids", BID),
        (f"{place}/deposits", {"solver": "s1"}),
        (f"{place}/claims", {"solver": "s1"}),
        ("/dashboard/auctions", {"book": "other"}),
    ]
    head = book.get("/api/v1/events?lane=money&limit=1").json()["head"]
    browser = acting(book, "ann")
    for path, fields in sent:
        more = {} if token is None else {"token": token}
        answer = browser.post(path, data={**fields, **more, "once": "x"})
        assert answer.status_code == 403, path
        assert "belongs to another visit" in answer.text
    assert book.get("/api/v1/events?lane=money&limit=1").json()["head"] == head
