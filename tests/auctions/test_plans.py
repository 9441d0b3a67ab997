"""The hot statements walk their index, in its order, on a book of 20 000 orders: no sort, no scan."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace.auctions import sql
from marketplace.database import Database
from tests.services import plans
from tests.services.plans import Hot

pytestmark = pytest.mark.slow

COUNT = 20_000
NUMBERS = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {COUNT})"
STATE = "CASE n % 4 WHEN 0 THEN 'pending' WHEN 1 THEN 'open' WHEN 2 THEN 'committed' ELSE 'cancelled' END"
FILL = (
    f"""INSERT INTO auction_orders (book, order_id, owner, output_asset, output_decimals, input_asset, input_decimals,
            state, round, bids, placed_at, added_at, closes_at, expires_at, ended_at, ranking)
    {NUMBERS} SELECT 'default', n, 'u' || n, 'hour', 0, 'credit', 6, {STATE}, 1, 1, 0,
            CASE WHEN n % 4 IN (1, 2) THEN 1 END, CASE WHEN n % 4 = 1 THEN n END, n + 1,
            CASE WHEN n % 4 = 3 THEN 1 END, CASE WHEN n % 4 = 2 THEN '[]' END FROM numbers""",
    f"""INSERT INTO auction_descriptions (book, order_id, description)
    {NUMBERS} SELECT 'default', n, 'x' FROM numbers""",
    f"""INSERT INTO auction_bids (book, order_id, solver, bid_id, max_input, conversion_rate, min_output, valid_till,
            state, placed_at)
    {NUMBERS} SELECT 'default', n, 's' || (n % 100), n, 1, '1', 1, 9, 'live', 0 FROM numbers""",
    f"""INSERT INTO auction_commitments (book, commitment_id, order_id, bid_id, solver, round, rank, input_amount,
            min_output, escrow, deadline, ends_at, due_at, created_at, deposited, deposits, state, slashed, ended_at)
    {NUMBERS} SELECT 'default', n, n, n, 's' || (n % 100), 1, 1, 1, 2, 'ledger', n + 9, n + 9, n + 9, n, 0, 0,
            CASE WHEN n % 4 = 2 THEN 'live' ELSE 'failed' END, 0, CASE WHEN n % 4 <> 2 THEN n + 9 END FROM numbers""",
    f"""INSERT INTO auction_deposits (book, commitment_id, hold_id, amount, reference, at)
    {NUMBERS} SELECT 'default', n, n, 1, 'r' || n, 0 FROM numbers WHERE n % 4 = 2""",
    f"""INSERT INTO auction_batches (book, sequencer, batch_number, first_offset, orders, formed_at)
    {NUMBERS} SELECT 'default', 'q' || (n % 3), n, n, 1, 0 FROM numbers""",
    f"""INSERT INTO auction_log (book, log_offset, seq, at, kind, data)
    {NUMBERS} SELECT 'default', n - 1, n, 0, 'OrderAdded', '{{}}' FROM numbers""",
    f"""INSERT INTO auction_solvers (book, solver, filled, failed, window_total, window_failures, blocks, clean_run,
            blocked_until)
    {NUMBERS} SELECT 'default', 's' || n, 0, 0, 0, 0, 0, 0, n FROM numbers""",
    "ANALYZE",
)
KEYS = [("default", 2), ("default", 9002)]
NOW = {"now": 500, "limit": 10}

HOT = {
    "orders by id": Hot(("auction_orders_by_id",), lambda tx: sql.read_orders(tx, [2, 9002])),
    "bids of a solver": Hot(("",), lambda tx: sql.read_bids(tx, [("default", 2, "s2"), ("default", 9002, "s2")])),
    "bids of an order": Hot(("",), lambda tx: sql.read_bids_of(tx, KEYS)),
    "records": Hot(("",), lambda tx: sql.read_solvers(tx, [("default", "s7"), ("default", "s900")])),
    "live commitments": Hot(("auction_commitments_one_live",), lambda tx: sql.read_live_commitments(tx, KEYS)),
    "deposits by reference": Hot(("",), lambda tx: sql.read_deposits(tx, [("default", 2, "r2")])),
    "deposits of commitments that are over": Hot(
        ("auction_commitments_by_order",), lambda tx: sql.read_past_deposits(tx, [("default", 2, "s2", "r2")])
    ),
    "deposits of a commitment": Hot(("",), lambda tx: sql.read_deposits_of(tx, KEYS)),
    "commitments due": Hot(("auction_commitments_due",), lambda tx: sql.read_due(tx, "default", **NOW)),
    "orders that expire": Hot(("auction_orders_expiring",), lambda tx: sql.read_expiring(tx, "default", **NOW)),
    "windows that close": Hot(("auction_orders_closing",), lambda tx: sql.read_closing(tx, "default", **NOW)),
    "orders that wait": Hot(("auction_orders_pending",), lambda tx: sql.read_pending(tx, "default", **NOW)),
    "the blocked": Hot(("auction_solvers_blocked",), lambda tx: sql.read_blocked(tx, "default", now=COUNT - 5)),
    "the next offset": Hot(("",), lambda tx: sql.read_next_offset(tx, "default")),
    "a batch": Hot(("",), lambda tx: sql.read_batch(tx, "default", "q1", 1)),
    "the next batch number": Hot(("",), lambda tx: sql.read_next_batch_number(tx, "default", "q1")),
}
TABLES = tuple(f"auction_{name}" for name in ("orders", "bids", "commitments", "deposits", "batches", "log", "solvers"))


async def test_the_hot_statements_walk_their_index_on_a_large_book(database: Database) -> None:
    faults = await database.writer.run(fill_and_check)
    assert faults == [], "\n\n".join(faults)


def fill_and_check(tx: sa.Connection) -> list[str]:
    with tx.begin() as transaction:
        for statement in FILL:
            tx.exec_driver_sql(statement)
        faults = plans.check_all(tx, HOT, tables=TABLES, ignoring="auction_books")
        transaction.rollback()
    return faults
