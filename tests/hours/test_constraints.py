"""Raw SQL that would break the books is refused by the database, by the name of the rule that it breaks."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.exc import IntegrityError

from tests.hours.desk import Desk
from tests.hours.orders import buy, sell

MAX = 1_000_000_000


@pytest.fixture
async def traded(desk: Desk) -> Desk:
    """Bid 1 has 4 of its 10 hours from supply 2, which is used up; supply 3 waits with 5 hours at 9 or more."""
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.supply(sell(4))
    await desk.supply(sell(5, min_price=9, provider="p1"))
    return desk


def bid_row(bid_id: int = 9, *, market: str = "default", username: str = "u1", seq: int = 9) -> str:
    columns = "market, bid_id, seq, username, volume, remaining, price, time_in_force, state, placed_at"
    return f"INSERT INTO bids ({columns}) VALUES ('{market}', {bid_id}, {seq}, '{username}', 1, 1, 1, 'gtc', 'open', 0)"


def allocation_row(*, bid_id: int = 1, supply_id: int = 2, seq: int = 9, market: str = "default") -> str:
    columns = "market, seq, position, bid_id, supply_id, username, volume, price, allocated_at"
    return f"INSERT INTO allocations ({columns}) VALUES ('{market}', {seq}, 0, {bid_id}, {supply_id}, 'u1', 1, 1, 0)"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE bids SET volume = 0, remaining = 0, state = 'filled'", "bids_volume_positive"),
        (f"UPDATE bids SET volume = {MAX + 1}", "bids_volume_positive"),
        ("UPDATE bids SET remaining = -1", "bids_remaining_within_volume"),
        ("UPDATE bids SET remaining = 11", "bids_remaining_within_volume"),
        ("UPDATE bids SET price = -1", "bids_price_not_negative"),
        (f"UPDATE bids SET price = {MAX + 1}", "bids_price_not_negative"),
        ("UPDATE bids SET seq = 0", "bids_queued_after_placed"),
        ("UPDATE bids SET time_in_force = 'day'", "bids_time_in_force_known"),
        ("UPDATE bids SET state = 'lost'", "bids_state_known"),
        ("UPDATE bids SET state = 'filled'", "bids_filled_when_nothing_remains"),
        ("UPDATE bids SET remaining = 0", "bids_filled_when_nothing_remains"),
        ("UPDATE bids SET username = ''", "bids_username_length"),
        (f"UPDATE bids SET username = '{'x' * 129}'", "bids_username_length"),
        ("UPDATE supplies SET volume = 0, remaining = 0, state = 'exhausted'", "supplies_volume_positive"),
        ("UPDATE supplies SET remaining = -1, state = 'open'", "supplies_remaining_within_volume"),
        ("UPDATE supplies SET remaining = 6, state = 'open'", "supplies_remaining_within_volume"),
        ("UPDATE supplies SET min_price = -1", "supplies_min_price_not_negative"),
        ("UPDATE supplies SET state = 'lost' WHERE supply_id = 3", "supplies_state_known"),
        ("UPDATE supplies SET state = 'open'", "supplies_exhausted_when_nothing_remains"),
        ("UPDATE supplies SET remaining = 0", "supplies_exhausted_when_nothing_remains"),
        ("UPDATE allocations SET volume = 0", "allocations_volume_positive"),
        ("UPDATE allocations SET price = -1", "allocations_price_not_negative"),
        ("UPDATE allocated_totals SET volume = 0", "allocated_totals_volume_positive"),
        ("UPDATE markets SET state = 'ajar'", "markets_state_known"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused_by_name(traded: Desk, statement: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=rf"\b{constraint}\b"):
        await traded.tamper(statement)
    assert await traded.audit() == []


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (bid_row(market="nowhere"), "bids_market_fkey"),
        (allocation_row(bid_id=99), "allocations_bid_fkey"),
        (allocation_row(supply_id=99), "allocations_supply_fkey"),
        (allocation_row(bid_id=2), "allocations_bid_fkey"),
        ("DELETE FROM bids", "allocations_bid_fkey"),
        ("DELETE FROM supplies WHERE supply_id = 2", "allocations_supply_fkey"),
        ("UPDATE bids SET bid_id = 0", "allocations_bid_fkey"),
        ("UPDATE supplies SET supply_id = 7 WHERE supply_id = 2", "allocations_supply_fkey"),
        ("UPDATE allocations SET bid_id = 99", "allocations_bid_fkey"),
        ("UPDATE allocations SET supply_id = 99", "allocations_supply_fkey"),
        (
            "INSERT INTO allocated_totals (market, username, volume) VALUES ('nowhere', 'u1', 1)",
            "allocated_totals_market",
        ),
        ("DELETE FROM markets", "market_fkey"),
    ],
)
async def test_a_row_that_belongs_to_nothing_is_refused(
    traded: Desk, engine: str, statement: str, constraint: str
) -> None:
    # SQLite does not say which key it was.
    expected = constraint if engine == "postgres" else "FOREIGN KEY constraint failed"
    with pytest.raises(IntegrityError, match=expected):
        await traded.tamper(statement)
    assert await traded.audit() == []


@pytest.mark.parametrize(
    ("statement", "key"),
    [
        (bid_row(1), "bids"),
        (allocation_row(seq=2), "allocations"),
        ("INSERT INTO markets (market, state, created_at) VALUES ('default', 'open', 0)", "markets"),
        ("INSERT INTO allocated_totals (market, username, volume) VALUES ('default', 'u1', 1)", "allocated_totals"),
    ],
)
async def test_a_second_row_for_the_same_thing_is_refused(traded: Desk, engine: str, statement: str, key: str) -> None:
    expected = f"{key}_pkey" if engine == "postgres" else re.escape(f"UNIQUE constraint failed: {key}.")
    with pytest.raises(IntegrityError, match=expected):
        await traded.tamper(statement)
    assert await traded.audit() == []


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("table", "constraint"), [("bids", "allocations_bid_fkey"), ("supplies", "allocations_supply_fkey")]
)
async def test_what_allocations_name_is_not_truncated(traded: Desk, table: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        await traded.tamper(f"TRUNCATE {table}")
    assert await traded.audit() == []
