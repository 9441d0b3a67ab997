"""The two clients: the same calls and the same conversations, carried out with and without `await`."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from marketplace.client import address_calls, calls, event_calls, identity_calls, wallet_calls, webhook_calls
from marketplace.client.exchange import DEFAULT_RETRY, Patience, Retry, converse
from marketplace.client.methods import async_pages, awaited, now, pages
from marketplace.client.requests import Call, Listing
from marketplace.client.spot_methods import AsyncSpotMethods, SpotMethods

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
# Longer than the server lets anything wait, so that what we gave up on does not take effect much later.
TIMEOUT_SECONDS = 30.0
CONNECT_SECONDS = 5.0


class Client(SpotMethods):
    """Talks to a marketplace, one call at a time; threads may share it."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        retry: Retry = DEFAULT_RETRY,
        timeout_seconds: float = TIMEOUT_SECONDS,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._patience = Patience(retry, clock)
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=url,
            headers=_headers(headers, key),
            timeout=_timeout(timeout_seconds),
            transport=transport,
            verify=_tls(url),
            trust_env=_needs_proxy(url),
        )

    buy = now(calls.buy)
    sell = now(calls.sell)
    allocation = now(calls.allocation)
    markets = pages(calls.markets)
    market = now(calls.market)
    create_market = now(calls.create_market)
    open_market = now(calls.open_market)
    close_market = now(calls.close_market)
    place_bid = now(calls.place_bid)
    bid = now(calls.bid)
    bids = pages(calls.bids)
    cancel_bid = now(calls.cancel_bid)
    amend_bid = now(calls.amend_bid)
    add_supply = now(calls.add_supply)
    supply = now(calls.supply)
    supplies = pages(calls.supplies)
    withdraw_supply = now(calls.withdraw_supply)
    run_orders = now(calls.run_orders)
    book = now(calls.book)
    fills = pages(calls.fills)
    allocations = pages(calls.allocations)
    candles = now(calls.candles)
    preview = now(calls.preview)
    events = pages(event_calls.list_events)
    events_page = now(event_calls.events_page)
    follow_events = pages(event_calls.follow_events)
    allocate_ip = now(address_calls.allocate_ip)
    allocate_ips = now(address_calls.allocate_ips)
    release_ip = now(address_calls.release_ip)
    release_address = now(address_calls.release_address)
    release_ips = now(address_calls.release_ips)
    assigned_ip = now(address_calls.assigned_ip)
    assigned_ips = pages(address_calls.assigned_ips)
    ip_stats = now(address_calls.ip_stats)
    reconcile_ips = now(address_calls.reconcile_ips)
    networks = pages(address_calls.networks)
    network = now(address_calls.network)
    reserved_ranges = now(address_calls.reserved_ranges)
    create_network = now(address_calls.create_network)
    delete_network = now(address_calls.delete_network)
    me = now(identity_calls.me)
    members = pages(identity_calls.members)
    member = now(identity_calls.member)
    create_member = now(identity_calls.create_member)
    keys = pages(identity_calls.keys)
    key = now(identity_calls.key)
    create_key = now(identity_calls.create_key)
    revoke_key = now(identity_calls.revoke_key)
    wallet = now(wallet_calls.wallet)
    statement = pages(wallet_calls.statement)
    deposit = now(wallet_calls.deposit)
    withdraw = now(wallet_calls.withdraw)
    transfer = now(wallet_calls.transfer)
    set_wallet = now(wallet_calls.set_wallet)
    assets = pages(wallet_calls.assets)
    add_asset = now(wallet_calls.add_asset)
    create_webhook = now(webhook_calls.create_webhook)
    webhooks = pages(webhook_calls.webhooks_of)
    webhook = now(webhook_calls.webhook)
    change_webhook = now(webhook_calls.change_webhook)
    delete_webhook = now(webhook_calls.delete_webhook)
    rotate_webhook = now(webhook_calls.rotate_webhook)
    try_webhook = now(webhook_calls.try_webhook)
    webhook_deliveries = pages(webhook_calls.webhook_deliveries)
    replay_events = now(webhook_calls.replay_events)

    def send(self, call: Call[T]) -> T:
        """Carry out a call. Raises MarketplaceError."""
        conversation = converse(call, self._patience)
        step = next(conversation)
        while True:
            try:
                step = conversation.send(self._take(step))
            except StopIteration as end:
                return cast(T, end.value)

    def iterate(self, listing: Listing[T]) -> Iterator[T]:
        """Yield the rows of every page, asking for a page when the one before is used up."""
        call: Call[Any] | None = listing.first
        while call is not None:
            page = self.send(call)
            yield from page.items
            call = listing.following(page)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, step: Call[T] | float) -> httpx.Response | httpx.RequestError | None:
        if isinstance(step, float):
            self._sleep(step)
            return None
        try:
            return self._http.request(
                step.method, step.path, params=step.query, content=step.body, headers=step.headers
            )
        except httpx.RequestError as error:
            return error


class AsyncClient(AsyncSpotMethods):
    """Talks to a marketplace from asyncio; up to `connections` calls run side by side, the others wait their turn."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        key: str | None = None,
        retry: Retry = DEFAULT_RETRY,
        timeout_seconds: float = TIMEOUT_SECONDS,
        connections: int = 100,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self._patience = Patience(retry, clock)
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            base_url=url,
            headers=_headers(headers, key),
            timeout=_timeout(timeout_seconds),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            transport=transport,
            verify=_tls(url),
            trust_env=_needs_proxy(url),
        )

    buy = awaited(calls.buy)
    sell = awaited(calls.sell)
    allocation = awaited(calls.allocation)
    markets = async_pages(calls.markets)
    market = awaited(calls.market)
    create_market = awaited(calls.create_market)
    open_market = awaited(calls.open_market)
    close_market = awaited(calls.close_market)
    place_bid = awaited(calls.place_bid)
    bid = awaited(calls.bid)
    bids = async_pages(calls.bids)
    cancel_bid = awaited(calls.cancel_bid)
    amend_bid = awaited(calls.amend_bid)
    add_supply = awaited(calls.add_supply)
    supply = awaited(calls.supply)
    supplies = async_pages(calls.supplies)
    withdraw_supply = awaited(calls.withdraw_supply)
    run_orders = awaited(calls.run_orders)
    book = awaited(calls.book)
    fills = async_pages(calls.fills)
    allocations = async_pages(calls.allocations)
    candles = awaited(calls.candles)
    preview = awaited(calls.preview)
    events = async_pages(event_calls.list_events)
    events_page = awaited(event_calls.events_page)
    follow_events = async_pages(event_calls.follow_events)
    allocate_ip = awaited(address_calls.allocate_ip)
    allocate_ips = awaited(address_calls.allocate_ips)
    release_ip = awaited(address_calls.release_ip)
    release_address = awaited(address_calls.release_address)
    release_ips = awaited(address_calls.release_ips)
    assigned_ip = awaited(address_calls.assigned_ip)
    assigned_ips = async_pages(address_calls.assigned_ips)
    ip_stats = awaited(address_calls.ip_stats)
    reconcile_ips = awaited(address_calls.reconcile_ips)
    networks = async_pages(address_calls.networks)
    network = awaited(address_calls.network)
    reserved_ranges = awaited(address_calls.reserved_ranges)
    create_network = awaited(address_calls.create_network)
    delete_network = awaited(address_calls.delete_network)
    me = awaited(identity_calls.me)
    members = async_pages(identity_calls.members)
    member = awaited(identity_calls.member)
    create_member = awaited(identity_calls.create_member)
    keys = async_pages(identity_calls.keys)
    key = awaited(identity_calls.key)
    create_key = awaited(identity_calls.create_key)
    revoke_key = awaited(identity_calls.revoke_key)
    wallet = awaited(wallet_calls.wallet)
    statement = async_pages(wallet_calls.statement)
    deposit = awaited(wallet_calls.deposit)
    withdraw = awaited(wallet_calls.withdraw)
    transfer = awaited(wallet_calls.transfer)
    set_wallet = awaited(wallet_calls.set_wallet)
    assets = async_pages(wallet_calls.assets)
    add_asset = awaited(wallet_calls.add_asset)
    create_webhook = awaited(webhook_calls.create_webhook)
    webhooks = async_pages(webhook_calls.webhooks_of)
    webhook = awaited(webhook_calls.webhook)
    change_webhook = awaited(webhook_calls.change_webhook)
    delete_webhook = awaited(webhook_calls.delete_webhook)
    rotate_webhook = awaited(webhook_calls.rotate_webhook)
    try_webhook = awaited(webhook_calls.try_webhook)
    webhook_deliveries = async_pages(webhook_calls.webhook_deliveries)
    replay_events = awaited(webhook_calls.replay_events)

    async def send(self, call: Call[T]) -> T:
        """Carry out a call. Raises MarketplaceError."""
        conversation = converse(call, self._patience)
        step = next(conversation)
        while True:
            try:
                step = conversation.send(await self._take(step))
            except StopIteration as end:
                return cast(T, end.value)

    async def iterate(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Yield the rows of every page, asking for a page when the one before is used up."""
        call: Call[Any] | None = listing.first
        while call is not None:
            page = await self.send(call)
            for row in page.items:
                yield row
            call = listing.following(page)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _take(self, step: Call[T] | float) -> httpx.Response | httpx.RequestError | None:
        if isinstance(step, float):
            await self._sleep(step)
            return None
        try:
            return await self._http.request(
                step.method, step.path, params=step.query, content=step.body, headers=step.headers
            )
        except httpx.RequestError as error:
            return error


def _headers(more: Mapping[str, str] | None, key: str | None) -> dict[str, str]:
    """Return what goes along with every request; `key` is the API key to call with."""
    return dict(more or {}) | ({"Authorization": f"Bearer {key}"} if key else {})


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def _tls(url: str) -> ssl.SSLContext | bool:
    """Check certificates as usual; but loading the authorities takes longer than a request, so not for plain http."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http:") else True


def _needs_proxy(url: str) -> bool:
    """Heed the proxy settings of the environment, but not on the way to this machine itself."""
    return urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1")
