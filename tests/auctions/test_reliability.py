"""What a solver's failures bring it: the breaker and the bond. Pure, without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.auctions import reliability
from marketplace.auctions.model import SolverRecord
from marketplace.foundation.clock import HOUR, MINUTE

NOON = 10**12


def after(outcomes: str, record: SolverRecord | None = None, *, now: int = NOON) -> SolverRecord:
    """Return the record after outcomes in a row: + is a fill, - a failure."""
    record = record or SolverRecord("default", "s1")
    for outcome in outcomes:
        if outcome == "+":
            record = reliability.after_fill(record, now=now)
        else:
            record = reliability.after_failure(record, now=now)
    return record


@pytest.mark.parametrize(
    ("outcomes", "blocked_minutes"),
    [
        pytest.param("", 0, id="a newcomer"),
        pytest.param("-", 0, id="one failure of one is 2/21, 9.5 %"),
        pytest.param("--", 15, id="two of two are 3/22, 13.6 %"),
        pytest.param("+++++-+-", 0, id="two of eight are 3/28, 10.7 %"),
        pytest.param("+" * 3 + "--", 0, id="two of five are 3/25, exactly 12 %"),
        pytest.param("+" * 2 + "--", 15, id="two of four are 3/24, 12.5 %"),
        pytest.param("--" + "-", 45, id="a failure while blocked lengthens the block from its end"),
        pytest.param("--" + "--", 105, id="and once more, doubled each time"),
    ],
)
def test_who_fails_above_twelve_percent_is_blocked(outcomes: str, blocked_minutes: int) -> None:
    record = after(outcomes)
    assert max(record.blocked_until - NOON, 0) == blocked_minutes * MINUTE
    assert record.is_blocked(NOON) == bool(blocked_minutes)


def test_a_block_ends_with_a_clean_slate() -> None:
    record = after("--")
    later = record.blocked_until
    assert not record.is_blocked(later)
    record = after("-", record, now=later)
    assert not record.is_blocked(later)
    record = after("-", record, now=later)
    assert record.blocked_until == later + 30 * MINUTE


def test_blocks_double_up_to_32_hours() -> None:
    lengths = [reliability.block_length(blocks) for blocks in range(10)]
    assert lengths[:3] == [15 * MINUTE, 30 * MINUTE, HOUR]
    assert lengths[7:] == [32 * HOUR] * 3


def test_six_fills_in_a_row_take_a_block_back() -> None:
    record = after("--")
    later = record.blocked_until
    assert after("+" * 5, record, now=later).blocks == 1
    assert after("+" * 6, record, now=later).blocks == 0
    assert after("+" * 5 + "-" + "+" * 5, record, now=later).blocks == 1


def test_fills_while_blocked_take_nothing_back() -> None:
    assert after("--" + "+" * 12).blocks == 1


def test_old_outcomes_count_less() -> None:
    record = after("+" * 1_000)
    assert record.filled == 1_000
    assert record.window_total < reliability.HALVED_AT
    assert after("-" * 14, record).is_blocked(NOON)


@given(st.text("+-", max_size=300))
def test_counts_add_up_and_the_window_is_bounded(outcomes: str) -> None:
    record = after(outcomes)
    assert (record.filled, record.failed) == (outcomes.count("+"), outcomes.count("-"))
    assert 0 <= record.window_failures <= record.window_total < reliability.HALVED_AT
    assert not reliability.is_above(record.window_failures, record.window_total)


@pytest.mark.parametrize(("bond", "slashed"), [(1, 1), (2, 1), (3, 2), (10, 5), (10**15, 5 * 10**14)])
def test_half_of_a_bond_is_slashed(bond: int, slashed: int) -> None:
    assert reliability.slashed(bond) == slashed
