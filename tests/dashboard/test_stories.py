"""Stories in a real browser: what somebody does on a page, and what they and others then see."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from marketplace.cli import root
from tests.dashboard.screen import NARROW, WIDE, Screen, overflows
from tests.services.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.conftest import StartServer
    from tests.services.nursery import Nursery

pytestmark = pytest.mark.slow

MARKETS = "/api/v1/hours/markets"
HOSTILE = '<img src=x onerror="document.title=1">\u202egpj'
PAGES = ("hours", "addresses", "addresses/default", "wallet", "admin", "admin/members", "admin/keys", "admin/webhooks")
"""Those that no other story looks at in this way."""

OpenScreen = Callable[..., Screen]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(
    module_sqlite_url: str, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery | None
) -> Iterator[Server]:
    """One server for the stories that do not mind each other: each has a market, or members, of its own."""
    folder = tmp_path_factory.mktemp("stories")
    flags = ("--max-waiting-seconds", "60", "--no-access-log")
    server = Server(folder, module_sqlite_url, *flags, nursery=nursery)
    server.start()
    yield server
    server.close()


@pytest.fixture
def market(server: Server) -> str:
    """A market of the story's own, and its name."""
    name = f"m{next(_numbers)}"
    post(server, "/api/v1/hours/markets", market=name)
    return name


def post(server: Server, path: str, **body: Any) -> Any:
    # Certificates, of which there are none here, take longer to load than the request does.
    answer = httpx.post(f"{server.url}{path}", json=body, trust_env=False, verify=False)
    assert answer.is_success, answer.text
    return answer.json()


def fill_in(page: Page, form: str, **fields: str) -> None:
    for name, value in fields.items():
        page.fill(f"{form} [name={name}]", value)


# ── the stories ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_a_bid_placed_on_a_page_is_in_the_ladder_of_another(
    server: Server, market: str, screen: OpenScreen, size: tuple[int, int]
) -> None:
    post(server, f"{MARKETS}/{market}/supplies", volume=40, min_price=50)
    ann, watcher = screen(server.url, size), screen(server.url, size)
    ann.act_as("ann")
    mine, others = ann.open(f"/dashboard/hours/{market}"), watcher.open(f"/dashboard/hours/{market}")
    seconds: list[float] = []
    for price, promised in (("41", "none"), ("42", "none"), ("60", "40 hours for 2,400 credits")):
        if price == "42" and min(seconds) < 1:
            continue  # there is no need of another try
        fill_in(mine, "#bid-form", volume="100", price=price)
        mine.wait_for_selector("#preview :text('behind')" if promised == "none" else f"#preview :text('{promised}')")
        begun_at = time.monotonic()
        mine.click("text=Place bid")
        others.wait_for_selector(f"#ladder tr.bid th:text-is('{price}')")
        seconds.append(time.monotonic() - begun_at)
        mine.wait_for_selector(f"#notice :text('at up to {price}')")
    assert min(seconds) < 1, seconds
    mine.wait_for_selector("#mine :text('40 hours in all')")
    bid = mine.locator("#mine tbody tr").first
    bid.locator("text=Cancel").click()
    mine.wait_for_selector("#notice :text('cancelled')")
    others.wait_for_selector("#ladder tr.bid th:text-is('41')", state="detached")
    assert not overflows(mine)


def test_a_bid_is_amended_with_a_preview_and_twice_pressed_is_placed_once(
    server: Server, market: str, screen: OpenScreen
) -> None:
    ann = screen(server.url)
    ann.act_as("ann")
    page = ann.open(f"/dashboard/hours/{market}")
    fill_in(page, "#bid-form", volume="10", price="3")
    page.dblclick("text=Place bid")
    page.wait_for_selector("#mine tbody tr")
    assert len(httpx.get(f"{server.url}{MARKETS}/{market}/bids", trust_env=False).json()["items"]) == 1
    page.click("#mine tbody th a")
    post(server, f"{MARKETS}/{market}/supplies", volume=4, min_price=6)
    fill_in(page, "#amend-form", price="7")
    page.wait_for_selector("#amend-form .preview :text('4 hours for 28 credits')")
    page.click("text=Change >> nth=-1")
    page.wait_for_selector("#notice :text('has 4 of 10 hours at up to 7; 6 wait.')")


def test_a_key_is_made_on_a_page_shown_once_and_revoked(
    sqlite_url: str, start_server: StartServer, screen: OpenScreen, capfd: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(1) as aside:  # where the browser's loop does not run
        assert aside.submit(root.run, ["keys", "create", "--admin", "--database-url", sqlite_url]).result() == 0
    key = capfd.readouterr().out.strip()
    server = start_server(sqlite_url, "--auth", "keys")
    visitor = screen(server.url, NARROW)
    page = visitor.open("/", is_live=False)
    assert visitor.violations(page) == []
    page.fill("#key", key)
    page.click("main button")
    page.wait_for_selector("#live[data-state=live]")
    page.goto(f"{server.url}/dashboard/admin/keys")
    page.check("text=trade")
    page.click("text=Create")
    made = page.inner_text("#secret")
    assert re.fullmatch(r"mk_[0-9a-f]{16}_[0-9a-f]{64}", made)
    row = f"#key-{made.split('_')[1]}"
    page.wait_for_selector(row)
    visitor.picture(page, "key-shown-once")
    assert visitor.violations(page) == []
    page.reload()
    page.wait_for_selector(row)
    assert made[-64:] not in page.content()
    me = {"Authorization": f"Bearer {made}"}
    assert httpx.get(f"{server.url}/api/v1/me", headers=me, trust_env=False).status_code == 200
    page.once("dialog", lambda dialog: dialog.accept())
    page.click(f"{row} button")
    page.wait_for_selector(f"{row} :text('revoked')")
    time.sleep(1)  # within which it has to be felt
    assert httpx.get(f"{server.url}/api/v1/me", headers=me, trust_env=False).status_code == 401
    page.click("text=Sign out")
    page.wait_for_selector("#key")


def test_an_address_is_found_and_given_back(server: Server, screen: OpenScreen) -> None:
    for number in range(3):
        post(server, "/api/v1/ip/allocate", vm_id=f"vm-{number}", hostname=f"web-{number}.example.org", owner="ann")
    visitor = screen(server.url, NARROW)
    page = visitor.open("/dashboard/addresses")
    page.fill("#q", "WEB-1.example.org")
    page.click("text=Search >> nth=-1")
    page.click("table >> text=default")
    page.wait_for_selector("#live[data-state=live]")
    page.click("[aria-label='Release 172.16.0.3']")
    page.wait_for_selector("#notice :text('172.16.0.3 was taken back from vm-1.')")
    page.wait_for_selector("#block :text('vm-1')", state="detached")
    assert not overflows(page)


def test_money_that_is_paid_moves_on_both_wallets(server: Server, screen: OpenScreen) -> None:
    ann, bob = screen(server.url), screen(server.url, NARROW)
    ann.act_as("ann")
    bob.act_as("bob")
    hers, his = ann.open("/dashboard/wallet"), bob.open("/dashboard/wallet")
    fill_in(hers, "form[action$=transfers]", to="bob", amount="12.50", reason="lunch")
    hers.click("button:text-is('Pay')")
    hers.wait_for_selector("#purse :text('987.50')")
    his.wait_for_selector("#purse :text('1012.50')")
    his.wait_for_selector("#purse :text('lunch')")


def test_a_page_says_when_it_is_not_live_and_catches_up(
    sqlite_url: str, start_server: StartServer, screen: OpenScreen
) -> None:
    server, market = start_server(sqlite_url), "default"
    watcher = screen(server.url)
    page = watcher.open(f"/dashboard/hours/{market}")
    server.stop()
    page.wait_for_selector("#live[data-state=stale]")
    assert "not live since" in page.inner_text("#live")
    server.restart()
    post(server, f"{MARKETS}/{market}/bids", username="ann", volume=5, price=77)
    page.wait_for_selector("#live[data-state=live]")
    page.wait_for_selector("#ladder tr.bid th:text-is('77')")
    # What the browser and htmx say of the gap itself.
    watcher.complaints = [one for one in watcher.complaints if "ERR_" not in one and "sse:error" not in one]


def test_everything_works_without_scripts(server: Server, market: str, screen: OpenScreen) -> None:
    visitor = screen(server.url, NARROW, java_script_enabled=False)
    visitor.act_as("ann")
    page = visitor.open(f"/dashboard/hours/{market}", is_live=False)
    fill_in(page, "#bid-form", volume="10", price="3")
    page.click("button:text-is('Preview')")
    assert "10 hours behind 0" in page.inner_text("main")
    page.go_back()
    fill_in(page, "#bid-form", volume="10", price="3")
    page.click("text=Place bid >> nth=-1")
    assert "10 wait" in page.inner_text(".notice")
    page.click("main >> text=Back")
    assert page.inner_text("#mine tbody tr td >> nth=0") == "3"
    assert page.inner_text("#ladder tr.bid th") == "3"


def test_the_keyboard_reaches_everything(server: Server, market: str, screen: OpenScreen) -> None:
    visitor = screen(server.url)
    visitor.act_as("ann")
    page = visitor.open(f"/dashboard/hours/{market}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    reached = []
    for _ in range(40):
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        page.keyboard.press("Tab")
    assert {"bid-volume", "bid-price", "bid-force", "Place bid", "5m"} <= set(reached)
    page.focus("#bid-volume")
    page.keyboard.type("7")
    page.keyboard.press("Tab")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    page.wait_for_selector("#mine tbody tr")


@pytest.mark.parametrize(
    ("size", "scheme"), [(NARROW, "dark"), (WIDE, "light")], ids=["narrow and dark", "wide and light"]
)
def test_every_page_is_accessible_fits_and_shows_hostile_names_as_text(
    filled: Server, screen: OpenScreen, size: tuple[int, int], scheme: str
) -> None:
    server = filled
    visitor = screen(server.url, size, color_scheme=scheme)
    visitor.act_as("ann")
    page = visitor.open("/dashboard/hours")
    for path in PAGES:
        page.goto(f"{server.url}/dashboard/{path}")
        page.wait_for_selector("#live[data-state=live]")
        visitor.picture(page, path.replace("/", "-"))
        assert visitor.violations(page) == [], path
        assert not overflows(page), path
        assert page.locator("main img, main script").count() == 0, path


@pytest.fixture(scope="module")
def filled(server: Server) -> Server:
    """The same server with something on each page."""
    orders = f"{MARKETS}/default"
    for number in range(12):
        ann_or_not = "ann" if number % 2 else HOSTILE
        post(server, f"{orders}/bids", username=ann_or_not, volume=10 + number, price=20 + number)
        post(server, f"{orders}/supplies", provider=ann_or_not, volume=8 + number, min_price=28 + number)
        post(server, "/api/v1/ip/allocate", vm_id=f"vm-{number}", hostname=f"web-{number}.example", owner=HOSTILE)
    for body in ({"to": HOSTILE, "amount": "3.50"}, {"to": "bob", "amount": "1.00", "reason": HOSTILE[:64]}):
        post(server, "/api/v1/transfers", username="ann", **body)
    for username in ("ann", HOSTILE):
        post(server, "/api/v1/members", username=username)
    post(server, "/api/v1/keys", username="ann", scopes=["read", "trade"], label=HOSTILE[:60])
    post(server, "/api/v1/webhooks", username="ann", url="https://example.org/hook")
    return server
