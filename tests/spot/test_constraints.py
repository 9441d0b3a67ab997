"""Raw SQL that would break the books is refused by the database, by the name of the rule that it breaks."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.exc import IntegrityError

from marketplace import spot
from tests.services import raw
from tests.spot.desk import Desk


@pytest.fixture
async def busy(desk_to_tamper: Desk) -> Desk:
    """Node a with a lease that runs, one that has ended with a line in its bill, and a bid that waits."""
    desk = desk_to_tamper
    await desk.add_node("a", 2)
    over = await desk.running("ann", 1.00)
    await desk.running("bob", 2.00)
    await desk.place("cy", 1.00)
    await desk.match()
    desk.clock.advance(60)
    await desk.run(spot.Settle())
    await desk.end(over)
    await raw.execute(
        desk.database,
        "INSERT INTO lease_lines (pool, lease_id, from_at, to_at, unit_price_micros_per_hour, charged_micros)"
        " SELECT pool, lease_id, 0, 1, 1, 1 FROM leases WHERE state = 'ended'",
    )
    return desk


OPEN = "WHERE ended_at IS NULL"
RUNS = "WHERE state = 'running'"
WAITS = "WHERE state = 'submitted'"
OVER = "WHERE ended_at IS NOT NULL"


COLUMNS = (
    "pool, lease_id, bid_id, username, node, state, notice_secret, matched_at, start_at, started_at, attempts, "
    "is_clean, size, parts, max_price_micros_per_hour, pricing, metered_until, charged_micros, remainder, paid_micros, "
    "line_charged_micros, is_low, changed_seq"
)


def another_lease(bid_id: str = "bid_id") -> str:
    """Write a lease like the one that runs, for the same bid or another one."""
    values = COLUMNS.replace("lease_id", "999").replace("bid_id", bid_id)
    return f"INSERT INTO leases ({COLUMNS}) SELECT {values} FROM leases {RUNS}"


RULES = [
    ("UPDATE pools SET unit_cpu_millis = 0", "pools_unit_bounded"),
    ("UPDATE pools SET unit_cpu_millis = 2000000, unit_memory_mib = 2000000", "pools_unit_bounded"),
    ("UPDATE pools SET reserve_micros_per_hour = -1", "pools_reserve_bounded"),
    ("UPDATE pools SET margin_basis_points = -1", "pools_margin_bounded"),
    ("UPDATE pools SET minimum_runtime_seconds = -1", "pools_minimum_runtime_bounded"),
    ("UPDATE pools SET notice_seconds = 601", "pools_notice_bounded"),
    ("UPDATE pools SET backoff_seconds = 0", "pools_backoff_bounded"),
    ("UPDATE pools SET needs_digest = 2", "pools_needs_digest_is_a_flag"),
    ("UPDATE nodes SET state = 'gone'", "nodes_state_known"),
    ("UPDATE nodes SET cpu_millis = -1", "nodes_cpu_bounded"),
    ("UPDATE nodes SET memory_mib = -1", "nodes_memory_bounded"),
    ("UPDATE nodes SET claim = 'me'", "nodes_claimed_by_somebody"),
    ("UPDATE nodes SET owner = ''", "nodes_owner_length"),
    (f"UPDATE spot_bids SET state = 'lost' {OVER}", "spot_bids_state_known"),
    (f"UPDATE spot_bids SET state = 'running' {WAITS}", "spot_bids_leased_while_placed"),
    (f"UPDATE spot_bids SET state = 'submitted' {RUNS}", "spot_bids_leased_while_placed"),
    (f"UPDATE spot_bids SET ended_at = 1 {WAITS}", "spot_bids_ended_once_it_is_over"),
    (f"UPDATE spot_bids SET hold_id = NULL, held_micros = NULL {WAITS}", "spot_bids_held_for_while_open"),
    (f"UPDATE spot_bids SET hold_id = 1, held_micros = 1 {OVER}", "spot_bids_held_for_while_open"),
    (f"UPDATE spot_bids SET held_micros = NULL {WAITS}", "spot_bids_held_amount_of_a_hold"),
    ("UPDATE spot_bids SET max_price_micros_per_hour = 0", "spot_bids_max_price_bounded"),
    ("UPDATE spot_bids SET cpu_millis = 9", "spot_bids_cpu_bounded"),
    ("UPDATE spot_bids SET memory_mib = 15", "spot_bids_memory_bounded"),
    ("UPDATE spot_bids SET ttl_seconds = 0", "spot_bids_ttl_bounded"),
    ("UPDATE spot_bids SET budget_micros = 0", "spot_bids_budget_positive"),
    ("UPDATE spot_bids SET on_eviction = 'cry'", "spot_bids_on_eviction_known"),
    ("UPDATE spot_bids SET evictions = -1", "spot_bids_counts_not_negative"),
    (f"UPDATE leases SET state = 'ended' {RUNS}", "leases_ended_at_its_end"),
    (f"UPDATE leases SET ended_at = NULL {OVER}", "leases_ended_at_its_end"),
    (f"UPDATE leases SET ended_at = started_at - 1 {OVER}", "leases_ended_after_its_start"),
    (f"UPDATE leases SET stop_at = 1 {RUNS}", "leases_stopped_for_a_cause"),
    (f"UPDATE leases SET is_clean = 1 {RUNS}", "leases_cleaned_after_its_end"),
    ("UPDATE leases SET metered_until = NULL", "leases_metered_once_started"),
    ("UPDATE leases SET metered_until = started_at - 1", "leases_metered_from_its_start"),
    ("UPDATE leases SET paid_micros = charged_micros + 1", "leases_paid_within_charge"),
    ("UPDATE leases SET line_charged_micros = charged_micros + 1", "leases_paid_within_charge"),
    ("UPDATE leases SET size = 0", "leases_metered_exactly"),
    ("UPDATE leases SET is_low = 2", "leases_flags"),
    (another_lease(), "leases_one_open_a_bid"),
    (another_lease(bid_id="12345"), "leases_bid_fkey"),
    ("UPDATE leases SET node = 'z'", "leases_node_fkey"),
    (f"UPDATE leases SET lease_id = (SELECT lease_id FROM leases {RUNS})", "leases_pkey|leases_lease_id_key"),
    (f"DELETE FROM spot_bids {RUNS}", "leases_bid_fkey"),
    ("DELETE FROM nodes", "leases_node_fkey"),
    ("DELETE FROM leases", "lease_lines_lease_fkey"),
    ("DELETE FROM pools", "nodes_pool_fkey|spot_bids_pool_fkey|spot_prices_pool_fkey"),
    ("UPDATE lease_lines SET to_at = from_at", "lease_lines_lasts"),
    ("UPDATE lease_lines SET charged_micros = -1", "lease_lines_charged_not_negative"),
    ("UPDATE spot_prices SET to_at = from_at WHERE to_at IS NOT NULL", "spot_prices_lasts"),
    ("UPDATE spot_prices SET unit_price_micros_per_hour = -1", "spot_prices_price_bounded"),
    ("UPDATE spot_prices SET to_at = NULL WHERE to_at IS NOT NULL", "spot_prices_current"),
]
BY_COLUMNS = {
    # SQLite names the columns of a unique index, and no foreign key at all.
    "leases_one_open_a_bid": "leases.pool, leases.bid_id",
    "spot_prices_current": "spot_prices.pool",
    "leases_pkey|leases_lease_id_key": "leases.lease_id",
}


@pytest.mark.parametrize(("statement", "constraint"), RULES)
async def test_what_would_break_the_books_is_refused_by_the_rule_that_it_breaks(
    busy: Desk, statement: str, constraint: str
) -> None:
    before = await busy.everything()
    with pytest.raises(IntegrityError) as caught:
        await raw.execute(busy.database, statement)
    said = str(caught.value.orig)
    if not busy.database.is_postgres:
        constraint = "FOREIGN KEY" if "fkey" in constraint else BY_COLUMNS.get(constraint, constraint)
    assert re.search(constraint, said), said
    assert await busy.everything() == before
