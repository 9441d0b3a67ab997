"""Prices of a unit are compared as integers, exactly, at any size that there may be."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from marketplace.spot.model import MAX_MARGIN_BASIS_POINTS, MAX_SIZE, Bid, Policy

pytestmark = pytest.mark.property

SIZES = st.integers(1, MAX_SIZE - 1)
LARGE_SIZES = st.integers(MAX_SIZE // 2, MAX_SIZE - 1)
PRICES = st.integers(0, 10**15)
MARGINS = st.integers(0, MAX_MARGIN_BASIS_POINTS)


@given(price=PRICES, size=SIZES, factor=st.integers(1, 10**6))
def test_equal_prices_of_a_unit_have_equal_worth(price: int, size: int, factor: int) -> None:
    assume(size * factor < MAX_SIZE)
    assert Policy().worth(price, size) == Policy().worth(price * factor, size * factor)


@given(size=LARGE_SIZES, other=LARGE_SIZES)
def test_prices_of_a_unit_that_hardly_differ_differ_in_worth(size: int, other: int) -> None:
    """Of all fractions with these denominators the two are as near to each other as can be."""
    assume(math.gcd(size, other) == 1)
    price = pow(other, -1, size)
    lower = (price * other - 1) // size
    assert Fraction(price, size) - Fraction(lower, other) == Fraction(1, size * other)
    assert Policy().worth(price, size) > Policy().worth(lower, other)


@given(price=PRICES, size=SIZES, other_price=PRICES, other=SIZES, margin=MARGINS)
def test_a_price_reaches_beyond_another_just_where_it_exceeds_it_by_more_than_the_margin(
    price: int, size: int, other_price: int, other: int, margin: int
) -> None:
    policy = Policy(margin_basis_points=margin)
    exceeds = Fraction(price, size) > Fraction(other_price, other) * (1 + Fraction(margin, 10_000))
    assert (policy.worth(other_price, other) < policy.reach(price, size)) == exceeds


@given(cpu=st.integers(1, 10**6), memory=st.integers(1, 10**7), price=st.integers(0, 10**12), margin=MARGINS)
def test_the_least_price_over_a_victim_is_the_first_that_reaches_beyond_it(
    cpu: int, memory: int, price: int, margin: int
) -> None:
    policy = Policy(margin_basis_points=margin)
    victim = Bid(1, 1, memory % 64_000 + 1, cpu % 10**5 + 1, price)
    least, size = policy.price_over(victim, (cpu, memory)), policy.size(cpu, memory)
    worth = policy.worth(price, policy.size(*victim.shape))
    assert policy.reach(least - 1, size) <= worth < policy.reach(least, size)
