"""The rule: the most output, then the least input, then the earliest. Pure, without a database."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.auctions import selection
from marketplace.auctions.model import Order, Reason, SolverBid
from tests.auctions.orders import CREDIT, LATER, a_bid, an_order
from tests.services.clock import NEW_YEAR


def choose(bids: list[SolverBid], order: Order | None = None, *, blocked: str = "", now: int = NEW_YEAR) -> list[str]:
    """Return the solvers of the valid bids by rank."""
    return [bid.solver for bid in selection.select(bids, judged(order, blocked=blocked, now=now)).ranked]


def judged(order: Order | None, *, blocked: str = "", now: int = NEW_YEAR) -> selection.Judge:
    def judge(bid: SolverBid) -> Reason | None:
        return "blocked" if bid.solver == blocked else selection.judge_terms(order or an_order(), bid, now=now)

    return judge


# ── what a bid promises ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("credits_", "rate", "hours"),
    [
        pytest.param(10, "2.19", 21, id="the worked example, rounded down"),
        pytest.param(9, "2.4", 21, id="the worked example, rounded down more"),
        pytest.param(5, "4", 20, id="the worked example, exact"),
        pytest.param(3, "0.333333333333333333", 0, id="one short of the unit is nothing"),
        pytest.param(3, "0.333333333333333334", 1, id="one more is a unit"),
        pytest.param(10**9, "999999999999", 999999999999 * 10**9, id="large numbers stay exact"),
    ],
)
def test_what_a_bid_promises_is_rounded_down_to_the_unit(credits_: int, rate: str, hours: int) -> None:
    made = selection.output_of(credits_ * CREDIT, selection.parse_rate(rate), input_decimals=6, output_decimals=0)
    assert made == hours


@given(
    st.integers(1, 10**15),
    st.decimals(0, 10**12 - 1, places=18, allow_nan=False).filter(bool),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_what_a_bid_promises_is_what_decimals_say(units: int, rate: Decimal, inward: int, outward: int) -> None:
    made = selection.output_of(units, selection.parse_rate(f"{rate:f}"), input_decimals=inward, output_decimals=outward)
    with localcontext() as context:
        context.prec = 100
        exact = (Decimal(units).scaleb(-inward) * rate).scaleb(outward)
        assert made == int(exact.to_integral_value(ROUND_FLOOR))


BAD_RATES = [
    "",
    "0",
    "0.0",
    "-1",
    "+1",
    "1e3",
    "NaN",
    "Infinity",
    "1.",
    ".5",
    "01",
    " 1",
    "1\n",
    "1_0",
    "1,5",
    "½",
    "١",
]


@pytest.mark.parametrize("text", [*BAD_RATES, "1" * 13, "0." + "0" * 18 + "1", "0." + "0" * 18])
def test_what_is_no_decimal_above_zero_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="a conversion rate is"):
        selection.parse_rate(text)


# ── who wins ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("bids", "expected"),
    [
        pytest.param([], [], id="nobody bids"),
        pytest.param([a_bid(1)], ["s1"], id="a single bid"),
        pytest.param([a_bid(1, output=10), a_bid(2, output=11)], ["s2", "s1"], id="the most output"),
        pytest.param([a_bid(1, most=10), a_bid(2, most=9)], ["s2", "s1"], id="a tie by output: the least input"),
        pytest.param([a_bid(2), a_bid(1)], ["s1", "s2"], id="a tie by both: the earliest"),
        pytest.param(
            [a_bid(1, output=10, most=1), a_bid(2, output=11, most=99)], ["s2", "s1"], id="output goes before input"
        ),
        pytest.param([a_bid(1, valid_till=NEW_YEAR), a_bid(2, valid_till=NEW_YEAR + 1)], ["s2"], id="expired bids"),
        pytest.param([a_bid(1, valid_till=NEW_YEAR), a_bid(2, valid_till=0)], [], id="none is valid"),
        pytest.param([a_bid(1, output=0)], [], id="nothing is no output"),
    ],
)
def test_the_best_valid_bid_wins(bids: list[SolverBid], expected: list[str]) -> None:
    assert choose(bids) == expected


def test_a_limit_that_is_exactly_met_is_met() -> None:
    bids = [a_bid(1, output=20), a_bid(2, output=19)]
    assert choose(bids, an_order(limit_output=20)) == ["s1"]


def test_a_budget_that_is_exactly_used_is_enough() -> None:
    bids = [a_bid(1, most=11, output=99), a_bid(2, most=10)]
    assert choose(bids, an_order(input_budget=10)) == ["s2"]


def test_a_blocked_solver_does_not_win() -> None:
    assert choose([a_bid(1, output=99), a_bid(2)], blocked="s1") == ["s2"]


def test_it_is_said_why_a_bid_was_passed_over() -> None:
    order = an_order(limit_output=5, input_budget=50)
    bids = [a_bid(1, valid_till=1), a_bid(2), a_bid(3, most=51), a_bid(4, output=4)]
    found = selection.select(bids, judged(order, blocked="s2"))
    assert {bid.solver: reason for bid, reason in found.passed} == {
        "s1": "expired",
        "s2": "blocked",
        "s3": "over_budget",
        "s4": "below_limit",
    }


many_bids = st.lists(
    st.builds(
        lambda output, most, valid: {"output": output, "most": most, "valid_till": LATER if valid else NEW_YEAR},
        st.integers(0, 5),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=12,
)


@given(many_bids, st.integers(0, 5), st.integers(1, 5), st.randoms())
def test_selection_is_a_sort_of_what_is_valid(
    given_bids: list[dict[str, int]], limit: int, budget: int, chance: object
) -> None:
    bids = [a_bid(number, **fields) for number, fields in enumerate(given_bids, 1)]
    order = an_order(limit_output=limit, input_budget=budget)
    shuffled = bids.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    found = selection.select(shuffled, judged(order))
    valid = [
        bid for bid in bids if bid.valid_till > NEW_YEAR and bid.max_input <= budget and bid.min_output >= max(limit, 1)
    ]
    valid.sort(key=lambda bid: bid.bid_id)
    valid.sort(key=lambda bid: bid.max_input)
    valid.sort(key=lambda bid: bid.min_output, reverse=True)
    assert found.ranked == valid
    assert sorted(bid.bid_id for bid in (*found.ranked, *(bid for bid, _ in found.passed))) == [b.bid_id for b in bids]


# ── who takes over ───────────────────────────────────────────────────────────────────────────────────────────────────


def successor(
    ranking: list[int], bids: list[SolverBid], *, failed: int, now: int = NEW_YEAR
) -> tuple[str | None, list[int]]:
    bid, passed = selection.find_successor(ranking, bids, judged(None, blocked="s9", now=now), failed=failed)
    return bid.solver if bid else None, [one.bid_id for one, _ in passed]


@pytest.mark.parametrize(
    ("ranking", "bids", "failed", "expected"),
    [
        pytest.param([1, 2, 3], [a_bid(1), a_bid(2), a_bid(3)], 1, ("s2", []), id="the next best"),
        pytest.param([1, 2, 3], [a_bid(1), a_bid(2), a_bid(3)], 2, ("s3", []), id="and the one after that"),
        pytest.param([1, 2], [a_bid(1), a_bid(2)], 2, (None, []), id="nobody is left"),
        pytest.param([1, 9, 3], [a_bid(9), a_bid(3)], 1, ("s3", [9]), id="a blocked one is passed over"),
        pytest.param([1, 2, 3], [a_bid(2, valid_till=1), a_bid(3)], 1, ("s3", [2]), id="an expired one is passed over"),
        pytest.param([1, 2], [a_bid(5, solver="s2", output=99)], 1, (None, []), id="a newer bid is of the next round"),
        pytest.param([1, 2], [a_bid(2, state="spent")], 1, (None, []), id="one that is spent is not there any more"),
        pytest.param([1, 2], [a_bid(2), a_bid(4, output=99)], 1, ("s2", []), id="one that came later has no rank"),
    ],
)
def test_the_next_best_bid_that_is_still_valid_takes_over(
    ranking: list[int], bids: list[SolverBid], failed: int, expected: tuple[str | None, list[int]]
) -> None:
    assert successor(ranking, bids, failed=failed) == expected
