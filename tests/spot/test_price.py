"""The price of a unit, case by case, and previews. A unit is 1 vCPU with 2 GiB; prices are micro-credits an hour."""

from __future__ import annotations

import pytest

from marketplace.spot import placement
from marketplace.spot.model import Bid, Lease, Node, Policy
from tests.spot.pool import Pool
from tests.spot.units import LONG_AGO, POLICY, bid, placed, pool_of, runs

# ── the price ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("leases", "price"),
    [
        pytest.param([(3, 9)], 2, id="the reserve while a unit fits free"),
        pytest.param([(3, 9), (1, 5)], 5, id="of the cheapest whose room is enough"),
        pytest.param([(3, 9), (1, 1)], 2, id="the reserve at least"),
        pytest.param([(4, 9)], 9, id="of a large one that would have to go for a unit"),
    ],
)
def test_the_price_is_of_the_dearest_victim_of_one_unit(leases: list[tuple[int, int]], price: int) -> None:
    pool = pool_of(4, policy=Policy(reserve_micros=2))
    for units, unit_price in leases:
        runs(pool, "a", units, unit_price)
    assert pool.decide().price_micros == price


def test_a_crumb_that_pays_little_does_not_set_the_price_of_the_pool() -> None:
    pool = pool_of(1)
    for price in (1, 9):
        pool.last_id += 1
        half = Bid(pool.last_id, pool.last_id, 500, 1_024, price)
        pool.put_lease(Lease(half, "a", started_at=LONG_AGO))
    assert pool.decide().price_micros == 18, "both halves have to go for a unit"


def test_the_margin_plays_no_part_in_the_price() -> None:
    pool = pool_of(1, policy=Policy(margin_basis_points=5_000))
    runs(pool, "a", 1, 100)
    assert pool.decide().price_micros == 100


def test_only_who_may_be_displaced_now_sets_the_price() -> None:
    pool = pool_of(2)
    runs(pool, "a", 1, 1, started_at=0), runs(pool, "a", 1, 9)
    assert pool.decide().price_micros == 9
    pool.pass_seconds(60)
    assert pool.decide().price_micros == 1


def test_where_nobody_may_be_displaced_the_price_is_what_it_will_be() -> None:
    pool = pool_of(1)
    cheap = runs(pool, "a", 1, 5, started_at=0)
    assert pool.decide().price_micros == 5
    pool.pass_seconds(60)
    wanted = bid(pool, 1, 9)
    assert pool.decide().price_micros == 9, "the room is reserved for it while the victim leaves"
    pool.remove(cheap)
    assert placed(pool.decide()) == {wanted: ("a", set())}
    assert pool.state.price(pool.now) == 9


def test_without_a_node_large_enough_for_a_unit_the_price_is_the_reserve() -> None:
    pool = Pool(Policy(reserve_micros=3))
    assert pool.decide().price_micros == 3
    pool.put_node(Node("small", 500, 1_024))
    assert pool.decide().price_micros == 3


def test_a_fraction_of_a_micro_credit_is_left_out_of_the_price() -> None:
    pool = pool_of(3)
    runs(pool, "a", 3, 0)
    lease = pool.leases[1]
    pool.put_lease(Lease(Bid(1, 1, *lease.bid.shape, 20), "a", started_at=LONG_AGO))
    assert pool.decide().price_micros == 6


# ── preview, and from scratch ────────────────────────────────────────────────────────────────────────────────────────


def test_a_preview_tells_whom_a_bid_would_evict_and_from_what_price_on() -> None:
    pool = pool_of(2)
    cheap = runs(pool, "a", 1, 100)
    runs(pool, "a", 1, 300)
    pool.decide()
    preview = pool.state.preview(Bid(9, 9, 1_000, 2_048, 200), now=pool.now)
    assert (preview.runs_now, preview.node, preview.would_evict) == (True, "a", (cheap,))
    assert (preview.price_micros, preview.min_price_to_run_micros) == (100, 106)
    too_little = pool.state.preview(Bid(9, 9, 1_000, 2_048, 105), now=pool.now)
    assert (too_little.runs_now, too_little.node, too_little.would_evict) == (False, None, ())


def test_a_preview_of_what_fits_free_asks_for_the_reserve() -> None:
    pool = pool_of(2, policy=Policy(reserve_micros=7))
    pool.decide()
    preview = pool.state.preview(Bid(9, 9, 1_500, 2_048, 11), now=pool.now)
    assert (preview.runs_now, preview.node, preview.min_price_to_run_micros) == (True, "a", 11)
    assert not pool.state.preview(Bid(9, 9, 1_500, 2_048, 10), now=pool.now).runs_now


def test_no_price_is_enough_for_what_no_node_can_hold() -> None:
    pool = pool_of(2)
    pool.decide()
    assert pool.state.preview(Bid(9, 9, 3_000, 2_048, 10**9), now=pool.now).min_price_to_run_micros is None


def test_an_empty_pool_has_nothing_to_do() -> None:
    plan = placement.plan([], [], running=[], now=0, policy=POLICY)
    assert (plan.is_empty, plan.price_micros, plan.reasons) == (True, 0, {})


@pytest.mark.parametrize("margin", [-1, 100_001])
def test_a_margin_has_bounds(margin: int) -> None:
    with pytest.raises(ValueError, match="a margin is from 0"):
        Policy(margin_basis_points=margin)
