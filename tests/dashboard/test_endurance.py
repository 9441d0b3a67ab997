"""A busy market in an open page: it stays live, and small. The long form: 500 orders a second, 5 minutes."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

    from tests.conftest import StartServer
    from tests.dashboard.screen import Screen

pytestmark = pytest.mark.slow

BATCH = 100
MOST_GROWTH = 3_000_000
"""Bytes that a heap may have gained: what a collection leaves behind varies by that much by itself."""


@contextmanager
def trading(url: str, *, orders_a_second: int) -> Iterator[list[float]]:
    """Send orders at a rate until the end; yield how late each batch was answered."""
    stop, late = threading.Event(), []
    prices = itertools.cycle(range(20, 60))

    def trade() -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            due = time.monotonic()
            while not stop.wait(max(due - time.monotonic(), 0)):
                orders: list[dict[str, Any]] = [
                    {"side": "buy", "username": f"u{number % 9}", "volume": 3, "price": next(prices)}
                    if number % 2
                    else {"side": "sell", "volume": 3, "min_price": 40 + number % 15}
                    for number in range(BATCH)
                ]
                client.post("/api/v1/hours/markets/default/orders:batch", json={"orders": orders}).raise_for_status()
                late.append(time.monotonic() - due)
                due += BATCH / orders_a_second

    trader = threading.Thread(target=trade)
    trader.start()
    try:
        yield late
    finally:
        stop.set()
        trader.join()


def heap(session: CDPSession) -> int:
    """Return the size of a page's heap after a collection."""
    session.send("HeapProfiler.collectGarbage")
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return int(next(one["value"] for one in metrics if one["name"] == "JSHeapUsedSize"))


def test_a_page_stays_live_and_small_in_a_busy_market(
    sqlite_url: str, start_server: StartServer, screen: Callable[..., Screen], is_soak: bool
) -> None:
    seconds, rate = (300, 500) if is_soak else (4, 200)
    server = start_server(sqlite_url, "--no-access-log", "--max-waiting-seconds", "60")
    begun_at = time.monotonic()
    with trading(server.url, orders_a_second=rate) as late:
        page = (visitor := screen(server.url)).open("/dashboard/hours")
        session = visitor.context.new_cdp_session(page)
        session.send("Performance.enable")
        for drawn in ("#candles canvas", "#depth canvas", "#tape td:nth-child(3)"):  # everything has been there once
            page.wait_for_selector(drawn)
        if is_soak:
            time.sleep(5)
        before, fills, is_live = heap(session), set(), False
        for _ in range(seconds):
            time.sleep(1)
            is_live = page.get_attribute("#live", "data-state") == "live"
            assert is_live or not is_soak
            fills.add(page.inner_text("#tape tbody tr >> nth=0"))
        grown = heap(session) - before
        page.close()
    done = len(late) * BATCH / (time.monotonic() - begun_at)
    print(f"{done:.0f} orders/s, {grown:,} bytes more in the heap, {len(fills)} fills seen")
    assert is_live
    assert len(fills) > seconds / 4, "the page moves"
    assert grown < MOST_GROWTH
