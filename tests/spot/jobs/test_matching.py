"""The matcher: what it asks for, and what it does when somebody was quicker."""

from __future__ import annotations

import asyncio

from marketplace.spot.commands import CancelBid
from marketplace.spot.matcher import Matcher
from marketplace.spot.news import News
from tests.spot.jobs.town import Town


def matcher(town: Town) -> Matcher:
    return Matcher(town.service.database, town.money, News(town.service.database, town.money))


async def used(town: Town) -> dict[str, int]:
    """Return how much cpu the open leases of each node have."""
    sums: dict[str, int] = {}
    for lease in await town.leases():
        if lease.state != "ended":
            bid = await town.bid_row(lease.bid_id)
            sums[lease.node] = sums.get(lease.node, 0) + bid.cpu_millis
    return sums


async def test_the_dearest_bids_get_the_room(town: Town) -> None:
    await town.node("n1", units=2)
    cheap, dear, dearest = [await town.bid("ann", price=price) for price in (1, 2, 3)]
    await matcher(town).match()
    states = [(await town.bid_row(bid_id)).state for bid_id in (cheap, dear, dearest)]
    assert states == ["submitted", "starting", "starting"]


async def test_many_matchers_at_once_never_overfill_a_node(town: Town) -> None:
    for number in range(5):
        await town.node(f"n{number}", units=4)

    async def trade(number: int) -> None:
        own = matcher(town)
        for turn in range(10):
            bid_id = await town.bid(f"u{number}", price=1 + (7 * turn + number) % 10, units=1 + turn % 3)
            await own.match()
            if turn % 4 == 3:
                await town.do(CancelBid(bid_id))
        await own.match()

    await asyncio.gather(*(trade(number) for number in range(5)))
    assert all(cpu <= 4_000 for cpu in (await used(town)).values())
    open_leases = [lease.bid_id for lease in await town.leases() if lease.state != "ended"]
    assert len(open_leases) == len(set(open_leases))


async def test_nothing_is_asked_for_where_nothing_is_to_be_done(town: Town) -> None:
    await town.node("n1", units=2)
    await town.bid("ann")
    one = matcher(town)
    await one.match()
    seq = await town.head()
    await one.match()
    await matcher(town).match()
    assert await town.head() == seq, "nor by a matcher that begins anew"
