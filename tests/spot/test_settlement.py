"""Running leases are charged on a clock, members pay for theirs together, and who can pay no longer stops."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace import ledger, spot
from marketplace.foundation.clock import SECOND
from marketplace.ledger import Deposit, Withdraw
from tests.spot.desk import CREDIT, Desk
from tests.spot.running import end, lines, run, set_price, settle, settle_for, start

WALLET = 1_000 * CREDIT
SECONDLY = 3.6
"""An hourly price of which each second costs 1 000 micro-credits."""


@pytest.fixture(autouse=True)
async def node(desk: Desk) -> None:
    await desk.add_node("n", 1_000)


async def leave(desk: Desk, username: str, micros: int) -> None:
    """Leave so much available in a wallet."""
    _, available = await desk.has(username)
    if available > micros:
        await desk.run(Withdraw(username, available - micros))


# ── charged and paid ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_lease_pays_for_each_second_that_it_ran(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    await settle_for(desk, 95)
    lease = await desk.lease_of(bid_id)
    assert lease.paid_micros == lease.charged_micros > 85_000
    await end(desk, lease_id)
    lease = await desk.lease_of(bid_id)
    assert (lease.charged_micros, lease.paid_micros, lease.settle_at) == (95_000, 95_000, None)
    assert await desk.has("ann") == (WALLET - 95_000, WALLET - 95_000)
    assert (await desk.bid_of(bid_id)).charged_micros == 95_000
    assert await desk.state(bid_id) == "completed"


async def test_a_short_lease_pays_once_from_what_is_held(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY, at=1.8)
    await settle_for(desk, 21)
    await end(desk, lease_id)
    assert "leases_charged" not in await desk.kinds()
    assert await desk.has("ann") == (WALLET - 10_500, WALLET - 10_500)
    assert (await desk.lease_of(bid_id)).paid_micros == 10_500


async def test_nothing_is_charged_that_is_not_due(desk: Desk) -> None:
    await run(desk, "ann", SECONDLY)
    desk.clock.advance(5)
    before = await desk.everything()
    assert await settle(desk) == 0
    assert await desk.everything() == before


async def test_leases_of_a_member_are_paid_in_one_transfer(desk: Desk) -> None:
    for _ in range(3):
        await run(desk, "ann", SECONDLY)
    await run(desk, "bob", 2 * SECONDLY, at=SECONDLY)
    await settle_for(desk, 60)
    desk.clock.advance(10)
    assert await settle(desk) == 4
    charges = [data for kind, data in await desk.log() if kind == "leases_charged"]
    assert {len(data["charges"]) for data in charges if data["username"] == "ann"} == {3}
    total = sum(round(float(data["amount"]) * CREDIT) for data in charges if data["username"] == "ann")
    assert (await desk.has("ann"))[0] == WALLET - total


async def test_a_settlement_takes_no_more_leases_than_it_was_told(desk: Desk) -> None:
    for _ in range(5):
        await run(desk, "ann", SECONDLY)
    desk.clock.advance(60)
    assert [await settle(desk, 2) for _ in range(4)] == [2, 2, 1, 0]
    desk.clock.advance(60)
    assert await desk.together(spot.Settle(2), spot.Settle(2)) == [4, 0]


async def test_what_costs_nothing_is_metered_without_an_entry(desk: Desk) -> None:
    bid_id, _ = await run(desk, "ann", SECONDLY, at=0)
    before = await desk.kinds()
    desk.clock.advance(61)
    assert await settle(desk) == 1
    assert await desk.kinds() == before
    assert (await desk.lease_of(bid_id)).metered_until == desk.clock()
    assert await settle(desk) == 0


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bill_has_a_line_for_each_price(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    started = desk.clock()
    desk.clock.advance(70)
    await set_price(desk, SECONDLY / 2)
    desk.clock.advance(10)
    await settle(desk)
    desk.clock.advance(20)
    await end(desk, lease_id)
    first, second = await lines(desk, lease_id)
    assert (first.from_at, first.charged_micros) == (started, 70_000)
    assert (second.to_at, second.charged_micros) == (desk.clock(), 15_000)
    assert (await desk.lease_of(bid_id)).charged_micros == 85_000


async def test_a_line_ends_with_its_day(desk: Desk) -> None:
    desk.clock.advance(86_400 - 30)
    _, lease_id = await run(desk, "ann", SECONDLY)
    await settle_for(desk, 50)
    await end(desk, lease_id)
    assert [line.charged_micros for line in await lines(desk, lease_id)] == [30_000, 20_000]


async def test_an_amended_max_price_counts_from_then_on_and_what_was_owed_is_paid(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY, at=10 * SECONDLY)
    desk.clock.advance(30)
    await desk.run(spot.AmendBid(bid_id, round(2 * SECONDLY * CREDIT)))
    assert (await desk.lease_of(bid_id)).paid_micros == 30_000
    desk.clock.advance(10)
    await end(desk, lease_id)
    assert [line.charged_micros for line in await lines(desk, lease_id)] == [30_000, 20_000]


# ── ends that come to be known later ─────────────────────────────────────────────────────────────────────────────────


async def test_what_was_paid_for_time_after_the_end_is_given_back(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    await settle_for(desk, 100)
    desk.clock.advance(15)
    await settle(desk)
    await end(desk, lease_id, ago=35)
    lease = await desk.lease_of(bid_id)
    assert (lease.charged_micros, lease.paid_micros) == (80_000, 80_000)
    assert await desk.has("ann") == (WALLET - 80_000, WALLET - 80_000)


async def test_lines_that_were_closed_after_the_end_are_taken_back(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    for _ in range(4):
        desk.clock.advance(20)
        await set_price(desk, SECONDLY / 2)
        await settle(desk)
        desk.clock.advance(20)
        await set_price(desk, SECONDLY)
        await settle(desk)
    await end(desk, lease_id, ago=70)
    bill = await lines(desk, lease_id)
    assert [line.charged_micros for line in bill] == [20_000, 10_000, 20_000, 10_000, 10_000]
    lease = await desk.lease_of(bid_id)
    assert (lease.charged_micros, lease.paid_micros) == (70_000, 70_000)
    assert lease.metered_until == lease.ended_at == desk.clock() - 70 * SECOND


async def test_an_end_before_the_start_is_billed_nothing(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    await settle_for(desk, 70)
    await end(desk, lease_id, ago=1_000)
    assert (await desk.lease_of(bid_id)).charged_micros == 0
    assert await desk.has("ann") == (WALLET, WALLET)


async def test_a_lease_of_a_lost_node_pays_up_to_its_last_sign_of_life_and_the_bid_is_covered_anew(desk: Desk) -> None:
    bid_id, _ = await run(desk, "ann", SECONDLY)
    await settle_for(desk, 70)
    await desk.run(spot.Heartbeat(spot.DEFAULT_POOL, "n"))
    await settle_for(desk, 31)
    assert (await desk.lease_of(bid_id)).paid_micros > 85_000
    assert await desk.run(spot.LoseNodes(30)) == 1
    lease = await desk.lease_of(bid_id)
    assert (lease.charged_micros, lease.paid_micros) == (70_000, 70_000)
    assert await desk.state(bid_id) == "submitted"
    assert await desk.has("ann") == (WALLET - 70_000, WALLET - 70_000 - 60_000)


async def test_while_nothing_is_heard_of_a_node_its_leases_are_not_charged_on(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    await settle_for(desk, 70)
    await desk.run(spot.Heartbeat(spot.DEFAULT_POOL, "n"))
    desk.clock.advance(3 * 3_600)
    assert await settle(desk) == 1
    assert (await desk.lease_of(bid_id)).charged_micros == 100_000
    await desk.run(spot.Heartbeat(spot.DEFAULT_POOL, "n"))
    await settle_for(desk, 10)
    assert (await desk.lease_of(bid_id)).charged_micros > 10_800_000
    await end(desk, lease_id)
    assert (await desk.lease_of(bid_id)).charged_micros == 10_880_000


async def test_what_stays_unpaid_is_told(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    await leave(desk, "ann", 5_000)
    desk.clock.advance(100)  # nobody settled
    await end(desk, lease_id)
    (told,) = [data for kind, data in await desk.log() if kind == "insufficient_funds"]
    assert told["needed"] == "0.035"
    assert told["reason"] == "0.035 of the 0.10 that it has cost stay unpaid."
    assert (await desk.lease_of(bid_id)).paid_micros == 65_000
    assert await desk.has("ann") == (0, 0)


# ── money that runs out ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_whoever_can_pay_no_longer_is_told_and_stops_before_anything_stays_unpaid(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY)
    await leave(desk, "ann", 30_000)
    await settle_for(desk, 85)
    lease = await desk.lease_of(bid_id)
    assert (lease.state, lease.cause) == ("stopping", "insufficient_funds")
    assert lease.stop_at is not None
    assert lease.started_at is not None
    assert 85 * SECOND <= lease.stop_at - lease.started_at <= 90 * SECOND
    kinds = [kind for kind, _ in await desk.log()]
    assert kinds.index("funds_low") < kinds.index("insufficient_funds") < kinds.index("container_stop_requested")
    while desk.clock() < lease.stop_at:
        await settle_for(desk, 1)
    await end(desk, lease_id, exit_code=137)
    lease = await desk.lease_of(bid_id)
    assert lease.paid_micros == lease.charged_micros
    assert await desk.state(bid_id) == "cancelled"
    assert (await desk.has("ann"))[0] == 90_000 - lease.charged_micros


async def test_the_cheapest_a_unit_stops_first_although_it_is_not_due(desk: Desk) -> None:
    dear, _ = await run(desk, "ann", 4 * SECONDLY, at=SECONDLY)
    cheap, _ = await run(desk, "ann", 2 * SECONDLY, at=SECONDLY)
    await settle_for(desk, 60)
    await leave(desk, "ann", 0)
    await settle_for(desk, 100)
    states = [(await desk.lease_of(bid_id)).state for bid_id in (dear, cheap)]
    assert states == ["running", "stopping"]


async def test_money_that_comes_in_time_lets_a_lease_go_on(desk: Desk) -> None:
    bid_id, _ = await run(desk, "ann", SECONDLY)
    await leave(desk, "ann", 0)
    await settle_for(desk, 45)
    assert (await desk.lease_of(bid_id)).paid_micros == 0
    await desk.run(Deposit("ann", CREDIT))
    await settle_for(desk, 60)
    lease = await desk.lease_of(bid_id)
    assert lease.state == "running"
    assert lease.paid_micros > 90_000


async def test_a_credit_limit_pays_like_money(desk: Desk) -> None:
    bid_id, _ = await run(desk, "ann", SECONDLY)
    await leave(desk, "ann", 0)
    await desk.run(ledger.SetWallet("ann", credit_limit=CREDIT))
    await settle_for(desk, 120)
    assert (await desk.lease_of(bid_id)).state == "running"
    assert (await desk.has("ann"))[0] < 0


async def test_a_member_is_told_once_that_money_runs_low(desk: Desk) -> None:
    await run(desk, "ann", SECONDLY)
    await leave(desk, "ann", 350_000)
    await settle_for(desk, 120)
    low = [data for kind, data in await desk.log() if kind == "funds_low"]
    assert len(low) == 1
    assert 280 <= low[0]["seconds_left"] < 300


async def test_other_leases_of_the_member_count_for_how_long_the_money_lasts(desk: Desk) -> None:
    await run(desk, "ann", SECONDLY)
    await leave(desk, "ann", 500_000)
    await settle_for(desk, 45)
    assert "funds_low" not in await desk.kinds()
    await desk.run(Deposit("ann", 60_000))
    await run(desk, "ann", SECONDLY)
    await settle_for(desk, 12)
    assert "funds_low" in await desk.kinds()


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_budget_is_not_exceeded(desk: Desk) -> None:
    bid_id, lease_id = await run(desk, "ann", SECONDLY, budget_micros=75_000)
    await settle_for(desk, 66)
    lease = await desk.lease_of(bid_id)
    assert (lease.state, lease.cause) == ("stopping", "budget_spent")
    await settle_for(desk, 9)
    await end(desk, lease_id, exit_code=143)
    assert (await desk.bid_of(bid_id)).charged_micros == 75_000
    assert await desk.state(bid_id) == "cancelled"


async def test_the_budget_counts_for_all_leases_of_a_bid(desk: Desk) -> None:
    wish: dict[str, Any] = {"budget_micros": 75_000, "on_eviction": "requeue"}
    bid_id, lease_id = await run(desk, "ann", SECONDLY, **wish)
    await settle_for(desk, 50)
    await desk.run(spot.EvictLease(lease_id))
    await end(desk, lease_id, exit_code=143)
    assert await desk.state(bid_id) == "submitted"
    second = await start(desk, bid_id)
    await settle_for(desk, 16)
    assert (await desk.lease_of(bid_id)).cause == "budget_spent"
    await end(desk, second)
    assert (await desk.bid_of(bid_id)).charged_micros <= 75_000


async def test_a_higher_max_price_does_not_outrun_the_budget(desk: Desk) -> None:
    bid_id, _ = await run(desk, "ann", SECONDLY, at=10 * SECONDLY, budget_micros=150_000)
    desk.clock.advance(5)
    await desk.run(spot.AmendBid(bid_id, round(5 * SECONDLY * CREDIT)))
    await settle_for(desk, 20)
    assert (await desk.lease_of(bid_id)).cause == "budget_spent"
