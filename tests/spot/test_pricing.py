"""Pricing rules, and the price as intervals."""

from __future__ import annotations

from importlib import metadata

import pytest

from marketplace.spot import pricing
from marketplace.spot.model import Bid, Policy
from marketplace.spot.pricing import Interval, Terms

POLICY = Policy(unit_cpu_millis=1_000, unit_memory_mib=2_048)


def terms(cpu_millis: int, memory_mib: int, *, max_price: int) -> Terms:
    return Terms.of(Bid(1, 1, cpu_millis, memory_mib, max_price), POLICY)


@pytest.mark.parametrize(
    ("name", "shape", "price", "paid"),
    [
        pytest.param("uniform", (2_000, 4_096), 30, 60, id="a price for each unit"),
        pytest.param("uniform", (500, 1_024), 30, 15, id="half a unit pays half"),
        pytest.param("uniform", (1_000, 4_096), 30, 60, id="what it needs more of counts"),
        pytest.param("uniform", (2_000, 4_096), 51, 100, id="never more than the own max price"),
        pytest.param("uniform", (2_000, 4_096), 0, 0, id="a free unit is free"),
        pytest.param("pay_as_bid", (2_000, 4_096), 30, 100, id="as bid, whatever the pool's price"),
    ],
)
def test_what_a_container_pays_an_hour(name: str, shape: tuple[int, int], price: int, paid: int) -> None:
    lease = terms(*shape, max_price=100)
    assert pricing.rate(pricing.find(name), lease, price) == paid * lease.parts


def test_a_price_that_no_integer_is_is_not_rounded() -> None:
    third = Terms.of(Bid(1, 1, 1, 1, 100), Policy(unit_cpu_millis=3, unit_memory_mib=1_000))
    assert pricing.rate(pricing.uniform, third, 10) * 3 == 10 * third.parts


@pytest.mark.parametrize(("said", "paid"), [(-5, 0), (10**30, 100)])
def test_no_rule_makes_anybody_pay_less_than_nothing_or_more_than_the_max_price(said: int, paid: int) -> None:
    lease = terms(1_000, 2_048, max_price=100)
    assert pricing.rate(lambda terms, price: said * terms.parts, lease, 1) == paid * lease.parts


def test_an_installed_rule_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = metadata.EntryPoint("as_bid_too", "marketplace.spot.pricing:pay_as_bid", pricing.ENTRY_POINTS)
    monkeypatch.setattr(metadata, "entry_points", lambda group: metadata.EntryPoints([point]))
    assert pricing.find("as_bid_too") is pricing.pay_as_bid
    with pytest.raises(LookupError, match="no pricing rule 'free'; there are as_bid_too, pay_as_bid, uniform"):
        pricing.find("free")


# ── intervals ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("current", "price", "written"),
    [
        pytest.param(None, 5, [Interval(9, None, 5)], id="the first price"),
        pytest.param(Interval(3, None, 5), 5, [], id="the same price goes on"),
        pytest.param(Interval(3, None, 5), 6, [Interval(3, 9, 5), Interval(9, None, 6)], id="another price"),
        pytest.param(Interval(9, None, 5), 6, [Interval(9, None, 6)], id="a price that lasted no time"),
    ],
)
def test_the_price_is_kept_as_intervals_without_gaps(
    current: Interval | None, price: int, written: list[Interval]
) -> None:
    assert pricing.change(current, price, at=9) == written
