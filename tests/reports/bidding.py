"""A few days of the spot market: nodes that come and go, containers that end in every way, and bills over midnight."""

from __future__ import annotations

from marketplace import spot
from marketplace.ledger import Deposit, Withdraw
from tests.spot.desk import CREDIT, Desk

MEMBERS = ("ann", "bob", "cy")


async def bid_for_some_days(desk: Desk) -> None:
    """Let three members bid. At the end containers run, bids wait, and a node is cordoned."""
    for username in MEMBERS:
        await desk.run(Deposit(username, 100 * CREDIT))
    for node, units in (("a", 5), ("b", 2), ("c", 2)):
        await desk.add_node(node, units)
    await desk.run(spot.SetNode(pool=spot.DEFAULT_POOL, node="c", state="cordoned"))
    await desk.run(spot.SetPool(pool=spot.DEFAULT_POOL, reserve_micros=CREDIT // 10))
    for day in range(2):
        desk.clock.advance(86_400 - 1_800)
        await _night(desk, day)
        desk.clock.advance(1_800)
    await desk.running("ann", 1.25)
    await desk.running("bob", 2.50, units=1.5)
    for number in range(4):
        await desk.place("cy", 0.50 + number / 4, units=2)
    await desk.match()
    desk.clock.advance(5)


async def _night(desk: Desk, day: int) -> None:
    """Half an hour before midnight there are three containers, and some have to go."""
    done = await desk.running("ann", 1.00 + day)
    failed = await desk.running("bob", 0.80, units=2)
    displaced = await desk.running("cy", 0.60, units=3, on_eviction="requeue")
    await _settle_for(desk, 600)
    dear = await desk.place("ann", 9.00, units=3)
    await desk.match()
    await desk.end(displaced, 143)
    await desk.match()
    await desk.start(dear)
    await _settle_for(desk, 1_500)
    await desk.end(done, 0)
    await desk.end(failed, 3)
    poor = await desk.running("bob", 0.11)
    _, available = await desk.has("bob")
    await desk.run(Withdraw("bob", available))
    await _settle_for(desk, 90)
    await desk.end(poor, 137)
    await desk.run(Deposit("bob", available))
    lease = await desk.lease_of(dear)
    await desk.run(spot.EvictLease(lease.lease_id))
    await desk.end(dear, 143)
    bid = await desk.bid_of(displaced)
    await desk.run(spot.CancelBid(bid.bid_id))


async def _settle_for(desk: Desk, seconds: int) -> None:
    for _ in range(seconds // 30):
        desk.clock.advance(30)
        await desk.run(spot.Settle())
