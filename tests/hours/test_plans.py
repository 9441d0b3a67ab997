"""The hot statements walk their index, in its order, on a book of 100 000 open bids: no sort, no scan of a table."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace import hours
from marketplace.database import Database
from marketplace.foundation.clock import SECOND
from marketplace.hours import lookups, sql
from tests.hours.orders import MARKET
from tests.services import plans
from tests.services.clock import NEW_YEAR
from tests.services.plans import Hot

pytestmark = pytest.mark.slow

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
BIDS = f"""
INSERT INTO bids (market, bid_id, seq, username, volume, remaining, price, time_in_force, state, placed_at, expires_at)
{NUMBERS.format(count=150_000)}
SELECT 'default', n, n, 'u' || (n % 5000), 10, CASE WHEN n % 3 = 0 THEN 0 ELSE 10 END, n % 1000, 'gtc',
       CASE WHEN n % 3 = 0 THEN 'filled' ELSE 'open' END, {NEW_YEAR}, CASE WHEN n % 50 = 1 THEN {NEW_YEAR} + n END
  FROM numbers
"""
SUPPLIES = f"""
INSERT INTO supplies (market, supply_id, provider, volume, remaining, min_price, state, added_at)
{NUMBERS.format(count=40_000)}
SELECT 'default', 200000 + n, 'p' || (n % 500), 50, CASE WHEN n % 2 = 0 THEN 0 ELSE 50 END, 1000 + n % 500,
       CASE WHEN n % 2 = 0 THEN 'exhausted' ELSE 'open' END, {NEW_YEAR}
  FROM numbers
"""
ALLOCATIONS = f"""
INSERT INTO allocations (market, seq, position, bid_id, supply_id, username, volume, price, allocated_at)
SELECT market, 300000 + bid_id, 0, bid_id, 200002, username, volume, price, {NEW_YEAR} FROM bids WHERE state = 'filled'
"""
TOTALS = """
INSERT INTO allocated_totals (market, username, volume)
SELECT market, username, sum(volume) FROM allocations GROUP BY market, username
"""


HOT = {
    "first bids": Hot(
        ("bids_open",), lambda tx: sql.lock_open_bids(tx, MARKET, after=sql.BEFORE_ALL, limit=64, now=NEW_YEAR)
    ),
    "more bids": Hot(
        ("bids_open", "bids_open"),
        lambda tx: sql.lock_open_bids(tx, MARKET, after=(-500, 70_000), limit=4096, now=NEW_YEAR),
    ),
    "first supplies": Hot(
        ("supplies_open",), lambda tx: sql.lock_open_supplies(tx, MARKET, after=sql.BEFORE_ALL, limit=64)
    ),
    "more supplies": Hot(
        ("supplies_open",), lambda tx: sql.lock_open_supplies(tx, MARKET, after=(1100, 210_000), limit=4096)
    ),
    "bids by id": Hot(("bids_pkey",), lambda tx: sql.lock_bids(tx, [(MARKET, 7), (MARKET, 70_000)])),
    "supplies by id": Hot(("supplies_pkey",), lambda tx: sql.lock_supplies(tx, [(MARKET, 200_007)])),
    "a user's total": Hot(("bids_by_user",), lambda tx: hours.total_allocated(tx, MARKET, "u7")),
    "bids that are due": Hot(
        ("bids_expiring",), lambda tx: lookups.list_due_bids(tx, now=NEW_YEAR + 3600 * SECOND, limit=500)
    ),
    "a user's bids": Hot(
        ("bids_by_user",),
        lambda tx: hours.list_bids(tx, MARKET, username="u7", state=None, after=1000, limit=100),
    ),
    "a provider's supplies": Hot(
        ("supplies_by_provider",),
        lambda tx: hours.list_supplies(tx, MARKET, provider="p7", state=None, after=210_000, limit=100),
    ),
    "the newest fills": Hot(
        ("allocations_pkey",), lambda tx: hours.list_fills(tx, MARKET, before=(390_000, 0), limit=100)
    ),
    "what a user got last": Hot(
        ("allocations_by_user",), lambda tx: hours.list_newest_allocations(tx, MARKET, username="u7", limit=20)
    ),
    "a user's allocations": Hot(
        ("allocations_by_user",),
        lambda tx: hours.list_allocations(tx, MARKET, username="u9", after=(390_000, 0), limit=100),
    ),
}


async def test_the_hot_statements_walk_their_index_on_a_book_of_100_000_bids(database: Database) -> None:
    faults = await database.writer.run(fill_and_check)
    assert faults == [], "\n\n".join(faults)


def fill_and_check(tx: sa.Connection) -> list[str]:
    with tx.begin() as transaction:
        fill(tx)
        faults = plans.check_all(
            tx, HOT, tables=("bids", "supplies", "allocations", "allocated_totals"), ignoring="markets"
        )
        transaction.rollback()
    return faults


def fill(tx: sa.Connection) -> None:
    for statement in (BIDS, SUPPLIES, ALLOCATIONS, TOTALS, "ANALYZE"):
        tx.exec_driver_sql(statement)
    (open_bids,) = tx.exec_driver_sql("SELECT count(*) FROM bids WHERE state = 'open'").one()
    assert open_bids == 100_000
