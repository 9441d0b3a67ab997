"""The hot statements walk their index on 100 000 bids, 20 000 of them open, and as many leases: no sort, no scan."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace.database import Database
from marketplace.foundation.clock import SECOND
from marketplace.spot import billing_sql, boards, listings, projection_sql, sql
from tests.services import plans
from tests.services.clock import NEW_YEAR
from tests.services.plans import Hot

pytestmark = pytest.mark.slow

COUNT = 100_000
NUMBERS = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {COUNT})"
NODES = f"""
INSERT INTO nodes (pool, node, provider, backend, settings, owner, cpu_millis, memory_mib, state, added_at, changed_seq)
{NUMBERS} SELECT 'default', 'n' || n, 'pat', 'simulated', '{{}}', 'o' || n, 8000, 16384, 'ready', 0, n
            FROM numbers WHERE n <= 5000
"""
# Of ten bids eight are over, one waits and one runs.
BIDS = f"""
INSERT INTO spot_bids (pool, bid_id, username, image, command, environment, cpu_millis, memory_mib,
                       max_price_micros_per_hour, on_eviction, state, queue_seq, avoids, evictions, failures, hold_id,
                       held_micros, charged_micros, lease_id, submitted_at, expires_at, ended_at, changed_seq)
{NUMBERS} SELECT 'default', n, 'u' || (n % 500), 'app', '[]', '{{}}', 1000, 2048, 1000000 + n, 'terminate',
                 CASE n % 10 WHEN 1 THEN 'running' WHEN 2 THEN 'submitted' ELSE 'completed' END, n, '[]', 0, 0,
                 CASE WHEN n % 10 IN (1, 2) THEN n END, CASE WHEN n % 10 IN (1, 2) THEN 5 END, 0,
                 CASE n % 10 WHEN 1 THEN n END, 0, CASE WHEN n % 20 = 2 THEN {NEW_YEAR} + n END,
                 CASE WHEN n % 10 NOT IN (1, 2) THEN {NEW_YEAR} END, n
            FROM numbers
"""
LEASES = f"""
INSERT INTO leases (pool, lease_id, bid_id, username, node, state, notice_secret, matched_at, start_at, started_at,
                    ended_at, overdue_at, attempts, is_clean, size, parts, max_price_micros_per_hour, pricing,
                    metered_until, charged_micros, remainder, paid_micros, line_charged_micros, settle_at, is_low,
                    changed_seq)
SELECT pool, bid_id, bid_id, username, 'n' || (1 + bid_id % 5000),
       CASE state WHEN 'running' THEN state ELSE 'ended' END, 's', 0, 0, 0, ended_at,
       CASE WHEN bid_id % 40 = 1 THEN {NEW_YEAR} + bid_id END, 0,
       CASE state WHEN 'running' THEN 0 ELSE 1 END, 1, 1, max_price_micros_per_hour, 'uniform', 0, 0, 0, 0, 0,
       CASE state WHEN 'running' THEN {NEW_YEAR} + bid_id END, 0, bid_id
  FROM spot_bids
 WHERE state <> 'submitted'
"""
PRICES = f"""
INSERT INTO spot_prices (pool, from_at, to_at, unit_price_micros_per_hour)
{NUMBERS} SELECT 'default', {NEW_YEAR} + n * 1000, CASE WHEN n < {COUNT} THEN {NEW_YEAR} + n * 1000 + 1000 END, n
            FROM numbers
"""
LINES = f"""
INSERT INTO lease_lines (pool, lease_id, from_at, to_at, unit_price_micros_per_hour, charged_micros)
SELECT pool, lease_id, {NEW_YEAR} + part * 10, {NEW_YEAR} + part * 10 + 10, 5, 1
  FROM leases, (SELECT n AS part FROM ({NUMBERS} SELECT n FROM numbers) AS counted WHERE n <= 3) AS parts
"""
FILL = (NODES, BIDS, LEASES, LINES, "DELETE FROM spot_prices", PRICES, "ANALYZE")
LATE = NEW_YEAR + SECOND

HOT = {
    # The unique keys have names of their own on Postgres alone.
    "bids by id": Hot(("",), lambda tx: sql.read_bids(tx, [7, 70_000])),
    "leases by id": Hot(("",), lambda tx: sql.read_leases(tx, [11, 70_001])),
    "nodes by name": Hot(("nodes_pkey",), lambda tx: sql.read_nodes(tx, [("default", "n7"), ("default", "n4000")])),
    "prices": Hot(("spot_prices_pkey",), lambda tx: sql.read_prices(tx, "default", since=NEW_YEAR + COUNT * 999)),
    "bids that have waited": Hot(("spot_bids_expiring",), lambda tx: sql.read_expiring(tx, now=LATE, limit=9)),
    "leases that have run": Hot(("leases_overdue",), lambda tx: sql.read_overdue(tx, now=LATE, limit=9)),
    "leases of a node": Hot(("leases_of_node",), lambda tx: sql.read_open_leases(tx, ("default", "n2"))),
    "whether a node is clean": Hot(("leases_of_node",), lambda tx: sql.count_unclean(tx, ("default", "n2"))),
    "the price": Hot(("spot_prices_current",), lambda tx: projection_sql.read_price(tx, "default")),
    "leases to be charged": Hot(
        ("leases_to_settle spot_bids nodes",), lambda tx: billing_sql.read_due(tx, now=LATE, limit=9)
    ),
    "a lease's lines": Hot(
        ("lease_lines_pkey",), lambda tx: billing_sql.read_lines(tx, "default", 70_001, after=NEW_YEAR)
    ),
    "open bids of a board": Hot(
        ("spot_bids_open leases nodes",),
        lambda tx: tx.execute(boards._of(boards._open_bids, "default", None).limit(50)).fetchall(),
    ),
    "bids of a board that are over": Hot(("",), lambda tx: boards.list_over(tx, "default", username=None, limit=20)),
    "leases of a bid": Hot(("leases_by_bid",), lambda tx: listings.newest_leases(tx, "default", 70_001, limit=50)),
    "changed nodes": Hot(("nodes_changed",), lambda tx: projection_sql.read_changed_nodes(tx, "default", after=4_990)),
    "changed bids": Hot(
        ("spot_bids_changed",), lambda tx: projection_sql.read_changed_bids(tx, "default", after=COUNT - 20)
    ),
}


async def test_the_hot_statements_walk_their_index_on_large_books(database: Database) -> None:
    faults = await database.writer.run(fill_and_check)
    assert faults == [], "\n\n".join(faults)


def fill_and_check(tx: sa.Connection) -> list[str]:
    tables = ("nodes", "spot_bids", "leases", "spot_prices", "lease_lines")
    with tx.begin() as transaction:
        for statement in FILL:
            tx.exec_driver_sql(statement)
        faults = plans.check_all(tx, HOT, tables=tables, ignoring="pools")
        transaction.rollback()
    return faults
