"""What each method sends, and what it makes of the answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from marketplace.client import AsyncClient, Client, Unauthenticated, Unintelligible
from marketplace.wire import addresses, events, hours, webhooks
from tests.client.callers import Caller, answers

Callers = Callable[..., Caller]

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BID = hours.Bid(7, "gpu", "u1", 100, 40, 60, 3, "gtc", "open", NOON, None)
SUPPLY = hours.Supply(8, "gpu", "p1", 50, 0, 50, 1, "exhausted", NOON)
MARKET = hours.Market("gpu", "open", NOON)
ALLOCATION = hours.Allocation("9-0", "gpu", "u1", 7, 8, 50, 3, NOON)
EVENT = events.Event("hours", 3, NOON, "default", "bid_placed", "7", "u1", {"volume": 1})

ASSIGNMENT = addresses.Assignment("10.0.0.2", "vm1", "10.0.0.1", "10.0.0.0/24", "web")
NETWORK = addresses.Network("lan", "10.0.0.0/24", None, "random", 60, NOON)

HOOKS = "/api/v1/webhooks"
HOOK_URL = "https://hooks.example.org/"
HOOK = webhooks.Webhook(7, "u1", HOOK_URL, [], ["bid_placed"], False, "enabled", None, NOON)
DELIVERY = webhooks.Delivery(
    "hours", 3, "msg_hours_3", "failed", None, NOON, NOON, [webhooks.Attempt(1, NOON, 0.5, None, "no answer")]
)

GPU = "/api/v1/hours/markets/gpu"
ORDERS = [hours.BuyOrder("u1", 5, 3), hours.SellOrder(9, min_price=2)]

# method, arguments, named arguments, verb, path with query, body, answer
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, Any, Any]] = [
    ("buy", ("u1",), {"volume": 100, "price": 3}, "POST", "/buy", {"username": "u1", "volume": 100, "price": 3},
     hours.Bought(1, 0, 100)),
    ("sell", (250,), {}, "POST", "/sell", {"volume": 250}, hours.Sold(2, 250, 0)),
    ("allocation", ("u 1&",), {}, "GET", "/allocation?username=u+1%26", None, 100),
    ("market", ("gpu",), {}, "GET", GPU, None, MARKET),
    ("create_market", ("gpu",), {}, "POST", "/api/v1/hours/markets", {"market": "gpu"}, MARKET),
    ("open_market", ("gpu",), {}, "PATCH", GPU, {"state": "open"}, MARKET),
    ("close_market", ("gpu",), {}, "PATCH", GPU, {"state": "closed"}, MARKET),
    ("place_bid", ("u1",), {"volume": 100, "price": 3, "market": "gpu", "time_in_force": "ioc"}, "POST", f"{GPU}/bids",
     {"username": "u1", "volume": 100, "price": 3, "time_in_force": "ioc", "expires_at": None}, BID),
    ("bid", (7,), {"market": "gpu"}, "GET", f"{GPU}/bids/7", None, BID),
    ("cancel_bid", (7,), {"market": "gpu"}, "DELETE", f"{GPU}/bids/7", None, BID),
    ("amend_bid", (7,), {"market": "gpu", "price": 0}, "PATCH", f"{GPU}/bids/7", {"price": 0}, BID),
    ("amend_bid", (7,), {"market": "gpu", "volume": 90, "price": 4}, "PATCH", f"{GPU}/bids/7",
     {"volume": 90, "price": 4}, BID),
    ("add_supply", (50,), {"market": "gpu", "min_price": 1, "provider": "p1"}, "POST", f"{GPU}/supplies",
     {"volume": 50, "min_price": 1, "provider": "p1"}, SUPPLY),
    ("supply", (8,), {"market": "gpu"}, "GET", f"{GPU}/supplies/8", None, SUPPLY),
    ("withdraw_supply", (8,), {"market": "gpu"}, "DELETE", f"{GPU}/supplies/8", None, SUPPLY),
    ("run_orders", (ORDERS,), {"market": "gpu", "atomic": True}, "POST", f"{GPU}/orders:batch",
     {"orders": [
         {"side": "buy", "username": "u1", "volume": 5, "price": 3, "time_in_force": "gtc", "expires_at": None},
         {"side": "sell", "volume": 9, "min_price": 2, "provider": None}], "atomic": True},
     hours.OrderResults([hours.OrderResult(bid_id=1, allocated=0, remaining=5)])),
    ("book", (), {"market": "gpu", "limit": 5}, "GET", f"{GPU}/book?limit=5", None,
     hours.Book("gpu", 9, [hours.Level(3, 1, 40, 40)], [])),
    ("candles", ("5m",), {"market": "gpu", "since": NOON}, "GET",
     f"{GPU}/candles?interval=5m&since=2026-01-31T12%3A00%3A00%2B00%3A00", None,
     hours.Candles("gpu", "5m", [hours.Candle(NOON, 1, 2, 1, 2, 9)])),
    ("preview", (), {"market": "gpu", "volume": 5, "price": 3}, "GET", f"{GPU}/preview?volume=5&price=3", None,
     hours.Preview("gpu", 9, 5, 0, 1, 0)),
    ("allocate_ip", ("vm1",), {}, "POST", "/api/v1/ip/allocate", {"vm_id": "vm1"}, ASSIGNMENT),
    ("allocate_ip", ("vm1",), {"hostname": "web", "network": "lan", "ip": "10.0.0.2", "owner": "u1"}, "POST",
     "/api/v1/ip/allocate",
     {"vm_id": "vm1", "hostname": "web", "network": "lan", "ip": "10.0.0.2", "owner": "u1"}, ASSIGNMENT),
    ("allocate_ips", ([addresses.AllocateEach("vm1"), addresses.AllocateEach("vm2", "web")],), {}, "POST",
     "/api/v1/ip/allocate:batch", {"requests": [{"vm_id": "vm1"}, {"vm_id": "vm2", "hostname": "web"}]},
     addresses.Allocated([ASSIGNMENT])),
    ("release_ip", ("a/b",), {"network": "lan"}, "DELETE", "/api/v1/ip/release/a%2Fb?network=lan", None, ASSIGNMENT),
    ("release_address", ("fd00::2",), {}, "DELETE", "/api/v1/ip/release-by-ip/fd00%3A%3A2", None, ASSIGNMENT),
    ("release_ips", (["vm1", "vm2"],), {"network": "lan"}, "POST", "/api/v1/ip/release:batch",
     {"vm_ids": ["vm1", "vm2"], "network": "lan"}, addresses.Released([ASSIGNMENT])),
    ("assigned_ip", ("vm1",), {"network": "lan"}, "GET", "/api/v1/ip/vm1?network=lan", None, ASSIGNMENT),
    ("ip_stats", (), {}, "GET", "/api/v1/ip/stats", None,
     addresses.Stats("fd00::/64", "fd00::1", 2**64 - 1, 1, 1, 0, 2**64 - 3)),
    ("reconcile_ips", ({"vm1"},), {"grace_seconds": 60, "apply": True, "network": "lan"}, "POST",
     "/api/v1/ip/reconcile", {"vm_ids": ["vm1"], "grace_seconds": 60, "apply": True, "network": "lan"},
     addresses.Reconciled([ASSIGNMENT], applied=True, more=False)),
    ("network", ("lan",), {}, "GET", "/api/v1/networks/lan", None, NETWORK),
    ("reserved_ranges", ("lan",), {}, "GET", "/api/v1/networks/lan/reserved", None,
     addresses.ReservedRanges([addresses.ReservedRange("10.0.0.5", "10.0.0.9")])),
    ("create_network", ("lan", "10.0.0"), {}, "POST", "/api/v1/networks", {"network": "lan", "cidr": "10.0.0"},
     NETWORK),
    ("create_network", ("lan", "10.0.0"),
     {"gateway": None, "reserved": ("10.0.0.5",), "allocation": "random", "reuse_delay_seconds": 60}, "POST",
     "/api/v1/networks", {"network": "lan", "cidr": "10.0.0", "gateway": None, "reserved": ["10.0.0.5"],
                          "allocation": "random", "reuse_delay_seconds": 60}, NETWORK),
    ("delete_network", ("lan",), {}, "DELETE", "/api/v1/networks/lan", None, NETWORK),
    ("events_page", ("money",), {"after": 7, "topic": "events", "subject": "webhook/7", "wait_seconds": 5}, "GET",
     "/api/v1/events?lane=money&after=7&topic=events&subject=webhook%2F7&limit=500&wait_seconds=5", None,
     events.Events([EVENT], next=8, head=9)),
    ("create_webhook", (HOOK_URL,), {}, "POST", HOOKS, {"url": HOOK_URL}, webhooks.CreatedWebhook(HOOK, "whsec_A")),
    ("create_webhook", (HOOK_URL,), {"username": "u1", "kinds": ("bid_placed",), "all_members": True}, "POST", HOOKS,
     {"url": HOOK_URL, "username": "u1", "kinds": ["bid_placed"], "all_members": True},
     webhooks.CreatedWebhook(HOOK, "whsec_A")),
    ("webhook", (7,), {}, "GET", f"{HOOKS}/7", None, HOOK),
    ("change_webhook", (7,), {"topics": (), "state": "disabled"}, "PATCH", f"{HOOKS}/7",
     {"topics": [], "state": "disabled"}, HOOK),
    ("delete_webhook", (7,), {}, "DELETE", f"{HOOKS}/7", None, HOOK),
    ("rotate_webhook", (7,), {}, "POST", f"{HOOKS}/7/rotate", None, webhooks.RotatedSecret(7, "whsec_B", NOON)),
    ("try_webhook", (7,), {}, "POST", f"{HOOKS}/7/test", None, webhooks.Tested("money", 9, "msg_money_9")),
    ("replay_events", (7, "hours"), {"from_seq": 1, "to_seq": 9}, "POST", f"{HOOKS}/7/replay",
     {"lane": "hours", "from_seq": 1, "to_seq": 9}, webhooks.Replayed(3)),
]  # fmt: skip

LISTINGS: list[tuple[str, dict[str, Any], str, Any, Any]] = [
    ("markets", {}, "/api/v1/hours/markets?limit=500", MARKET, hours.Markets),
    ("bids", {"market": "gpu", "username": "u1", "state": "open"},
     f"{GPU}/bids?username=u1&state=open&limit=500", BID, hours.Bids),
    ("supplies", {"market": "gpu", "provider": "p1"}, f"{GPU}/supplies?provider=p1&limit=500", SUPPLY, hours.Supplies),
    ("fills", {"market": "gpu", "page_size": 2}, f"{GPU}/fills?limit=2", hours.Fill("9-0", 3, 50, NOON), hours.Fills),
    ("allocations", {"market": "gpu", "username": "u1"}, f"{GPU}/allocations?username=u1&limit=500", ALLOCATION,
     hours.Allocations),
    ("networks", {"page_size": 2}, "/api/v1/networks?limit=2", NETWORK, addresses.Networks),
    ("webhooks", {"username": "u1"}, f"{HOOKS}?username=u1&limit=500", HOOK, webhooks.Webhooks),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "args", "named", "verb", "target", "body", "answer"),
    CALLS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_method_sends_its_request_and_returns_the_struct(
    caller: Callers, method: str, args: Any, named: Any, verb: str, target: str, body: Any, answer: Any
) -> None:
    call = caller(answers(httpx.Response(200, content=msgspec.json.encode(answer))))
    assert call(method, *args, **named) == answer
    (request,) = call.requests
    assert (request.method, request.url.raw_path.decode()) == (verb, target)
    assert (msgspec.json.decode(request.content) if request.content else None) == body
    has_key = verb == "POST" or (verb == "DELETE" and not target.startswith(GPU))
    assert ("Idempotency-Key" in request.headers) == has_key
    assert request.headers.get("Content-Type") == ("application/json" if body is not None else None)


@pytest.mark.parametrize(("method", "named", "target", "row", "page"), LISTINGS)
def test_a_listing_yields_the_rows_of_every_page(
    caller: Callers, method: str, named: Any, target: str, row: Any, page: Any
) -> None:
    pages = [page([row, row], next="a/b"), page([row], next=None)]
    call = caller(answers(*[httpx.Response(200, content=msgspec.json.encode(each)) for each in pages]))
    assert call(method, **named) == [row, row, row]
    first, second = (request.url.raw_path.decode() for request in call.requests)
    assert (first, second) == (target, f"{target}&after=a%2Fb")


def test_events_are_read_by_seq_until_the_head_is_reached(caller: Callers) -> None:
    pages = [events.Events([EVENT], next=3, head=9), events.Events([], next=9, head=9)]
    call = caller(answers(*[httpx.Response(200, content=msgspec.json.encode(each)) for each in pages]))
    assert call("events", after=2) == [EVENT]
    assert [request.url.params["after"] for request in call.requests] == ["2", "3"]
    assert {request.url.params["lane"] for request in call.requests} == {"hours"}


def test_events_are_followed_without_an_end(caller: Callers) -> None:
    pages = [events.Events([EVENT], next=3, head=3), events.Events([], next=4, head=4)]
    replies = [httpx.Response(200, content=msgspec.json.encode(each)) for each in pages] + [httpx.Response(401)]
    call = caller(answers(*replies))
    with pytest.raises(Unauthenticated):
        call("follow_events", after=2, kind="bid_placed")
    asked = [dict(request.url.params) for request in call.requests]
    assert [each["after"] for each in asked] == ["2", "3", "4"]
    assert {(each["kind"], each["wait_seconds"]) for each in asked} == {("bid_placed", "20")}


def test_deliveries_are_followed_backwards(caller: Callers) -> None:
    pages = [webhooks.Deliveries([DELIVERY], next="0f"), webhooks.Deliveries([DELIVERY], next=None)]
    call = caller(answers(*[httpx.Response(200, content=msgspec.json.encode(each)) for each in pages]))
    assert call("webhook_deliveries", webhook_id=7, state="failed") == [DELIVERY, DELIVERY]
    targets = [request.url.raw_path.decode() for request in call.requests]
    first = f"{HOOKS}/7/deliveries?lane=hours&state=failed&limit=500"
    assert targets == [first, f"{first}&before=0f"]


def test_a_plain_array_is_followed_by_its_link(caller: Callers) -> None:
    body = msgspec.json.encode([ASSIGNMENT, ASSIGNMENT])
    link = {"Link": '</api/v1/ip/allocations?limit=2&after=00ff>; rel="next"'}
    call = caller(answers(httpx.Response(200, content=body, headers=link), httpx.Response(200, content=body)))
    assert call("assigned_ips", network="lan", page_size=2) == [ASSIGNMENT] * 4
    targets = [request.url.raw_path.decode() for request in call.requests]
    first = "/api/v1/ip/allocations?network=lan&limit=2"
    assert targets == [first, f"{first}&after=00ff"]


@pytest.mark.parametrize("content", [b"{}", b"[1]", b"<html>"])
def test_an_array_of_something_else_is_unintelligible(caller: Callers, content: bytes) -> None:
    call = caller(answers(httpx.Response(200, content=content)))
    with pytest.raises(Unintelligible):
        call("assigned_ips")


def test_a_market_name_cannot_leave_its_place_in_the_path(caller: Callers) -> None:
    call = caller(answers(httpx.Response(200, content=msgspec.json.encode(BID))))
    call("bid", 7, market="../x?y")
    assert call.requests[0].url.raw_path == b"/api/v1/hours/markets/..%2Fx%3Fy/bids/7"


@pytest.mark.parametrize("content", [b"<html>a proxy's page</html>", b'{"bid_id":"seven"}', b""])
def test_a_success_in_another_language_is_unintelligible(caller: Callers, content: bytes) -> None:
    call = caller(answers(httpx.Response(200, content=content)))
    with pytest.raises(Unintelligible) as caught:
        call("buy", "u1", volume=1, price=1)
    assert not caught.value.outcome_known


def test_the_two_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(client: type) -> dict[str, list[inspect.Parameter]]:
        public = {name: value for name, value in vars(client).items() if not name.startswith("_") and callable(value)}
        return {name: list(inspect.signature(value).parameters.values()) for name, value in public.items()}

    assert methods(Client) == methods(AsyncClient)
    assert set(methods(Client)) >= {name for name, *_ in CALLS} | {name for name, *_ in LISTINGS} | {
        "events",
        "events_page",
        "follow_events",
        "webhook_deliveries",
        "assigned_ips",
    }
