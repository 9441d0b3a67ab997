"""Billing: charges add up to the integral, however a lease is settled."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.foundation.clock import HOUR, MINUTE, SECOND
from marketplace.spot import metering, pricing
from marketplace.spot.metering import Line, Meter
from marketplace.spot.model import MAX_PARTS, Bid, Policy
from marketplace.spot.pricing import Interval, Rule, Terms
from tests.spot.price_history import at_prices

CREDIT = 1_000_000
ONE_UNIT = Terms(size=1, parts=1, max_price_micros=3 * CREDIT)


def charges(terms: Terms, prices: Sequence[Interval], at: Sequence[int], *, rule: Rule = pricing.uniform) -> list[int]:
    """Settle at each of these instants, from the first on; return what is charged each time."""
    meters = [Meter(at[0])]
    for until in at[1:]:
        meters.append(metering.settle(meters[-1], terms, prices, until=until, rule=rule))
    return [after.charged_micros - before.charged_micros for before, after in pairwise(meters)]


# ── arithmetic ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_worked_example() -> None:
    times = [10 * SECOND * step for step in range(5)]
    assert charges(ONE_UNIT, at_prices((0, 3 * CREDIT)), times) == [8_333, 8_333, 8_334, 8_333]


@pytest.mark.parametrize(
    ("terms", "seconds", "charged"),
    [
        pytest.param(Terms(1, 1, 3 * CREDIT), 3_600, 2 * CREDIT, id="an hour at the pool's price"),
        pytest.param(Terms(1, 1, 1 * CREDIT), 3_600, 1 * CREDIT, id="no more than its own max price"),
        pytest.param(Terms(5, 2, 9 * CREDIT), 3_600, 5 * CREDIT, id="two units and a half"),
        pytest.param(Terms(1, 1, 3 * CREDIT), 1, 555, id="a second, its fraction left for later"),
        pytest.param(Terms(1, 1, 3 * CREDIT), 0, 0, id="no time at all"),
    ],
)
def test_what_a_lease_is_charged(terms: Terms, seconds: int, charged: int) -> None:
    assert charges(terms, at_prices((0, 2 * CREDIT)), [0, seconds * SECOND]) == [charged]


def test_each_price_counts_for_as_long_as_it_lasted() -> None:
    prices = at_prices((0, CREDIT), (30 * MINUTE, 2 * CREDIT), (45 * MINUTE, 0))
    assert charges(ONE_UNIT, prices, [15 * MINUTE, HOUR]) == [CREDIT // 4 + CREDIT // 2]


def test_paid_as_bid_the_price_does_not_matter() -> None:
    prices = at_prices((0, CREDIT), (30 * MINUTE, 2 * CREDIT))
    assert charges(ONE_UNIT, prices, [0, HOUR], rule=pricing.pay_as_bid) == [3 * CREDIT]


def test_time_that_was_settled_is_not_charged_again() -> None:
    prices = at_prices((0, CREDIT))
    meter = metering.settle(Meter(0), ONE_UNIT, prices, until=HOUR, rule=pricing.uniform)
    assert metering.settle(meter, ONE_UNIT, prices, until=HOUR, rule=pricing.uniform) == meter
    assert metering.settle(meter, ONE_UNIT, prices, until=HOUR - 1, rule=pricing.uniform) == meter


@pytest.mark.parametrize(
    "prices",
    [
        pytest.param([], id="no price"),
        pytest.param([Interval(1, None, 5)], id="none at the start"),
        pytest.param([Interval(0, 5, 5)], id="none at the end"),
        pytest.param([Interval(0, 4, 5), Interval(5, None, 5)], id="none in between"),
    ],
)
def test_time_without_a_price_is_a_bug_and_not_free(prices: list[Interval]) -> None:
    with pytest.raises(AssertionError, match="the price is known"):
        metering.settle(Meter(0), ONE_UNIT, prices, until=10, rule=pricing.uniform)


def test_a_bill_has_a_line_for_each_price() -> None:
    prices = at_prices((0, CREDIT), (HOUR, 2 * CREDIT), (2 * HOUR, CREDIT))
    lines = metering.bill(ONE_UNIT, prices, started_at=HOUR // 2, until=HOUR * 3 // 2, rule=pricing.uniform)
    assert lines == [Line(HOUR // 2, HOUR, CREDIT, CREDIT // 2), Line(HOUR, HOUR * 3 // 2, 2 * CREDIT, CREDIT)]


@pytest.mark.parametrize(("price", "seconds", "held"), [(3_600, 60, 60), (3_601, 60, 61), (1, 1, 1), (0, 60, 0)])
def test_what_is_held_is_rounded_up(price: int, seconds: int, held: int) -> None:
    assert metering.cost(price, seconds=seconds) == held


def test_the_largest_remainder_fits_63_bits() -> None:
    largest = Policy(unit_cpu_millis=2**15, unit_memory_mib=MAX_PARTS // 2**15)
    assert largest.parts * HOUR < 2**63
    with pytest.raises(ValueError, match="from 1 to"):
        Policy(unit_cpu_millis=2**15, unit_memory_mib=MAX_PARTS // 2**15 + 1)


def test_what_costs_nothing_lasts_for_ever() -> None:
    assert metering.lasts_until(Meter(0), 0, parts=1, credit_micros=0) is None


# ── guarantees ───────────────────────────────────────────────────────────────────────────────────────────────────────

POLICIES = st.builds(Policy, unit_cpu_millis=st.integers(1, 4_000), unit_memory_mib=st.integers(1, 9_000))
BIDS = st.builds(
    Bid,
    bid_id=st.just(1),
    seq=st.just(1),
    cpu_millis=st.integers(1, 64_000),
    memory_mib=st.integers(1, 10**6),
    max_price_micros=st.integers(0, 10**9),
)
RULES = st.sampled_from(list(pricing.RULES.values()))
INSTANTS = st.integers(0, 10**11)
HISTORIES = st.lists(st.tuples(INSTANTS, st.integers(0, 10**9)), max_size=12).map(
    lambda changes: at_prices((0, 7), *sorted(changes))
)
SETTLEMENTS = st.lists(INSTANTS, min_size=2, max_size=12).map(sorted)


def integral(bid: Bid, policy: Policy, prices: Sequence[Interval], start: int, end: int, rule: Rule) -> Fraction:
    """Compute what the lease owes, with fractions and by itself."""
    units = max(Fraction(bid.cpu_millis, policy.unit_cpu_millis), Fraction(bid.memory_mib, policy.unit_memory_mib))
    owed = Fraction(0)
    for price in prices:
        ran = max(0, min(end, end if price.to_at is None else price.to_at) - max(start, price.from_at))
        hourly = min(price.unit_price_micros * units, Fraction(bid.max_price_micros))
        owed += (hourly if rule is pricing.uniform else bid.max_price_micros) * Fraction(ran, HOUR)
    return owed


@pytest.mark.property
@settings(max_examples=1_000)
@given(policy=POLICIES, bid=BIDS, prices=HISTORIES, times=SETTLEMENTS, rule=RULES)
def test_the_sum_of_charges_is_the_integral_however_often_a_lease_is_settled(
    policy: Policy, bid: Bid, prices: list[Interval], times: list[int], rule: Rule
) -> None:
    terms = Terms.of(bid, policy)
    paid = charges(terms, prices, times, rule=rule)
    owed = integral(bid, policy, prices, times[0], times[-1], rule)
    assert all(charged >= 0 for charged in paid)
    assert sum(paid) == int(owed)
    assert sum(paid) <= Fraction(bid.max_price_micros * (times[-1] - times[0]), HOUR)

    lines = metering.bill(terms, prices, started_at=times[0], until=times[-1], rule=rule)
    assert sum(line.charged_micros for line in lines) == sum(paid)
    assert sum(line.to_at - line.from_at for line in lines) == times[-1] - times[0]


@pytest.mark.property
@given(
    policy=POLICIES, bid=BIDS, price=st.integers(1, 10**6), started=INSTANTS, ran=INSTANTS, credit=st.integers(0, 10**9)
)
def test_a_balance_lasts_to_the_instant(
    policy: Policy, bid: Bid, price: int, started: int, ran: int, credit: int
) -> None:
    terms, prices = Terms.of(bid, policy), at_prices((0, price))
    meter = metering.settle(Meter(started), terms, prices, until=started + ran, rule=pricing.uniform)
    rate = pricing.rate(pricing.uniform, terms, price)
    end = metering.lasts_until(meter, rate, parts=terms.parts, credit_micros=credit)
    if end is None:
        assert rate == 0
        return
    owed = [
        metering.settle(meter, terms, prices, until=instant, rule=pricing.uniform).charged_micros - meter.charged_micros
        for instant in (end, end + 1)
    ]
    assert owed[0] <= credit < owed[1]


@pytest.mark.property
@given(policy=POLICIES, bid=BIDS, prices=HISTORIES, budget=st.integers(0, 10**7), step=st.integers(1, 600), rule=RULES)
def test_a_budget_is_exceeded_by_no_more_than_one_settlement_step(
    policy: Policy, bid: Bid, prices: list[Interval], budget: int, step: int, rule: Rule
) -> None:
    terms, meter = Terms.of(bid, policy), Meter(0)
    for _ in range(50):
        if meter.charged_micros >= budget:
            break
        meter = metering.settle(meter, terms, prices, until=meter.until + step * SECOND, rule=rule)
    assert meter.charged_micros <= budget + metering.overrun(bid.max_price_micros, step_seconds=step)
