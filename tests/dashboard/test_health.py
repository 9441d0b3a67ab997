"""The health of the system as its page shows it: rates of what is counted, and who is behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from marketplace.dashboard import health
from marketplace.database.meters import COMMIT_SECONDS, ORDERS, REFUSED_BUSY
from tests.dashboard.browsing import Browser
from tests.http.conftest import Client


class Idle(msgspec.Struct):
    """A lane in which nothing waits."""

    waiting_orders: int = 0

    def oldest_waiting_seconds(self) -> float:
        return 0.0


class Service(msgspec.Struct):
    lanes: Mapping[str, Any]


def test_rates_are_those_since_somebody_looked_a_second_ago() -> None:
    seconds = [100.0]
    sampler, service = health.Sampler(monotonic=lambda: seconds[0]), Service({"sampled": Idle(waiting_orders=3)})

    def read() -> health.LaneHealth:
        (lane,) = sampler.read(service)  # type: ignore[arg-type]
        return lane

    assert (read().orders_per_second, read().commit_milliseconds, read().waiting) == (0, None, 3)
    ORDERS.labels("sampled").inc(100)
    REFUSED_BUSY.labels("sampled", "full").inc(2)
    for _ in range(4):
        COMMIT_SECONDS.labels("sampled").observe(0.005)
    seconds[0] += 2
    assert (read().orders_per_second, round(read().commit_milliseconds or 0, 3), read().refused) == (50, 5.0, 2)
    seconds[0] += 0.25
    ORDERS.labels("sampled").inc(1)
    assert read().orders_per_second == 50, "a moment is too short to tell a rate from"
    seconds[0] += 1
    assert 0 < read().orders_per_second < 1
    seconds[0] += 1
    assert (read().orders_per_second, read().commit_milliseconds) == (0, None)


def test_the_page_tells_where_the_logs_are(market: Client) -> None:
    market.post("/buy", json={"username": "ann", "volume": 1, "price": 1})
    page = Browser(market).html("/dashboard/admin")
    assert "Nobody follows the logs." in page
    assert "Deliveries pending</dt><dd>0" in page
