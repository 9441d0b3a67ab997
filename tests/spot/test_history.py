"""What a price was over time: candles and percentiles, weighted by time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.clock import HOUR, MINUTE
from marketplace.spot import history
from marketplace.spot.history import Candle
from marketplace.spot.model import Bid, Policy
from marketplace.spot.pricing import Interval

QUARTERS = [Interval(0, 45 * MINUTE, 100), Interval(45 * MINUTE, None, 500)]


def test_a_candle_opens_and_closes_with_the_price_and_weighs_by_time() -> None:
    assert history.candles(QUARTERS, width=HOUR, since=0, until=HOUR) == [Candle(0, 100, 500, 100, 500, 200)]


def test_a_price_that_goes_on_fills_every_candle_up_to_the_end() -> None:
    found = history.candles(QUARTERS, width=HOUR, since=0, until=2 * HOUR + MINUTE)
    assert [one.opened_at for one in found] == [0, HOUR, 2 * HOUR]
    assert found[1] == Candle(HOUR, 500, 500, 500, 500, 500)


def test_what_lies_before_or_after_is_left_out() -> None:
    found = history.candles(QUARTERS, width=HOUR, since=50 * MINUTE, until=55 * MINUTE)
    assert found == [Candle(0, 500, 500, 500, 500, 500)]
    assert history.candles(QUARTERS, width=HOUR, since=-HOUR, until=0) == []


@pytest.mark.parametrize(("percents", "prices"), [((20, 50, 75), [100, 100, 100]), ((76, 80, 100), [500, 500, 500])])
def test_a_percentile_is_the_least_price_not_exceeded_for_so_much_of_the_time(
    percents: Sequence[int], prices: list[int]
) -> None:
    assert history.percentiles([(100, 45), (500, 15)], percents) == prices


def test_there_are_no_percentiles_where_there_was_no_price() -> None:
    assert history.percentiles([], (50,)) is None


def test_the_ideal_takes_the_dearest_by_the_unit_that_fit_one_large_machine() -> None:
    policy = Policy()
    dear = Bid(1, 1, 1000, 2048, 3_000_000)
    large = Bid(2, 2, 8000, 2048, 20_000_000)
    cheap = Bid(3, 3, 1000, 1024, 1_000_000)
    rest: dict[str, Any] = {"cpu_millis": 4000, "memory_mib": 4096, "policy": policy}
    assert history.ideal_value([cheap, large, dear], **rest) == 4_000_000
    assert history.ideal_value([large], **rest) == 0


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(0, 9)), min_size=1, max_size=20), st.integers(1, 200), st.data()
)
def test_candles_agree_with_a_price_looked_at_each_instant(
    parts: list[tuple[int, int]], width: int, data: st.DataObject
) -> None:
    prices: list[Interval] = []
    each: list[int] = []
    for duration, price in parts:
        prices.append(Interval(len(each), len(each) + duration, price))
        each += [price] * duration
    since = data.draw(st.integers(0, len(each)))
    until = data.draw(st.integers(since, len(each)))
    expected = []
    for opened_at in range(since // width * width, until, width):
        seen = each[max(opened_at, since) : min(opened_at + width, until)]
        if seen:
            expected.append(Candle(opened_at, seen[0], max(seen), min(seen), seen[-1], sum(seen) // len(seen)))
    assert history.candles(prices, width=width, since=since, until=until) == expected
    seen = sorted(each[since:until])
    lasted = sorted(Counter(seen).items())
    found = history.percentiles(lasted, (20, 50, 80, 100))
    assert found == ([seen[-(-len(seen) * percent // 100) - 1] for percent in (20, 50, 80, 100)] if seen else None)
