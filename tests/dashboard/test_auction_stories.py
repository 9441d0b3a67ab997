"""Order auctions in a real browser: an order goes from phase to phase before the eyes of others."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.dashboard.screen import NARROW, WIDE, Screen, overflows

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.conftest import StartServer
    from tests.services.server import Server

pytestmark = pytest.mark.slow

BOOK = "/dashboard/auctions/quick"
HOSTILE = '<img src=x onerror="document.title=1">\u202egpj'
SETTINGS = {"tick_seconds": 0.1, "bidding_window_seconds": 600, "fulfil_seconds": 60, "grace_seconds": 1}


@pytest.fixture
def server(sqlite_url: str, start_server: StartServer) -> Server:
    """A hasty book, with an order of somebody's in it already."""
    server = start_server(sqlite_url, "--max-waiting-seconds", "60", "--no-access-log")
    post(server, "books", book="quick", **SETTINGS)
    post(server, "orders", book="quick", username=HOSTILE, description=HOSTILE, payload={HOSTILE: [HOSTILE]})
    return server


def post(server: Server, path: str, **body: Any) -> Any:
    url = f"{server.url}/api/v1/auctions/{path}"
    answer = httpx.post(url, json=body, trust_env=False, verify=False)
    assert answer.is_success, answer.text
    return answer.json()


def change(server: Server, **settings: Any) -> None:
    url = f"{server.url}/api/v1/auctions/books/quick"
    assert httpx.patch(url, json=settings, trust_env=False, verify=False).is_success


def look(visitor: Screen, page: Page, name: str) -> None:
    """See that a page can be read by everybody."""
    visitor.picture(page, name)
    assert visitor.violations(page) == [], name
    assert not overflows(page), name
    assert page.locator("main img, main script").count() == 0, name


def fill_in(page: Page, form: str, **fields: str) -> None:
    for name, value in fields.items():
        page.fill(f"{form} [name={name}]", value)


def seconds_left(page: Page, part: str) -> int:
    """Return what a countdown says."""
    found = re.fullmatch(r"(\d+) s|(\d+):(\d+)", page.inner_text(f"{part} .until >> nth=0"))
    assert found
    return int(found[1] or 0) + 60 * int(found[2] or 0) + int(found[3] or 0)


def test_an_order_is_filled_before_the_eyes_of_others(server: Server, screen: Callable[..., Screen]) -> None:
    ann, watcher, solver = (
        screen(server.url, WIDE),
        screen(server.url, NARROW, color_scheme="dark"),
        screen(server.url, NARROW),
    )
    ann.act_as("ann")
    solver.act_as("s1")
    hers, others = ann.open(BOOK), watcher.open(BOOK)
    others.wait_for_selector("#soliciting tr:has-text('onerror')")
    change(server, bidding_window_seconds=3)
    fill_in(hers, "#order-form", description="render a film", input_budget="100", limit_output="90")
    hers.click("text=Place order")
    hers.wait_for_selector("#notice :text('is announced with the next batch')")
    order_id = (others.get_attribute("tr[id^=soliciting-]:has-text('render a film')", "id") or "").partition("-")[2]
    assert 0 < seconds_left(others, "#soliciting tr:has-text('onerror')") <= 600

    his = solver.open(f"{BOOK}/orders/{order_id}")
    fill_in(his, "#bid-form", max_input="100", conversion_rate="1.2")
    his.click("#bid-form button")
    his.wait_for_selector("#notice :text('promises 120.00 credit; it stays sealed')")
    others.wait_for_selector("#log :text('BidReceived')")
    bar = f"#committed tr:has-text('s1') [aria-label='order {order_id}: "
    others.wait_for_selector(f"{bar}0.0% deposited']", state="attached")
    others.wait_for_selector(f"#soliciting-{order_id}", state="detached")
    before = seconds_left(others, "#committed")
    his.fill("#deposit-amount", "90")
    his.click("#deposit-form button")
    his.wait_for_selector("#notice :text('90.00 of 120.00 in all')")
    others.wait_for_selector(f"{bar}75.0% deposited']")
    others.wait_for_function(
        "before => parseInt(document.querySelector('#committed .until').textContent) < before", arg=before
    )
    look(watcher, others, "auctions")
    look(ann, hers, "auctions")

    his.fill("#deposit-amount", "")  # all that is missing
    his.click("#deposit-form button")
    others.wait_for_selector(f"#ended-{order_id}:has-text('filled')")
    others.wait_for_selector("#committed tr", state="detached")
    others.wait_for_selector("#log :text('OrderFilled')")
    others.wait_for_selector("#league tr:has-text('s1') :text('100%')")
    hers.click(f"#order-{order_id} a")
    hers.wait_for_selector("#bids :text('s1')")
    his.wait_for_selector("#facts :text('filled')")
    look(ann, hers, "auctions-order")
    look(solver, his, "auctions-order")


def test_a_solver_that_does_not_deliver_is_passed_over(server: Server, screen: Callable[..., Screen]) -> None:
    change(server, bidding_window_seconds=0.5, fulfil_seconds=2)
    watcher = screen(server.url, WIDE)
    page = watcher.open(BOOK)
    order = post(server, "orders", book="quick", username="ann", description="index a library", input_budget="10")
    page.wait_for_selector(f"#soliciting-{order['order_id']}")
    bid = {"max_input": "10", "valid_till": "2099-01-01T00:00:00Z"}
    for name, rate in (("s1", "1.2"), ("s2", "1.1")):
        post(server, f"orders/{order['order_id']}/bids", solver=name, conversion_rate=rate, **bid)
    page.wait_for_selector("#committed tr:has-text('s1')")
    change(server, fulfil_seconds=60)
    page.wait_for_selector("#committed :text('grace: 1 s')")
    page.wait_for_selector("#committed tr:has-text('s2')")
    page.wait_for_selector("#log :text('OrderReassigned')")
