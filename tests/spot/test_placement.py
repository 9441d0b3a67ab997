"""The rule of the spot market, case by case. A unit is 1 vCPU with 2 GiB; prices are micro-credits an hour."""

from __future__ import annotations

import pytest

from marketplace.foundation.clock import SECOND
from marketplace.spot.model import Bid, Lease, Node, Policy
from tests.spot.units import LONG_AGO, POLICY, bid, placed, pool_of, runs, victims

# ── without evicting ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bid_goes_to_the_node_with_the_least_room_that_still_fits() -> None:
    pool = pool_of(8, 2, 4)
    wanted = bid(pool, 3, 5)
    assert placed(pool.decide()) == {wanted: ("c", set())}


def test_room_counts_in_units_so_that_cpu_without_memory_is_little_room() -> None:
    pool = pool_of(4)
    pool.put_node(Node("lopsided", 64_000, 3 * 2_048))
    wanted = bid(pool, 1, 5)
    assert placed(pool.decide()) == {wanted: ("lopsided", set())}


def test_who_pays_most_for_a_unit_is_first_whatever_the_container_costs() -> None:
    pool = pool_of(2)
    large, small = bid(pool, 2, 5), bid(pool, 1, 6)
    assert placed(pool.decide()) == {small: ("a", set())}
    assert pool.state.rank(large) == 1


def test_the_earlier_bid_is_first_at_the_same_price_for_a_unit() -> None:
    pool = pool_of(1)
    earlier, _ = bid(pool, 1, 5), bid(pool, 1, 5)
    assert placed(pool.decide()) == {earlier: ("a", set())}


def test_a_smaller_bid_may_run_while_a_better_one_finds_no_room() -> None:
    pool = pool_of(2)
    runs(pool, "a", 1, 9)
    _, small = bid(pool, 2, 5), bid(pool, 1, 1)
    assert placed(pool.decide()) == {small: ("a", set())}


@pytest.mark.parametrize(("unit_price", "runs_now"), [(4, False), (5, True)])
def test_a_bid_below_the_reserve_price_gets_nothing(unit_price: int, *, runs_now: bool) -> None:
    pool = pool_of(1, policy=Policy(reserve_micros=5))
    wanted = bid(pool, 1, unit_price)
    plan = pool.decide()
    assert (wanted in placed(plan)) is runs_now
    assert runs_now or plan.reasons[wanted].kind == "below_reserve"


def test_nothing_is_placed_on_a_node_that_is_not_ready() -> None:
    pool = pool_of(4)
    pool.put_node(Node("a", 4_000, 8_192, is_ready=False))
    wanted = bid(pool, 1, 5)
    plan = pool.decide()
    assert plan.is_empty
    assert plan.reasons[wanted].kind == "too_large"


def test_one_end_lets_in_all_who_find_room_then() -> None:
    pool = pool_of(3)
    large = runs(pool, "a", 3, 9)
    waiting = [bid(pool, 1, unit_price) for unit_price in (3, 2, 2, 2)]
    pool.decide()
    pool.remove(large)
    assert list(placed(pool.decide())) == waiting[:3]


# ── who has to go ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_worked_example() -> None:
    pool = pool_of(2)
    a, _ = runs(pool, "a", 1, 1_000_000), runs(pool, "a", 1, 3_000_000)
    assert pool.decide().price_micros == 1_000_000
    c, e = bid(pool, 1, 1_050_000), bid(pool, 2, 3_000_000)
    plan = pool.decide()
    assert plan.is_empty
    assert {plan.reasons[c].kind, plan.reasons[e].kind} == {"no_room"}
    d = bid(pool, 1, 1_060_000)
    assert placed(pool.decide()) == {d: ("a", {a})}


@pytest.mark.parametrize(
    ("unit_price", "evicts"),
    [
        pytest.param(99, False, id="less"),
        pytest.param(100, False, id="the same"),
        pytest.param(105, False, id="more by just the margin"),
        pytest.param(106, True, id="more by over the margin"),
    ],
)
def test_a_victim_pays_less_by_more_than_the_margin(unit_price: int, *, evicts: bool) -> None:
    pool = pool_of(1)
    cheap = runs(pool, "a", 1, 100)
    bid(pool, 1, unit_price)
    assert victims(pool.decide()) == ([cheap] if evicts else [])


@pytest.mark.parametrize(
    ("started_at", "evicts"),
    [
        pytest.param(None, False, id="not even started"),
        pytest.param(-59 * SECOND, False, id="inside its minimum runtime"),
        pytest.param(-60 * SECOND, True, id="past it"),
    ],
)
def test_nobody_has_to_go_inside_the_minimum_runtime(started_at: int | None, *, evicts: bool) -> None:
    pool = pool_of(1)
    cheap = runs(pool, "a", 1, 1, started_at=started_at)
    bid(pool, 1, 9)
    assert victims(pool.decide()) == ([cheap] if evicts else [])


def test_a_waiting_bid_evicts_as_soon_as_the_minimum_runtime_is_over() -> None:
    pool = pool_of(1)
    cheap = runs(pool, "a", 1, 1, started_at=0)
    bid(pool, 1, 9)
    assert victims(pool.decide()) == []
    pool.pass_seconds(59)
    assert victims(pool.decide()) == []
    pool.pass_seconds(1)
    assert victims(pool.decide()) == [cheap]


def test_who_pays_least_goes_first_and_of_those_the_youngest() -> None:
    pool = pool_of(4)
    _, old, young, _ = (runs(pool, "a", 1, unit_price) for unit_price in (3, 2, 2, 4))
    first = bid(pool, 1, 9)
    assert placed(pool.decide()) == {first: ("a", {young})}
    second = bid(pool, 1, 9)
    assert placed(pool.decide()) == {second: ("a", {old})}


def test_victims_are_all_on_one_node() -> None:
    pool = pool_of(2, 2)
    runs(pool, "a", 1, 1), runs(pool, "a", 1, 50), runs(pool, "b", 1, 1), runs(pool, "b", 1, 50)
    bid(pool, 2, 9)
    assert victims(pool.decide()) == []


@pytest.mark.parametrize(
    ("on_a", "on_b", "node"),
    [
        pytest.param([(1, 5), (1, 3)], [(2, 4)], "b", id="the dearest victim is cheapest"),
        pytest.param([(3, 4)], [(2, 4)], "b", id="then they pay least together"),
        pytest.param([(1, 4), (1, 4)], [(2, 4)], "b", id="then they are fewest"),
        pytest.param([(2, 4)], [(2, 4)], "a", id="then the first by name"),
    ],
)
def test_the_node_is_chosen_where_victims_are_least(
    on_a: list[tuple[int, int]], on_b: list[tuple[int, int]], node: str
) -> None:
    pool = pool_of(sum(units for units, _ in on_a), sum(units for units, _ in on_b))
    for name, leases in (("a", on_a), ("b", on_b)):
        for units, unit_price in leases:
            runs(pool, name, units, unit_price)
    wanted = bid(pool, 2, 9)
    assert placed(pool.decide())[wanted][0] == node


def test_a_node_is_not_chosen_before_all_that_could_be_better_were_looked_at() -> None:
    """For two units a is the cheaper one, and only for three it is not."""
    pool = pool_of(6, 3)
    runs(pool, "a", 4, 4), runs(pool, "a", 2, 4)
    least = runs(pool, "b", 3, 4)
    wanted = bid(pool, 3, 9)
    assert placed(pool.decide()) == {wanted: ("b", {least})}


def test_the_dearest_of_those_who_could_stay_stays() -> None:
    pool = pool_of(4)
    cheap, dear, large = runs(pool, "a", 1, 1), runs(pool, "a", 1, 2), runs(pool, "a", 2, 3)
    wanted = bid(pool, 3, 9)
    assert placed(pool.decide()) == {wanted: ("a", {cheap, large})}
    assert pool.leases[dear].state == "running"


def test_whoever_is_not_needed_stays() -> None:
    pool = pool_of(4)
    spared, needed = runs(pool, "a", 1, 1), runs(pool, "a", 3, 2)
    wanted = bid(pool, 2, 9)
    assert placed(pool.decide()) == {wanted: ("a", {needed})}
    assert pool.leases[spared].state == "running"


def test_free_room_is_used_with_that_of_the_victims() -> None:
    pool = pool_of(3)
    cheap = runs(pool, "a", 1, 1)
    wanted = bid(pool, 3, 9)
    assert placed(pool.decide()) == {wanted: ("a", {cheap})}


# ── reserved room ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_freed_room_is_kept_for_the_preemptor_until_all_its_victims_are_gone() -> None:
    pool = pool_of(3)
    first, second = runs(pool, "a", 1, 1), runs(pool, "a", 1, 1)
    wanted = bid(pool, 3, 9)
    assert placed(pool.decide()) == {wanted: ("a", {first, second})}
    rich = bid(pool, 1, 1_000)
    assert pool.decide().is_empty, "the third unit is free, but reserved"
    pool.remove(first)
    assert pool.decide().is_empty
    pool.remove(second)
    assert placed(pool.decide()) == {wanted: ("a", set())}
    assert rich in pool.queued


def test_what_victims_leave_over_is_for_others_once_they_are_gone() -> None:
    pool = pool_of(3)
    large = runs(pool, "a", 3, 1)
    wanted, other = bid(pool, 1, 9), bid(pool, 2, 1)
    assert placed(pool.decide()) == {wanted: ("a", {large})}
    pool.remove(large)
    assert placed(pool.decide()) == {wanted: ("a", set()), other: ("a", set())}


def test_a_preemptor_that_goes_away_leaves_its_room_to_others() -> None:
    pool = pool_of(1)
    cheap = runs(pool, "a", 1, 1)
    wanted, other = bid(pool, 1, 9), bid(pool, 1, 8)
    pool.decide()
    pool.remove(wanted)
    assert pool.decide().is_empty
    pool.remove(cheap)
    assert placed(pool.decide()) == {other: ("a", set())}


@pytest.mark.parametrize("has_another", [True, False])
def test_room_reserved_on_a_node_that_is_lost_is_given_up(*, has_another: bool) -> None:
    pool = pool_of(1)
    runs(pool, "a", 1, 1)
    wanted = bid(pool, 1, 9)
    pool.decide()
    pool.put_node(Node("a", 1_000, 2_048, is_ready=False))
    if has_another:
        pool.put_node(Node("b", 1_000, 2_048))
    plan = pool.decide()
    assert plan.released == (wanted,)
    assert placed(plan) == ({wanted: ("b", set())} if has_another else {})


def test_a_decision_that_could_not_be_carried_out_is_taken_back_whole() -> None:
    pool = pool_of(1, 1)
    runs(pool, "a", 1, 1), runs(pool, "b", 1, 5)
    wanted = bid(pool, 1, 9)
    pool.decide()
    pool.put_node(Node("a", 1_000, 2_048, is_ready=False))
    first = pool.state.decide(pool.now)
    assert (first.released, len(first.starts), len(first.evictions)) == ((wanted,), 1, 1)
    pool.state.take_back()
    assert pool.state.lease(wanted) == pool.leases[wanted]
    assert pool.decide() == first


def test_a_node_that_shrank_takes_nobody_in_and_evicts_nobody_by_itself() -> None:
    pool = pool_of(4)
    lease = runs(pool, "a", 4, 5)
    pool.put_node(Node("a", 2_000, 4_096))
    bid(pool, 1, 4)
    assert pool.decide().is_empty
    wanted = bid(pool, 1, 9)
    assert placed(pool.decide()) == {wanted: ("a", {lease})}


# ── what an eviction says ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        pytest.param(None, 120, id="the pool's"),
        pytest.param(30, 30, id="the tenant's"),
        pytest.param(1, 10, id="no shorter than allowed"),
        pytest.param(9_000, 300, id="no longer than allowed"),
    ],
)
def test_a_victim_has_its_notice_to_leave(wish: int | None, seconds: int) -> None:
    pool = pool_of(1, policy=Policy(notice_seconds=120, notice_bounds=(10, 300)))
    pool.put_lease(Lease(Bid(1, 1, 1_000, 2_048, 1, notice_seconds=wish), "a", started_at=LONG_AGO))
    pool.last_id = 1
    pool.pass_seconds(7)
    bid(pool, 1, 9)
    (eviction,) = pool.decide().evictions
    assert eviction.stop_at == (7 + seconds) * SECOND


def test_an_eviction_names_both_prices_of_a_unit_and_the_other_bid() -> None:
    pool = pool_of(2)
    runs(pool, "a", 2, 100)
    wanted = bid(pool, 1, 250)
    (eviction,) = pool.decide().evictions
    assert (eviction.for_bid, eviction.unit_price_micros, eviction.for_unit_price_micros) == (wanted, 100, 250)


@pytest.mark.parametrize(("times", "seconds"), [(1, 60), (2, 120), (3, 240), (6, 1_920), (7, 3_600), (10_000, 3_600)])
def test_who_was_evicted_waits_twice_as_long_each_time_and_an_hour_at_most(times: int, seconds: int) -> None:
    assert POLICY.backoff(times) == seconds


@pytest.mark.parametrize(
    ("size", "price", "kind", "text"),
    [
        (1, 4, "below_reserve", "It pays 0.000004 an hour for a unit; the pool's reserve price is 0.000005."),
        (3, 9, "too_large", "No node that is ready is large enough, even with nothing else on it."),
        (1, 9, "no_room", "No node has room, nor enough leases that may be displaced for its price."),
    ],
)
def test_a_bid_that_waits_says_why(size: int, price: int, kind: str, text: str) -> None:
    pool = pool_of(2, policy=Policy(reserve_micros=5))
    runs(pool, "a", 2, 9)
    wanted = bid(pool, size, price)
    reason = pool.decide().reasons[wanted]
    assert (reason.kind, reason.text) == (kind, text)
