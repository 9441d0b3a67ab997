"""Money, over days at random: charges are the integral, security is enough, budgets are kept.

A member's leases are settled by the rule as the lane would, on a clock that may be late, by a plain simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.foundation.clock import DAY, HOUR, MINUTE, SECOND, Instant
from marketplace.spot import charging, metering
from marketplace.spot.charging import Running, Tab
from marketplace.spot.commands import SETTLE_SECONDS, STOP_GRACE_SECONDS
from marketplace.spot.metering import Line
from marketplace.spot.pricing import Interval
from tests.spot.price_history import at_prices

EVENING = 1_000 * DAY - MINUTE
"""Where all days begin: midnight comes soon."""
GRACE = STOP_GRACE_SECONDS * SECOND
HOURLY = st.integers(1, 10**8)
WAITS = st.integers(1, 2 * MINUTE)
HISTORIES = st.lists(st.tuples(st.integers(0, 5 * MINUTE), st.integers(0, 10**8)), max_size=12).map(
    lambda changes: at_prices((0, 7), *sorted((EVENING + at, price) for at, price in changes))
)
SHAPES = st.tuples(st.integers(1, 5_000), st.integers(1, 5_000))


def integral(tab: Tab, prices: Sequence[Interval], start: Instant, end: Instant) -> Fraction:
    """Compute what a lease owes at the pool's price, with fractions and by itself."""
    owed = Fraction(0)
    for price in prices:
        time = max(0, min(end, end if price.to_at is None else price.to_at) - max(start, price.from_at))
        hourly = min(Fraction(price.unit_price_micros * tab.size, tab.parts), Fraction(tab.max_price_micros_per_hour))
        owed += hourly * Fraction(time, HOUR)
    return owed


def lease(number: int, shape: tuple[int, int], max_price: int) -> Tab:
    return Tab("default", number, *shape, max_price, "uniform")


def assert_bill(tab: Tab, lines: Sequence[Line]) -> None:
    """Expect lines without gaps that add up, none over midnight."""
    bill = [*lines, *([tab.last_line] if tab.last_line else [])]
    assert sum(line.charged_micros for line in bill) == tab.charged_micros
    edges = [edge for line in bill for edge in (line.from_at, line.to_at)]
    assert edges[1:-1:2] == edges[2::2]
    assert not bill or (edges[0], edges[-1]) == (tab.started_at, tab.metered_until)
    assert all(line.from_at // DAY == (line.to_at - 1) // DAY for line in bill)


@pytest.mark.property
@settings(max_examples=1_000)
@given(prices=HISTORIES, shape=SHAPES, max_price=HOURLY, waits=st.lists(WAITS, max_size=8), back=st.integers(0, MINUTE))
def test_what_a_lease_is_charged_is_the_integral_up_to_its_end(
    prices: list[Interval], shape: tuple[int, int], max_price: int, waits: list[int], back: int
) -> None:
    tab = charging.begin(lease(1, shape, max_price), started_at=EVENING, username="ann", held_micros=0)
    lines: list[Line] = []
    now = EVENING
    for wait in waits:
        now += wait
        tab, closed = charging.charge(tab, prices, until=now)
        lines += closed
        assert tab.charged_micros == int(integral(tab, prices, EVENING, now))
        assert_bill(tab, lines)
    # The end is known only now, and was a while ago.
    end = max(EVENING, now - back)
    exact = tab.line_from_at is not None and end >= tab.line_from_at
    tab, gone = charging.take_back(tab, [line for line in lines if line.to_at > end], until=end)
    lines = [line for line in lines if line not in gone]
    owed = int(integral(tab, prices, EVENING, end))
    assert tab.charged_micros == owed if exact else owed - 1 <= tab.charged_micros <= owed + 1
    assert_bill(tab, lines)


# ── whole days ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Container(msgspec.Struct):
    """A lease of the simulated day."""

    tab: Tab
    held: int
    budget: int | None
    ends_at: Instant
    """By itself, unless it is stopped sooner."""
    stop_at: Instant | None = None
    unpaid: int | None = None


class Day:
    """One member, a wallet, and leases from the beginning on."""

    def __init__(self, prices: Sequence[Interval], wallet: int, wishes: Sequence[tuple[int, int, int | None]]) -> None:
        self.prices = prices
        self.wallet = wallet
        self.paid = 0
        self.running: list[Container] = []
        self.over: list[Container] = []
        for number, (max_price, runtime, budget) in enumerate(wishes):
            held = charging.security(max_price, minimum_runtime_seconds=30)
            if held > self.wallet:
                continue
            self.wallet -= held
            tab = charging.begin(
                lease(number, (1, 1), max_price),
                started_at=EVENING,
                username="ann",
                held_micros=held,
                budget_left_micros=budget,
            )
            self.running.append(Container(tab, held, budget, EVENING + runtime))

    def run(self, lateness: Sequence[int]) -> None:
        late = iter(lateness)
        while self.running:
            looks = [each.tab.settle_at for each in self.running if each.tab.settle_at is not None]
            now = min(looks) + next(late, 0)
            for each in [*self.running]:
                if (end := min(each.ends_at, each.stop_at or each.ends_at)) <= now:
                    self._end(each, end)
            self._settle(now)

    def _settle(self, now: Instant) -> None:
        due = [each for each in self.running if each.tab.settle_at is not None and each.tab.settle_at <= now]
        for each in due:
            each.tab, _ = charging.charge(each.tab, self.prices, until=now)
        if sum(each.tab.owed_micros for each in due) > self.wallet:
            due = self.running
            for each in due:
                each.tab, _ = charging.charge(each.tab, self.prices, until=now)
        of_rule = [Running(each.tab, each.held, each.budget, each.stop_at) for each in due]
        done = charging.settle("ann", of_rule, available_micros=self.wallet, micros_per_hour=0, now=now)
        self.wallet -= done.paid_micros
        self.paid += done.paid_micros
        assert self.wallet == done.available_micros >= 0
        for each, settled in zip(due, done.leases, strict=True):
            each.tab = settled.tab
            assert each.tab.settle_at is not None
            assert now < each.tab.settle_at <= now + SETTLE_SECONDS * SECOND
            if settled.cause:
                each.stop_at = min(each.stop_at or now + GRACE, now + GRACE)

    def _end(self, each: Container, end: Instant) -> None:
        each.tab, _ = charging.charge(each.tab, self.prices, until=max(end, each.tab.meter.until))
        captured = min(each.tab.owed_micros, each.held)
        self.wallet += each.held - captured
        rest = min(each.tab.owed_micros - captured, self.wallet)
        self.wallet -= rest
        self.paid += captured + rest
        each.unpaid = each.tab.owed_micros - captured - rest
        self.running.remove(each)
        self.over.append(each)


WISHES = st.lists(
    st.tuples(HOURLY, st.integers(0, 5 * MINUTE), st.none() | st.integers(1, 10**7)), min_size=1, max_size=4
)
WALLETS = st.integers(0, 2 * 10**7)


@pytest.mark.property
@settings(max_examples=1_000)
@given(
    prices=HISTORIES,
    wallet=WALLETS,
    wishes=WISHES,
    lateness=st.lists(st.integers(0, charging.LATENESS), min_size=60, max_size=60),
)
def test_settled_within_a_second_nothing_stays_unpaid_and_no_budget_is_exceeded(
    prices: list[Interval], wallet: int, wishes: list[tuple[int, int, int | None]], lateness: list[int]
) -> None:
    day = Day(prices, wallet, wishes)
    day.run(lateness)
    assert all(each.unpaid == 0 for each in day.over)
    assert day.wallet + day.paid == wallet
    assert day.paid == sum(each.tab.charged_micros for each in day.over)
    for each in day.over:
        if each.budget is not None:
            # One that does not even last for the grace is stopped at the first look, which may come a second late.
            least = metering.cost(each.tab.max_price_micros_per_hour, seconds=STOP_GRACE_SECONDS + 1)
            assert each.tab.charged_micros <= max(each.budget, least)


@pytest.mark.property
@settings(max_examples=300)
@given(
    prices=HISTORIES,
    wallet=WALLETS,
    wishes=WISHES,
    lateness=st.lists(st.integers(0, SETTLE_SECONDS * SECOND), min_size=60, max_size=60),
)
def test_settled_late_a_budget_or_a_wallet_is_exceeded_by_no_more_than_one_settlement_step(
    prices: list[Interval], wallet: int, wishes: list[tuple[int, int, int | None]], lateness: list[int]
) -> None:
    day = Day(prices, wallet, wishes)
    day.run(lateness)
    assert day.wallet + day.paid == wallet
    for each in day.over:
        step = metering.overrun(each.tab.max_price_micros_per_hour, step_seconds=SETTLE_SECONDS)
        grace = metering.cost(each.tab.max_price_micros_per_hour, seconds=STOP_GRACE_SECONDS)
        assert each.unpaid is not None
        assert each.unpaid <= step
        if each.budget is not None:
            assert each.tab.charged_micros <= max(each.budget, grace) + step
