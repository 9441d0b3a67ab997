"""A few orders put out to solvers: filled, with and without a surplus, reassigned, cancelled, expired, still open."""

from __future__ import annotations

from typing import Any

from marketplace.auctions import CancelOrder, PlaceBid, PlaceOrder, SetBook, Tick
from marketplace.auctions import Deposit as Deliver
from marketplace.database import Lane
from marketplace.foundation.clock import SECOND
from marketplace.ledger import Deposit
from tests.services.clock import SettableClock

CREDIT = 1_000_000
WINDOW, FULFIL, GRACE = 5, 10, 2


async def solicit_for_a_while(lane: Lane, clock: SettableClock) -> None:
    """Let olga put orders for hours out; s1 and s2 keep their word, s3 does not and is blocked, s4 never wins."""
    await lane.run(Deposit("olga", 1_000 * CREDIT))
    for solver in ("s1", "s2", "s3", "s4"):
        await lane.run(Deposit(solver, 500, asset="hour"))
        await lane.run(Deposit(solver, 100 * CREDIT))
    await lane.run(SetBook("default", bond=3 * CREDIT))
    kept = await _order(lane, clock, limit_output=10)
    await _bid(lane, clock, kept, s1=3, s4=1)
    await _tick(lane, clock, WINDOW)
    clock.advance(1.5)
    await lane.run(Deliver(kept, "s1", 300 + 12))
    await _tick(lane, clock)
    for _ in range(2):
        broken = await _order(lane, clock, limit_output=10)
        await _bid(lane, clock, broken, s3=5, s2=2)
        await _tick(lane, clock, WINDOW)
        await lane.run(Deliver(broken, "s3", 1))
        await _tick(lane, clock, FULFIL + GRACE)
        await lane.run(Deliver(broken, "s2"))
        await _tick(lane, clock)
    unbound = await _order(lane, clock, input_budget=None)
    await _bid(lane, clock, unbound, s1=1)
    await _tick(lane, clock, WINDOW)
    await lane.run(Deliver(unbound, "s1"))
    await _tick(lane, clock)
    await lane.run(CancelOrder(await _order(lane, clock)))
    await _order(lane, clock, expires_at=clock() + 60 * SECOND)
    await _tick(lane, clock, 60)
    await _bid(lane, clock, await _order(lane, clock), s4=1)
    await lane.run(_an_order())


def _an_order(**more: Any) -> PlaceOrder:
    fields: dict[str, Any] = {"limit_output": None, "input_asset": "credit", "input_budget": 120 * CREDIT}
    return PlaceOrder("default", "olga", "some hours", None, "hour", **fields | more)


async def _order(lane: Lane, clock: SettableClock, **more: Any) -> int:
    """Put an order out and let it be announced."""
    placed = await lane.run(_an_order(**more))
    await _tick(lane, clock)
    order_id: int = placed.order_id
    return order_id


async def _bid(lane: Lane, clock: SettableClock, order_id: int, **rates: int) -> None:
    """Let solvers bid for 100 credits, at so many hours each."""
    for solver, rate in rates.items():
        await lane.run(PlaceBid(order_id, solver, 100 * CREDIT, str(rate), clock() + 600 * SECOND))


async def _tick(lane: Lane, clock: SettableClock, seconds: float = 2) -> None:
    clock.advance(seconds)
    await lane.run(Tick("default", "q"))
