"""The two clients: the same calls and the same conversations, carried out with and without `await`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast
from urllib.parse import urlsplit

import httpx

from marketplace.client import address_calls, calls, event_calls, webhook_calls
from marketplace.client.exchange import DEFAULT_RETRY, Patience, Retry, converse
from marketplace.client.requests import Call, Listing

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
# Longer than the server lets anything wait, so that what we gave up on does not take effect much later.
TIMEOUT_SECONDS = 30.0
CONNECT_SECONDS = 5.0


def _with_self(method: Callable[P, T], describe: Callable[..., object], *, returns: str) -> Callable[P, T]:
    """Give the method the description's parameters behind `self` and its own answer, for `help()` and editors."""
    described = inspect.signature(describe)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    row = str(described.return_annotation).partition("[")[2].removesuffix("]")
    signature = described.replace(
        parameters=[own, *described.parameters.values()], return_annotation=returns.format(row)
    )
    method.__signature__ = signature  # type: ignore[attr-defined]
    return method


def _now(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(describe)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(describe(*args, **kwargs))

    return _with_self(method, describe, returns="{}")


def _pages(describe: Callable[P, Listing[T]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    @functools.wraps(describe)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.iterate(describe(*args, **kwargs))

    return _with_self(method, describe, returns="Iterator[{}]")


def _awaited(describe: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @functools.wraps(describe)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.send(describe(*args, **kwargs))

    return _with_self(method, describe, returns="{}")


def _async_pages(describe: Callable[P, Listing[T]]) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    @functools.wraps(describe)
    def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.iterate(describe(*args, **kwargs))

    return _with_self(method, describe, returns="AsyncIterator[{}]")


class Client:
    """Talks to a marketplace, one call at a time; threads may share it."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
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
            headers=headers,
            timeout=_timeout(timeout_seconds),
            transport=transport,
            verify=_tls(url),
            trust_env=_needs_proxy(url),
        )

    buy = _now(calls.buy)
    sell = _now(calls.sell)
    allocation = _now(calls.allocation)
    markets = _pages(calls.markets)
    market = _now(calls.market)
    create_market = _now(calls.create_market)
    open_market = _now(calls.open_market)
    close_market = _now(calls.close_market)
    place_bid = _now(calls.place_bid)
    bid = _now(calls.bid)
    bids = _pages(calls.bids)
    cancel_bid = _now(calls.cancel_bid)
    amend_bid = _now(calls.amend_bid)
    add_supply = _now(calls.add_supply)
    supply = _now(calls.supply)
    supplies = _pages(calls.supplies)
    withdraw_supply = _now(calls.withdraw_supply)
    run_orders = _now(calls.run_orders)
    book = _now(calls.book)
    fills = _pages(calls.fills)
    allocations = _pages(calls.allocations)
    candles = _now(calls.candles)
    preview = _now(calls.preview)
    events = _pages(event_calls.list_events)
    events_page = _now(event_calls.events_page)
    follow_events = _pages(event_calls.follow_events)
    allocate_ip = _now(address_calls.allocate_ip)
    allocate_ips = _now(address_calls.allocate_ips)
    release_ip = _now(address_calls.release_ip)
    release_address = _now(address_calls.release_address)
    release_ips = _now(address_calls.release_ips)
    assigned_ip = _now(address_calls.assigned_ip)
    assigned_ips = _pages(address_calls.assigned_ips)
    ip_stats = _now(address_calls.ip_stats)
    reconcile_ips = _now(address_calls.reconcile_ips)
    networks = _pages(address_calls.networks)
    network = _now(address_calls.network)
    reserved_ranges = _now(address_calls.reserved_ranges)
    create_network = _now(address_calls.create_network)
    delete_network = _now(address_calls.delete_network)
    create_webhook = _now(webhook_calls.create_webhook)
    webhooks = _pages(webhook_calls.webhooks_of)
    webhook = _now(webhook_calls.webhook)
    change_webhook = _now(webhook_calls.change_webhook)
    delete_webhook = _now(webhook_calls.delete_webhook)
    rotate_webhook = _now(webhook_calls.rotate_webhook)
    try_webhook = _now(webhook_calls.try_webhook)
    webhook_deliveries = _pages(webhook_calls.webhook_deliveries)
    replay_events = _now(webhook_calls.replay_events)

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


class AsyncClient:
    """Talks to a marketplace from asyncio; up to `connections` calls run side by side, the others wait their turn."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
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
            headers=headers,
            timeout=_timeout(timeout_seconds),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            transport=transport,
            verify=_tls(url),
            trust_env=_needs_proxy(url),
        )

    buy = _awaited(calls.buy)
    sell = _awaited(calls.sell)
    allocation = _awaited(calls.allocation)
    markets = _async_pages(calls.markets)
    market = _awaited(calls.market)
    create_market = _awaited(calls.create_market)
    open_market = _awaited(calls.open_market)
    close_market = _awaited(calls.close_market)
    place_bid = _awaited(calls.place_bid)
    bid = _awaited(calls.bid)
    bids = _async_pages(calls.bids)
    cancel_bid = _awaited(calls.cancel_bid)
    amend_bid = _awaited(calls.amend_bid)
    add_supply = _awaited(calls.add_supply)
    supply = _awaited(calls.supply)
    supplies = _async_pages(calls.supplies)
    withdraw_supply = _awaited(calls.withdraw_supply)
    run_orders = _awaited(calls.run_orders)
    book = _awaited(calls.book)
    fills = _async_pages(calls.fills)
    allocations = _async_pages(calls.allocations)
    candles = _awaited(calls.candles)
    preview = _awaited(calls.preview)
    events = _async_pages(event_calls.list_events)
    events_page = _awaited(event_calls.events_page)
    follow_events = _async_pages(event_calls.follow_events)
    allocate_ip = _awaited(address_calls.allocate_ip)
    allocate_ips = _awaited(address_calls.allocate_ips)
    release_ip = _awaited(address_calls.release_ip)
    release_address = _awaited(address_calls.release_address)
    release_ips = _awaited(address_calls.release_ips)
    assigned_ip = _awaited(address_calls.assigned_ip)
    assigned_ips = _async_pages(address_calls.assigned_ips)
    ip_stats = _awaited(address_calls.ip_stats)
    reconcile_ips = _awaited(address_calls.reconcile_ips)
    networks = _async_pages(address_calls.networks)
    network = _awaited(address_calls.network)
    reserved_ranges = _awaited(address_calls.reserved_ranges)
    create_network = _awaited(address_calls.create_network)
    delete_network = _awaited(address_calls.delete_network)
    create_webhook = _awaited(webhook_calls.create_webhook)
    webhooks = _async_pages(webhook_calls.webhooks_of)
    webhook = _awaited(webhook_calls.webhook)
    change_webhook = _awaited(webhook_calls.change_webhook)
    delete_webhook = _awaited(webhook_calls.delete_webhook)
    rotate_webhook = _awaited(webhook_calls.rotate_webhook)
    try_webhook = _awaited(webhook_calls.try_webhook)
    webhook_deliveries = _async_pages(webhook_calls.webhook_deliveries)
    replay_events = _awaited(webhook_calls.replay_events)

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


def _timeout(seconds: float) -> httpx.Timeout:
    return httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))


def _tls(url: str) -> ssl.SSLContext | bool:
    """Check certificates as usual; but loading the authorities takes longer than a request, so not for plain http."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.startswith("http:") else True


def _needs_proxy(url: str) -> bool:
    """Heed the proxy settings of the environment, but not on the way to this machine itself."""
    return urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1")
