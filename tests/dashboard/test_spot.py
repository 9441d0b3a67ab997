"""The pages of the spot market without scripts: bids, leases and their logs, pools and nodes."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest

from marketplace.dashboard import spot as page_of_spot
from marketplace.foundation.clock import HOUR, SECOND
from marketplace.http import resources
from marketplace.spot import Interval, connections, duties
from marketplace.spot.compute import Spec
from tests.dashboard.browsing import Browser, Forms, said
from tests.http import spot_market
from tests.http.conftest import Client
from tests.http.keyed import keyed
from tests.http.spot_market import BIDS, LEASES, NODES

SPOT = "/dashboard/spot/default"
POOLS = "/dashboard/admin/pools"
FORM = {"username": "ann", "image": "busybox:1", "cpu": "1", "memory_mib": "2048", "max_price": "3"}
NODE = {"node": "n1", "backend": "simulated", "cpu_millis": 2_000, "memory_mib": 4_096}
BID = {"image": "busybox:1", "cpu_millis": 1_000, "memory_mib": 2_048}
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def pool(market: Client) -> Client:
    """The market, with room for two units, where nothing happens by itself."""
    assert market.post(NODES, json=NODE).status_code == 201
    return market


def leased(market: Client, username: str, price: str = "3") -> int:
    """Have a container of somebody's run; return its lease."""
    body = BID | {"username": username, "max_price_per_hour": price}
    lease_id = spot_market.match(market, market.post(BIDS, json=body).json()["bid_id"], "n1")
    spot_market.begin(market, lease_id)
    return lease_id


def write(market: Client, lease_id: int, text: str) -> None:
    """Have a lease's container write a line, where its node keeps what containers wrote."""
    service = market.app.state[resources.STATE]

    async def start() -> None:
        place = await service.database.read_one(duties.find_place, lease_id)
        node = await connections.connect(place.backend, place.owner, {}, database_url=service.database.url)
        command = ("simulate", f"print={text}")
        name = connections.name_of(lease_id)
        await node.start(Spec(lease_id=name, image="any", cpu_millis=100, memory_mib=16, command=command))
        await node.close()

    with market.portal() as portal:
        portal.call(start)


def shown(page: str) -> str:
    """Return the text of a page, without what scripts and forms read."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bid_is_placed_amended_and_cancelled_without_a_script(browser: Browser, pool: Client) -> None:
    answer = browser.send(SPOT, f"{SPOT}/bids", **FORM)
    (bid,) = pool.get(BIDS).json()["items"]
    assert (
        said(answer)
        == f"Bid {bid['bid_id']} of ann is in the queue, at up to 3.00 an hour; 0.05 of the wallet are held for it."
    )
    assert f'href="{SPOT}"' in answer.text, "the page leads back"
    page = f"{SPOT}/bids/{bid['bid_id']}"
    assert "It is about to be placed." in browser.html(page)
    amended = browser.send(page, page, max_price="0.1", per="minute")
    assert said(amended) == f"Bid {bid['bid_id']} pays up to 6.00 an hour now; 0.10 of the wallet are held for it."
    assert said(browser.send(page, f"{page}/cancel")) == f"Bid {bid['bid_id']} is cancelled."
    assert "Change it" not in browser.html(page)
    assert f'href="{page}"' in browser.html(SPOT), "it is among those that are over"


def test_a_form_says_everything_that_the_api_takes(browser: Browser, pool: Client) -> None:
    more = {
        "cpu": "0.25", "memory_mib": "64", "max_price": "0.05", "per": "minute", "on_eviction": "requeue",
        "command": "sh -c 'echo \"$A b\"'", "environment": "A=1=2\r\n\r\n B =x y", "ttl_seconds": "600",
        "budget": "2.5", "notice_seconds": "30", "max_preemptions": "3", "expires_at": "2030-01-31T12:00:00Z",
    }  # fmt: skip
    assert browser.send(SPOT, f"{SPOT}/bids", **FORM | more).status_code == 200
    (bid,) = pool.get(BIDS).json()["items"]
    expected = {
        "cpu_millis": 250, "memory_mib": 64, "max_price_per_hour": "3.00", "on_eviction": "requeue",
        "command": ["sh", "-c", 'echo "$A b"'], "environment": {"A": "1=2", "B": "x y"}, "ttl_seconds": 600,
        "budget": "2.50", "notice_seconds": 30, "max_preemptions": 3, "expires_at": "2030-01-31T12:00:00Z",
    }  # fmt: skip
    assert {name: bid[name] for name in expected} == expected


BAD = [
    ({"cpu": "0"}, "cpu"), ({"cpu": "-1"}, "cpu"), ({"cpu": "1e3"}, "cpu"), ({"cpu": "0.0001"}, "cpu"),
    ({"cpu": "٣"}, "cpu"), ({"cpu": ""}, "cpu"), ({"cpu": "999999"}, "cpu"), ({"memory_mib": "15"}, "memory"),
    ({"memory_mib": "x"}, "memory"),
    ({"image": "UPPER"}, "image"), ({"image": "x; rm -rf /"}, "image"), ({"image": ""}, "image"),
    ({"max_price": ""}, "max price"), ({"max_price": "-1"}, "max_price"), ({"max_price": "0"}, "max price"),
    ({"max_price": "1e9"}, "max_price"), ({"command": "sh 'x"}, "command"), ({"environment": "A"}, "NAME=value"),
    ({"environment": "1A=x"}, "environment"), ({"budget": "0"}, "budget"), ({"expires_at": "soon"}, "expires_at"),
    ({"expires_at": "2001-01-01T00:00:00Z"}, ""), ({"on_eviction": "later"}, "on_eviction"),
    ({"username": " a"}, "username"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "told"), BAD, ids=str)
def test_bad_input_is_refused_in_words_and_places_nothing(
    browser: Browser, pool: Client, more: dict[str, str], told: str
) -> None:
    answer = browser.send(SPOT, f"{SPOT}/bids", **FORM | more)
    assert answer.status_code == 400, answer.text
    assert told in html.unescape(said(answer))
    assert pool.get(BIDS).json()["items"] == []


def test_what_a_bid_would_get_is_told_before(browser: Browser, pool: Client) -> None:
    preview = f"{SPOT}/preview"
    fields = Forms(browser.html(SPOT)).of(f"{SPOT}/bids") | FORM
    page = shown(browser.post(preview, data=fields).text)
    assert "it runs at once" in page
    assert "Has to go nobody" in page
    leases = [leased(pool, name, price) for name, price in (("bob", "2"), ("cy", "4"))]
    pool.patch("/api/v1/spot/pools/default", json={"minimum_runtime_seconds": 0})
    displaced = pool.get(f"{LEASES}/{leases[0]}").json()["bid_id"]
    page = shown(browser.post(preview, data=fields).text)
    assert f"Has to go bid {displaced}" in page
    assert "To run now 2.100001 an hour at least" in page
    assert "it waits: No node has room" in shown(browser.post(preview, data=fields | {"max_price": "2.05"}).text)
    assert "no price is enough" in shown(browser.post(preview, data=fields | {"cpu": "4"}).text)
    assert "vCPUs, such as 2" in shown(browser.post(preview, data=fields | {"cpu": "many"}).text)
    assert "Say how much vCPU" in browser.post(preview, data=fields | {"cpu": ""}).text
    assert len(pool.get(BIDS).json()["items"]) == 2, "nothing was placed"


def test_a_preview_needs_the_token_of_the_page(browser: Browser, pool: Client) -> None:
    del pool
    fields = Forms(browser.html(SPOT)).of(f"{SPOT}/bids") | FORM | {"token": "0" * 64}
    for path in ("preview", "bids"):
        assert browser.post(f"{SPOT}/{path}", data=fields).status_code == 403


def test_what_waits_is_told_with_its_rank_its_reason_and_the_price_that_would_start_it(
    browser: Browser, pool: Client
) -> None:
    for name, price in (("bob", "2"), ("cy", "4")):
        leased(pool, name, price)
    pool.patch("/api/v1/spot/pools/default", json={"minimum_runtime_seconds": 0})
    for price in ("1", "1.5"):
        pool.post(BIDS, json=BID | {"username": "ann", "max_price_per_hour": price})
    page = browser.html(SPOT)
    ranks = re.findall(
        r'<tr id="bid-\d+".*?</th><td class="words"><bdi>ann</bdi></td><td>(\d)</td><td>([\d.]+)</td>', page
    )
    assert ranks == [("1", "1.50"), ("2", "1.00")]
    assert page.count("No node has room, nor enough leases that may be displaced for its price.") == 2
    assert page.count("<td>2.100001</td>") == 3, "for each of both, and for a unit"


def test_whoever_acts_for_nobody_sees_what_all_have_and_else_what_that_member_has(
    browser: Browser, pool: Client
) -> None:
    ann, bob = leased(pool, "ann"), leased(pool, "bob")
    page = browser.html(SPOT)
    assert {f'id="lease-{one}"' in page for one in (ann, bob)} == {True}
    browser.send(SPOT, "/dashboard/acting", username="ann")
    page = browser.html(SPOT)
    assert (f'id="lease-{ann}"' in page, f'id="lease-{bob}"' in page) == (True, False)


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_shows_what_it_costs_as_of_now_and_is_stopped(browser: Browser, pool: Client) -> None:
    lease_id = leased(pool, "ann")
    page = f"{SPOT}/leases/{lease_id}"
    found = re.search(r'data-counts data-micros="(\d+)" data-per-hour="(\d+)">([\d.]+)<', browser.html(page))
    assert found
    assert int(found[2]) == 10_000, "the reserve price of one unit"
    assert float(found[3]) == int(found[1]) / 1e6, "the same to whoever has no scripts"
    assert "is stopped; the bid is over with it" in said(browser.send(page, f"{page}/stop"))
    assert pool.get(f"{LEASES}/{lease_id}").json()["state"] == "stopping"
    spot_market.end(pool, lease_id)
    after = browser.html(page)
    assert "data-counts" not in after
    assert "Stop it" not in after
    assert "in all up to" in after


def test_a_drill_is_for_admins_and_counts_down(browser: Browser, pool: Client) -> None:
    lease_id = leased(pool, "ann")
    page = f"{SPOT}/leases/{lease_id}"
    assert said(browser.send(page, f"{page}/simulate-eviction")) == f"Lease {lease_id} of ann was given notice."
    html_ = browser.html(page)
    until, now = (re.search(rf'data-{name}="(\d+)"', html_) for name in ("until", "now"))
    assert until
    assert now
    assert 110_000 < int(until[1]) - int(now[1]) <= 120_000
    assert "data-until" in browser.html(SPOT), "the page of the pool counts as well"


LOG = {
    "a script": (SCRIPT, html.escape(SCRIPT)),
    "marks that turn writing": ("a\u202egpj", "a[U+202E]gpj"),
    "colours of a terminal": ("\x1b[31mred", "[U+001B][31mred"),
    "two lines": ("one\r\ntwo", "<li>one</li>\n<li>two</li>"),
    "an empty line": ("one\n\ntwo", "<li></li>"),
    "a very long line": ("x" * 30_000, f"{'x' * 400}… (30,000 characters)"),
    "nothing": ("", "It wrote nothing."),
}


@pytest.mark.parametrize(("text", "expected"), LOG.values(), ids=LOG)
def test_what_a_container_writes_is_shown_as_text_and_given_out_whole(
    browser: Browser, pool: Client, text: str, expected: str
) -> None:
    lease_id = leased(pool, "ann")

    write(pool, lease_id, text)
    page = browser.html(f"{SPOT}/leases/{lease_id}")
    assert expected in page
    assert len(page) < 20_000
    assert "<script>alert" not in page
    whole = browser.get(f"{SPOT}/leases/{lease_id}/log")
    assert whole.content.decode() == (f"{text}\n" if text else "")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert whole.headers["content-disposition"].startswith("attachment")
    assert whole.headers["x-content-type-options"] == "nosniff"


def test_a_node_that_does_not_answer_leaves_the_rest_of_the_page(
    browser: Browser, pool: Client, tmp_path: Path
) -> None:
    (there := tmp_path / "there").mkdir()
    pool.post(NODES, json=NODE | {"settings": {"file": str(there / "world.db")}}).raise_for_status()
    shutil.rmtree(there)
    page = browser.html(f"{SPOT}/leases/{leased(pool, 'ann')}")
    assert "does not answer right now" in page
    assert "Costs an hour" in page


def test_what_belongs_to_another_pool_is_not_there(browser: Browser, pool: Client) -> None:
    lease_id = leased(pool, "ann")
    bid_id = pool.get(f"{LEASES}/{lease_id}").json()["bid_id"]
    pool.post("/api/v1/spot/pools", json={"pool": "gpu"})
    for path in (
        f"gpu/leases/{lease_id}",
        f"gpu/bids/{bid_id}",
        f"gpu/leases/{lease_id}/log",
        "default/bids/77",
        "nowhere",
    ):
        answer = browser.get(f"/dashboard/spot/{path}")
        assert answer.status_code == 404, path
        assert "There is no" in answer.text or "no " in said(answer)
    assert 'href="/dashboard/spot/gpu"' in browser.html(SPOT), "and pools are to be chosen"
    assert browser.get("/dashboard/spot/default?window=1y").status_code == 400


# ── pools and nodes ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_node_is_brought_in_cordoned_drained_and_removed(browser: Browser, market: Client) -> None:
    node = {"node": "m-1.a", "cpu": "2.5", "memory_mib": "4096", "backend": "simulated", "settings": '{"seed": 7}'}
    page, place = f"{POOLS}/default", f"{POOLS}/default/nodes"
    assert said(browser.send(page, place, **node)) == "The node m-1.a is ready."
    found = market.get(f"{NODES}/m-1.a").json()
    assert (found["cpu_millis"], found["memory_mib"], found["provider"]) == (2_500, 4_096, "operator")
    for state in ("cordoned", "draining", "ready"):
        assert said(browser.send(page, f"{place}/m-1.a", state=state)) == f"The node m-1.a is {state}."
        assert market.get(f"{NODES}/m-1.a").json()["state"] == state
    assert said(browser.send(page, f"{place}/m-1.a/remove")) == "The node m-1.a is out of the pool."
    assert market.get(NODES).json()["items"] == []


@pytest.mark.parametrize(
    ("more", "told"),
    [({"settings": "{"}, "JSON"), ({"settings": "[]"}, "JSON"), ({"settings": '{"seed": "x"}'}, "seed"),
     ({"backend": "vmware"}, "vmware"), ({"cpu": "x"}, "vCPU"), ({"node": "../x"}, "node"),
     ({"memory_mib": "0"}, "memory")],
)  # fmt: skip
def test_a_node_that_cannot_be_is_refused(browser: Browser, market: Client, more: dict[str, str], told: str) -> None:
    node = {"node": "n1", "cpu": "2", "memory_mib": "4096", "backend": "simulated"}
    answer = browser.send(f"{POOLS}/default", f"{POOLS}/default/nodes", **node | more)
    assert answer.status_code == 400
    assert told in said(answer)
    assert market.get(NODES).json()["items"] == []


def test_two_nodes_of_one_page_are_cordoned_one_after_the_other(browser: Browser, market: Client) -> None:
    for name in ("n1", "n2"):
        market.post(NODES, json=NODE | {"node": name})
    page = browser.html(f"{POOLS}/default")
    for name in ("n1", "n2"):
        action = f"{POOLS}/default/nodes/{name}"
        assert said(browser.post(action, data=Forms(page).of(action))) == f"The node {name} is cordoned."


def test_a_pool_is_opened_and_changed(browser: Browser, market: Client) -> None:
    assert said(browser.send(f"{POOLS}/default", POOLS, pool="gpu", cpu="4")) == "The pool gpu is open."
    changed = browser.send(f"{POOLS}/gpu", f"{POOLS}/gpu", notice_seconds="30", reserve_price_per_hour="0.5")
    assert said(changed) == "The pool gpu decides by this now."
    pool = market.get("/api/v1/spot/pools/gpu").json()
    assert (pool["unit_cpu_millis"], pool["notice_seconds"], pool["reserve_price_per_hour"]) == (4_000, 30, "0.50")
    assert "The pool has no node" in browser.html(f"{POOLS}/gpu")
    assert "No node is ready" in browser.html("/dashboard/spot/gpu")


def test_a_provider_is_offered_its_own_nodes_alone_and_not_told_whose_the_others_are(sqlite_url: str) -> None:
    with keyed(sqlite_url) as server:
        for name, provider in (("mine", "bob"), ("other", "admin")):
            server.done("admin", "POST", NODES, json=NODE | {"node": name, "provider": provider})
        bob = Browser(server.client)
        bob.sign_in(server.tokens["bob"])
        page = bob.html(POOLS)
        assert set(re.findall(r'action="[^"]*/nodes/(\w+)"', page)) == {"mine"}
        assert "Bring a node in" not in page
        assert "<bdi>admin</bdi>" not in page


def test_nobody_follows_what_is_of_another(sqlite_url: str) -> None:
    with keyed(sqlite_url) as server:
        server.done("admin", "POST", "/api/v1/wallets/bob/deposits", json={"amount": "5.00"})
        of_bob = spot_market.things(server, 1)
        ann = Browser(server.client)
        ann.sign_in(server.tokens["ann"])
        for path in (f"bids/{of_bob['spot_bid_id']}", f"leases/{of_bob['lease_id']}"):
            for more in ("", "/stream"):
                assert ann.get(f"{SPOT}/{path}{more}").status_code == 404, path + more


# ── the chart ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_price_is_drawn_as_it_changed_up_to_now_beside_the_reserve(browser: Browser, pool: Client) -> None:
    found = re.search(r'data-chart="prices" data-points="([^"]*)"', browser.html(SPOT))
    assert found
    points = json.loads(html.unescape(found[1]))
    assert set(points["price"]) == set(points["reserve"]) == {0.01}
    assert points["time"] == sorted(points["time"])
    del pool


def test_few_changes_are_drawn_exactly_and_many_as_averages() -> None:
    prices = [Interval(0, 30 * SECOND, 2_000_000), Interval(30 * SECOND, None, 5_000_000)]
    few = page_of_spot.steps(prices, reserve_micros=10_000, since=10 * SECOND, until=60 * SECOND)
    assert (few["time"], few["price"], few["reserve"]) == ([10, 30, 60], [2, 5, 5], [0.01] * 3)
    many = [Interval(at * SECOND, (at + 1) * SECOND, 1_000_000 + at % 2 * 2_000_000) for at in range(3_600)]
    drawn = page_of_spot.steps(many, reserve_micros=0, since=0, until=HOUR)
    assert len(drawn["time"]) <= page_of_spot.MOST_POINTS
    assert min(drawn["price"]) >= 1.9
    assert max(drawn["price"]) <= 2.1
    assert drawn["time"][-1] == 3_600
