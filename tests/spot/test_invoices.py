"""Bills say what was charged, to whom and for which time."""

from __future__ import annotations

import pytest

from marketplace.foundation.clock import SECOND
from marketplace.spot import errors, invoices
from marketplace.spot.invoices import LeaseBill, Month, MonthlyLine, MonthlySum
from tests.spot.desk import CREDIT, Desk
from tests.spot.running import end, run, set_price, settle_for

SECONDLY = 3.6
JANUARY, FEBRUARY = Month.of(2026, 1), Month.of(2026, 2)


@pytest.fixture(autouse=True)
async def node(desk: Desk) -> None:
    await desk.add_node("n", 1_000)


async def bill(desk: Desk, lease_id: int, *, after: int | None = None, limit: int = 100) -> LeaseBill:
    found = await desk.read(invoices.lease_bill, lease_id, after=after, limit=limit)
    assert isinstance(found, LeaseBill)
    return found


async def month(desk: Desk, username: str, of: Month, *, after: int | None = None) -> list[MonthlyLine]:
    return list(await desk.read(invoices.monthly_bill, username, of, after=after, limit=100))


async def test_a_bill_has_a_line_for_each_interval_of_the_price(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    started = desk.clock()
    for price in (SECONDLY / 2, SECONDLY / 4):
        await settle_for(desk, 40)
        await set_price(desk, price)
    assert (await bill(desk, lease_id)).ended_at is None
    await settle_for(desk, 40)
    await end(desk, lease_id)
    done = await bill(desk, lease_id)
    assert (done.bid_id, done.username, done.cpu_millis, done.memory_mib) == (bid_id, "ann", 1_000, 2_048)
    assert (done.started_at, done.ended_at, done.charged_until) == (started, desk.clock(), desk.clock())
    assert [line.charged_micros for line in done.lines] == [40_000, 20_000, 10_000]
    assert [line.unit_price_micros for line in done.lines] == [3_600_000, 1_800_000, 900_000]
    assert (done.charged_micros, done.paid_micros) == (70_000, 70_000)


async def test_a_long_bill_comes_in_pages(desk: Desk) -> None:
    _, lease_id = await run(desk, "ann", SECONDLY)
    for number in range(6):
        desk.clock.advance(10)
        await set_price(desk, 1 + number)
    await end(desk, lease_id)
    whole = (await bill(desk, lease_id)).lines
    assert len(whole) == 6
    pages, after = [], None
    while lines := (await bill(desk, lease_id, after=after, limit=2)).lines:
        pages.append(lines)
        after = lines[-1].from_at
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [line for page in pages for line in page] == whole


async def test_there_is_no_bill_of_what_never_ran(desk: Desk) -> None:
    for lease_id in (1, 10**6):
        with pytest.raises(errors.UnknownLease):
            await bill(desk, lease_id)


async def test_a_month_is_billed_by_lease_and_a_lease_over_two_months_in_both(desk: Desk) -> None:
    _, early = await run(desk, "ann", SECONDLY)
    _, theirs = await run(desk, "bob", SECONDLY)
    await settle_for(desk, 10)
    await end(desk, early)
    desk.clock.instant = JANUARY.to_at - 30 * SECOND
    _, over = await run(desk, "ann", SECONDLY)
    await settle_for(desk, 50)
    await end(desk, over)
    await end(desk, theirs)
    assert [(line.lease_id, line.ran, line.charged_micros) for line in await month(desk, "ann", JANUARY)] == [
        (early, 10 * SECOND, 10_000),
        (over, 30 * SECOND, 30_000),
    ]
    assert [(line.lease_id, line.charged_micros) for line in await month(desk, "ann", FEBRUARY)] == [(over, 20_000)]
    assert await month(desk, "ann", Month.of(2026, 3)) == []
    assert [line.lease_id for line in await month(desk, "ann", JANUARY, after=early)] == [over]
    sums = [await desk.read(invoices.monthly_sum, "ann", of) for of in (JANUARY, FEBRUARY, Month.of(2026, 3))]
    assert sums == [
        MonthlySum(2, 40 * SECOND, 40_000),
        MonthlySum(1, 20 * SECOND, 20_000),
        MonthlySum(0, 0, 0),
    ]
    assert (await desk.has("ann"))[0] == 1_000 * CREDIT - 60_000
