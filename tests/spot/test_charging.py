"""What leases owe, who pays, and who has to stop: the rule by itself."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from marketplace.foundation.clock import DAY, HOUR, MINUTE, SECOND
from marketplace.spot import charging
from marketplace.spot.charging import STEP, Running, Settlement, Tab
from marketplace.spot.commands import STOP_GRACE_SECONDS
from marketplace.spot.invoices import Month
from marketplace.spot.metering import Line
from tests.spot.price_history import at_prices

GRACE = STOP_GRACE_SECONDS * SECOND
A_SECOND = 3_600
"""An hourly price: each second costs one micro-credit of it."""
START = 1_000 * DAY + HOUR
ANN = "ann"


def tab(lease_id: int = 1, *, max_price: int = 1_000 * A_SECOND, size: int = 1, **more: Any) -> Tab:
    return Tab(
        pool="default",
        lease_id=lease_id,
        size=size,
        parts=1,
        max_price_micros_per_hour=max_price,
        pricing="uniform",
        **more,
    )


def begun(lease_id: int = 1, *, held: int = 60_000, budget: int | None = None, **more: Any) -> Tab:
    """Let a lease begin that costs at most 1 000 micro-credits a second, of which 60 s are held."""
    return charging.begin(
        tab(lease_id, **more), started_at=START, username=ANN, held_micros=held, budget_left_micros=budget
    )


def ran(seconds: int, lease_id: int = 1, *, price: int = 1_000, **more: Any) -> Tab:
    """Return a lease that ran for so long at a price a second."""
    prices = at_prices((0, price * A_SECOND))
    return charging.charge(begun(lease_id, **more), prices, until=START + seconds * SECOND)[0]


def settle(*running: Running, available: int, seconds: int, per_hour: int = 0) -> Settlement:
    return charging.settle(
        ANN, running, available_micros=available, micros_per_hour=per_hour, now=START + seconds * SECOND
    )


# ── what is held ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("minimum_runtime", "held"),
    [
        pytest.param(60, 60_000, id="the minimum runtime"),
        pytest.param(0, 20_000, id="at least a settlement's step and the grace of a stop"),
    ],
)
def test_what_is_held_for_a_bid(minimum_runtime: int, held: int) -> None:
    assert charging.security(1_000 * A_SECOND, minimum_runtime_seconds=minimum_runtime) == held


def test_something_is_held_for_the_cheapest_bid() -> None:
    assert charging.security(1, minimum_runtime_seconds=0) == 1


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_line_grows_while_the_price_is_the_same() -> None:
    prices = at_prices((0, 5 * A_SECOND))
    once, closed = charging.charge(begun(), prices, until=START + 10 * SECOND)
    twice, more = charging.charge(once, prices, until=START + 30 * SECOND)
    assert [*closed, *more] == []
    assert twice.last_line == Line(START, START + 30 * SECOND, 5 * A_SECOND, 150)


def test_another_price_closes_the_line() -> None:
    change = START + 10 * SECOND
    prices = at_prices((0, 5 * A_SECOND), (change, 7 * A_SECOND))
    lease, closed = charging.charge(begun(), prices, until=START + 30 * SECOND)
    assert closed == [Line(START, change, 5 * A_SECOND, 50)]
    assert lease.last_line == Line(change, START + 30 * SECOND, 7 * A_SECOND, 140)
    assert lease.charged_micros == 190


def test_a_price_that_changed_at_the_start_leaves_no_empty_line() -> None:
    prices = at_prices((0, 5 * A_SECOND), (START, 7 * A_SECOND))
    lease, closed = charging.charge(begun(), prices, until=START + SECOND)
    assert closed == []
    assert lease.last_line == Line(START, START + SECOND, 7 * A_SECOND, 7)


def test_a_day_that_ends_closes_the_line() -> None:
    midnight = 1_001 * DAY
    lease, closed = charging.charge(begun(), at_prices((0, A_SECOND)), until=midnight + DAY + HOUR)
    assert [(line.from_at, line.to_at) for line in closed] == [(START, midnight), (midnight, midnight + DAY)]
    assert lease.line_from_at == midnight + DAY
    assert sum(line.charged_micros for line in closed) + lease.line_charged_micros == lease.charged_micros


def test_a_lease_that_ends_with_the_day_leaves_no_empty_line() -> None:
    midnight = 1_001 * DAY
    lease, closed = charging.charge(begun(), at_prices((0, A_SECOND)), until=midnight)
    assert [(line.from_at, line.to_at) for line in closed] == [(START, midnight)]
    assert lease.last_line is None


def test_up_to_an_amendment_the_old_max_price_counts() -> None:
    prices = at_prices((0, 9 * A_SECOND))
    change = START + 10 * SECOND
    cheap = begun(max_price=2 * A_SECOND)
    amended, closed = charging.amend(cheap, prices, max_price_micros=5 * A_SECOND, now=change)
    assert closed == [Line(START, change, 9 * A_SECOND, 20)]
    later, _ = charging.charge(amended, prices, until=change + 10 * SECOND)
    assert later.last_line == Line(change, change + 10 * SECOND, 9 * A_SECOND, 50)


def test_before_its_start_an_amendment_charges_nothing() -> None:
    amended, closed = charging.amend(tab(), [], max_price_micros=5, now=START)
    assert (amended, closed) == (tab(max_price=5), ())


def test_a_rule_that_is_installed_no_more_does_not_stop_the_billing() -> None:
    lease = replace(begun(), pricing="auctioned")
    charged, _ = charging.charge(lease, at_prices((0, 5 * A_SECOND)), until=START + SECOND)
    assert charged.charged_micros == 5


# ── an end that comes to be known later ──────────────────────────────────────────────────────────────────────────────


def test_time_after_the_end_is_taken_back() -> None:
    lease = ran(30, price=5)
    back, gone = charging.take_back(lease, [], until=START + 12 * SECOND)
    assert back.last_line == Line(START, START + 12 * SECOND, 5 * A_SECOND, 60)
    assert (back.charged_micros, gone) == (60, [])


def test_lines_after_the_end_are_taken_back() -> None:
    changes = [START + 10 * SECOND, START + 20 * SECOND]
    prices = at_prices((0, 5 * A_SECOND), (changes[0], 7 * A_SECOND), (changes[1], 9 * A_SECOND))
    lease, closed = charging.charge(begun(), prices, until=START + 30 * SECOND)
    back, gone = charging.take_back(lease, closed[1:], until=START + 15 * SECOND)
    assert gone == closed[1:]
    assert back.last_line == Line(changes[0], START + 15 * SECOND, 7 * A_SECOND, 35)
    assert back.charged_micros == 50 + 35


def test_an_end_at_the_very_start_leaves_nothing_to_pay() -> None:
    prices = at_prices((0, 5 * A_SECOND), (START + SECOND, 7 * A_SECOND))
    lease, closed = charging.charge(begun(), prices, until=START + 3 * SECOND)
    back, gone = charging.take_back(lease, closed, until=START)
    assert (back.charged_micros, back.last_line, gone) == (0, None, closed)


# ── when a lease is looked at ────────────────────────────────────────────────────────────────────────────────────────


def test_at_first_a_lease_is_left_alone_while_its_hold_covers_a_step_and_the_grace() -> None:
    first = begun().settle_at
    assert first is not None
    assert START + 30 * SECOND < first <= START + 40 * SECOND
    assert first == charging.next_on_grid(ANN, first - 1)


def test_at_first_a_lease_of_which_little_is_held_is_looked_at_at_once() -> None:
    assert begun(held=20_000).settle_at == START


def test_at_first_a_lease_is_looked_at_within_a_minute_however_much_is_held() -> None:
    first = begun(held=10**9).settle_at
    assert first is not None
    assert START + 50 * SECOND < first <= START + MINUTE


def test_a_small_budget_is_looked_at_when_it_may_be_spent() -> None:
    first = begun(budget=12_500).settle_at
    assert first is not None
    assert START + 1_500 * SECOND // 1_000 <= first < START + 1_502 * SECOND // 1_000


def test_leases_of_a_member_are_looked_at_together_and_those_of_many_members_spread() -> None:
    settled = settle(Running(ran(37), 60_000), Running(ran(31, 2), 60_000), available=10**9, seconds=40)
    assert len({each.tab.settle_at for each in settled.leases}) == 1
    offsets = {charging.next_on_grid(f"member-{number}", START) for number in range(1_000)}
    assert len(offsets) > 990
    assert all(START < offset <= START + STEP for offset in offsets)


# ── who pays, and who has to stop ────────────────────────────────────────────────────────────────────────────────────


def test_whoever_can_pay_pays_all_that_is_owed() -> None:
    done = settle(Running(ran(10), 60_000), Running(ran(10, 2, price=500), 60_000), available=15_000, seconds=10)
    assert done.paid_micros == 15_000
    assert [each.tab.owed_micros for each in done.leases] == [0, 0]
    assert [each.cause for each in done.leases] == [None, None]


def test_without_money_a_lease_goes_on_while_its_hold_covers_it_and_the_grace() -> None:
    """The worked example."""
    after_40 = settle(Running(ran(40), 60_000), available=0, seconds=40).leases[0]
    assert after_40.cause is None
    assert after_40.tab.settle_at is not None
    assert after_40.tab.settle_at <= START + 49_002 * SECOND // 1_000
    after_49 = settle(Running(ran(49), 60_000), available=0, seconds=49).leases[0]
    assert after_49.cause is None
    after_50 = settle(Running(ran(50), 60_000), available=0, seconds=50).leases[0]
    assert after_50.cause == "insufficient_funds"
    at_half = settle(Running(ran(98, price=500), 60_000), available=0, seconds=98).leases[0]
    assert at_half.cause is None


def test_the_cheapest_a_unit_has_to_stop_first_and_of_equals_the_youngest() -> None:
    dear = replace(ran(50, 3), max_price_micros_per_hour=1_100 * A_SECOND)
    large_and_cheap = replace(ran(50, 1, size=2, price=500), max_price_micros_per_hour=1_900 * A_SECOND)
    done = settle(
        Running(ran(50, 4), 60_000),
        Running(large_and_cheap, 110_000),
        Running(ran(50, 2), 60_000),
        Running(dear, 60_000),
        available=100_000,
        seconds=50,
    )
    causes = {each.tab.lease_id: each.cause for each in done.leases}
    assert causes[3] is None
    assert causes[2] is None
    assert causes[4] == "insufficient_funds"
    assert done.paid_micros == 100_000


def test_what_is_left_of_a_wallet_pays_a_part() -> None:
    done = settle(Running(ran(30), 60_000), available=12_345, seconds=30)
    assert done.paid_micros == 12_345
    assert done.leases[0].tab.owed_micros == 30_000 - 12_345


def test_a_budget_is_kept_with_the_grace_of_the_stop() -> None:
    goes_on = settle(Running(ran(10), 60_000, budget_left_micros=30_000), available=10**9, seconds=10).leases[0]
    assert goes_on.cause is None
    stops = settle(Running(ran(20), 60_000, budget_left_micros=30_000), available=10**9, seconds=20).leases[0]
    assert stops.cause == "budget_spent"


def test_a_lease_that_is_about_to_be_killed_is_not_told_again() -> None:
    stops_at = START + 55 * SECOND
    done = settle(Running(ran(50), 60_000, stop_at=stops_at), available=0, seconds=50).leases[0]
    assert done.cause is None


def test_a_lease_with_long_notice_has_to_stop_sooner_without_money() -> None:
    done = settle(Running(ran(50), 60_000, stop_at=START + 10 * MINUTE), available=0, seconds=50).leases[0]
    assert done.cause == "insufficient_funds"


# ── money that runs low ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_member_is_told_once_that_money_runs_out() -> None:
    lease = Running(ran(10), 60_000)
    hourly = 1_000 * A_SECOND
    first = settle(lease, available=10_000 + 299_000, seconds=10, per_hour=hourly)
    assert first.seconds_left == 299
    assert first.leases[0].tab.is_low
    low = Running(first.leases[0].tab, 60_000)
    again = settle(low, available=290_000, seconds=20, per_hour=hourly)
    assert (again.seconds_left, again.leases[0].tab.is_low) == (None, 1)
    hardly_better = settle(low, available=600_000, seconds=20, per_hour=hourly)
    assert hardly_better.leases[0].tab.is_low
    better = settle(low, available=601_000, seconds=20, per_hour=hourly)
    assert not better.leases[0].tab.is_low


def test_what_costs_nothing_is_never_low() -> None:
    free = Running(ran(10, price=0), 60_000)
    assert settle(free, available=0, seconds=10, per_hour=0).seconds_left is None


def test_only_where_the_money_may_not_last_it_has_to_be_known_what_all_costs() -> None:
    assert charging.may_be_low(600, 3_600)
    assert not charging.may_be_low(601, 3_600)


def test_months_follow_the_calendar() -> None:
    assert Month.of(2026, 12).to_at == Month.of(2027, 1).from_at
    assert Month.of(2026, 1).to_at - Month.of(2026, 1).from_at == 31 * DAY
    with pytest.raises(ValueError, match="month"):
        Month.of(2026, 13)
