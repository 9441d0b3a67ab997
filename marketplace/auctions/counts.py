"""What this process counts of auctions, for Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import msgspec
from prometheus_client import Counter, Histogram

from marketplace.auctions.model import Ticked
from marketplace.foundation.errors import Refusal

Answer = TypeVar("Answer")

TICKS = Counter("marketplace_auction_ticks_total", "Ticks of auction books, by how they ended", ["book", "outcome"])
TICK_SECONDS = Histogram(
    "marketplace_auction_tick_seconds",
    "From sending a tick, which selects, to its commit",
    ["book"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
ORDERS = Counter(
    "marketplace_auction_orders_moved_total", "Orders that ticks moved, by what happened to them", ["book", "event"]
)
REQUESTS = Counter(
    "marketplace_auction_requests_total", "Bids, deposits and claims of solvers, by how they ended", ["what", "outcome"]
)

_EVENTS = ("added", "selected", "filled", "failed", "reassigned", "reopened", "expired")


def note_tick(book: str, ticked: Ticked, *, seconds: float) -> None:
    """Count what a tick did."""
    TICKS.labels(book, "done").inc()
    TICK_SECONDS.labels(book).observe(seconds)
    for event in _EVENTS:
        if count := getattr(ticked, event):
            ORDERS.labels(book, event).inc(count)


async def noted(what: str, taking: Awaitable[Answer]) -> Answer:
    """Count a request of a solver: `done`, or what it was refused as; a late deposit is `too_late`.

    An answer that was made ready, as those under an Idempotency-Key are, says by its status that it is a refusal.
    """
    try:
        answer = await taking
    except Refusal as refusal:
        REQUESTS.labels(what, refusal.code.rpartition(".")[2]).inc()
        raise
    status, content = getattr(answer, "status_code", None), getattr(answer, "content", b"")
    outcome = "done" if status is None or status < 400 else msgspec.json.decode(content, type=_Problem).code
    REQUESTS.labels(what, outcome.rpartition(".")[2]).inc()
    return answer


class _Problem(msgspec.Struct):
    code: str
