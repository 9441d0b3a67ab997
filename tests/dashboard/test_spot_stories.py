"""The spot market in a real browser: a bid that others see, a cost that goes up, and a notice that runs out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.dashboard.screen import NARROW, WIDE, Screen, overflows
from tests.services.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.services.nursery import Nursery

pytestmark = pytest.mark.slow

POOLS = "/api/v1/spot/pools"
NOTICE_SECONDS = 5
UNIT = {"image": "app:1", "cpu_millis": 1_000, "memory_mib": 2_048}
HOSTILE = '<img src=x onerror="document.title=1">\u202egpj'
SURE = {"start_seconds": [0, 0], "fails_percent": 0, "hangs_percent": 100, "exits_percent": 0}
"""A node whose containers run until they are killed."""

OpenScreen = Callable[..., Screen]
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery | None) -> Iterator[Server]:
    """One server for all stories: each has a pool of its own."""
    folder = tmp_path_factory.mktemp("spot")
    flags = ("--max-waiting-seconds", "60", "--no-access-log")
    server = Server(folder, f"sqlite:///{folder / 'market.db'}", *flags, nursery=nursery)
    server.start()
    yield server
    server.close()


@pytest.fixture
def pool(server: Server) -> str:
    """A pool with room for two units, where nobody is protected and a notice is short."""
    name = f"pool-{next(_numbers)}"
    send(server, "POST", POOLS, pool=name, minimum_runtime_seconds=0, notice_seconds=NOTICE_SECONDS)
    node = {"node": "n1", "backend": "simulated", "cpu_millis": 2_000, "memory_mib": 4_096, "settings": SURE}
    send(server, "POST", f"{POOLS}/{name}/nodes", **node)
    return name


def send(server: Server, method: str, path: str, **body: Any) -> Any:
    answer = httpx.request(method, f"{server.url}{path}", json=body or None, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def bid(server: Server, pool: str, username: str, price: str, **more: Any) -> int:
    body = UNIT | {"pool": pool, "username": username, "max_price_per_hour": price} | more
    placed: int = send(server, "POST", "/api/v1/spot/bids", **body)["bid_id"]
    return placed


def look(visitor: Screen, page: Page, name: str) -> None:
    """See that a page can be read by everybody."""
    visitor.picture(page, name)
    assert visitor.violations(page) == [], name
    assert not overflows(page), name
    assert page.locator("main img, main script").count() == 0, name


def test_a_bid_is_seen_by_others_costs_money_and_is_evicted_before_their_eyes(
    server: Server, pool: str, screen: OpenScreen
) -> None:
    bid(server, pool, HOSTILE, "9", command=["simulate", f"print={HOSTILE}", "count=30"])
    ann, watcher = screen(server.url, NARROW, color_scheme="dark"), screen(server.url, WIDE)
    ann.act_as("ann")
    hers, others = ann.open(f"/dashboard/spot/{pool}"), watcher.open(f"/dashboard/spot/{pool}")
    for name, value in {"image": "busybox:1", "cpu": "1", "memory_mib": "2048", "max_price": "7.20"}.items():
        hers.fill(f"#bid-form [name={name}]", value)
    hers.wait_for_selector("#preview :text('it runs at once')")
    hers.wait_for_selector("#preview :text('nobody')")
    hers.click("text=Place bid")
    hers.wait_for_selector("#notice :text('is in the queue, at up to 7.20 an hour')")
    others.wait_for_selector("#mine tr[id^=lease-]:has-text('ann') >> text=running")
    for price in ("0.50", "1.25"):
        bid(server, pool, "ann", price, on_eviction="requeue")
    hers.wait_for_selector("#mine tr[id^=why-] :text('No node has room')")
    look(watcher, others, "spot")
    look(ann, hers, "spot")

    hers.click("#mine tr[id^=lease-] th a")
    counter = hers.locator("[data-counts]")
    before = float(counter.inner_text())
    hers.wait_for_function(
        "before => parseFloat(document.querySelector('[data-counts]').textContent) > before", arg=before
    )
    bid(server, pool, "bob", "20")
    hers.wait_for_selector("#lease :text('pays 20.00 an hour')")
    left = hers.inner_text("#lease .until")
    assert "0 s" < left <= f"{NOTICE_SECONDS} s"
    hers.wait_for_function("left => (document.querySelector('#lease .until')?.textContent ?? '') < left", arg=left)
    ann.picture(hers, "lease")
    hers.wait_for_selector("#lease :text-is('ended')")
    hers.wait_for_selector("#bill :text('in all up to')")
    others.wait_for_selector("#over tr:has-text('ann') >> text=evicted")


@pytest.mark.parametrize(
    ("size", "scheme"), [(NARROW, "dark"), (WIDE, "light")], ids=["narrow and dark", "wide and light"]
)
def test_every_page_of_the_spot_market_is_accessible_and_shows_hostile_text_as_text(
    server: Server, pool: str, screen: OpenScreen, size: tuple[int, int], scheme: str
) -> None:
    hostile = bid(server, pool, HOSTILE, "9", command=["simulate", f"print={HOSTILE}{'x' * 3_000}", "count=30"])
    for username, price in (("ann", "2"), ("cy", "1")):
        bid(server, pool, username, price)
    (lease,) = until(lambda: send(server, "GET", f"/api/v1/spot/leases?bid_id={hostile}&state=running")["items"])
    node = {"node": "n2", "backend": "simulated", "cpu_millis": 500, "memory_mib": 512, "provider": HOSTILE}
    send(server, "POST", f"{POOLS}/{pool}/nodes", **node)
    send(server, "PATCH", f"{POOLS}/{pool}/nodes/n2", state="cordoned")
    visitor = screen(server.url, size, color_scheme=scheme)
    page = visitor.open("/dashboard/spot")  # a pool without nodes
    look(visitor, page, "spot-empty")
    for path, name in (
        (f"spot/{pool}", "spot-all"),
        (f"spot/{pool}/bids/{hostile}", "spot-bid"),
        (f"spot/{pool}/leases/{lease['lease_id']}", "spot-lease"),
        (f"admin/pools/{pool}", "admin-pools"),
    ):
        page.goto(f"{server.url}/dashboard/{path}")
        page.wait_for_selector("#live[data-state=live]")
        look(visitor, page, name)


def until(find: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found
