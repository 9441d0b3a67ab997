"""What is asked of auctions over HTTP walks an index too, in its order, on a book of 20 000 orders."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace.auctions import boards, book_log, lookups
from marketplace.auctions.lookups import Wanted, WantedCommitments
from marketplace.database import Database
from tests.auctions.test_plans import FILL, TABLES
from tests.services import plans
from tests.services.plans import Hot

pytestmark = pytest.mark.slow

PAGE = {"after": 9_000, "limit": 10}

HOT = {
    "an order": Hot(("auction_orders_by_id",), lambda tx: lookups.find_order(tx, 9_002)),
    # With a quarter of all orders open, Postgres may as well pass the others over.
    "open orders": Hot(
        ("auction_orders_",), lambda tx: lookups.list_orders(tx, Wanted(book="default", state="open"), **PAGE)
    ),
    "orders of an owner": Hot(
        ("auction_orders_by_owner",), lambda tx: lookups.list_orders(tx, Wanted(owner="u9"), after=None, limit=10)
    ),
    "all orders": Hot(("auction_orders_by_id",), lambda tx: lookups.list_orders(tx, Wanted(), **PAGE)),
    "a commitment": Hot(("auction_commitments_pkey",), lambda tx: lookups.find_commitment(tx, "default", 9_002)),
    "commitments for an order": Hot(
        ("auction_commitments_by_order",),
        lambda tx: lookups.list_commitments(tx, WantedCommitments("default", order_id=9_002), after=None, limit=10),
    ),
    "commitments of a solver": Hot(
        ("auction_commitments_by_solver",),
        lambda tx: lookups.list_commitments(tx, WantedCommitments("default", solver="s7"), **PAGE),
    ),
    "a solver": Hot(("auction_solvers_pkey",), lambda tx: lookups.find_solver(tx, "default", "s900")),
    "a page of a log": Hot(
        ("auction_log_pkey",), lambda tx: book_log.read_entries(tx, "default", first=9_000, limit=9)
    ),
    "orders that take bids, the newest first": Hot(
        ("auction_orders_open",), lambda tx: boards.list_soliciting(tx, "default", limit=9)
    ),
    "commitments, the first due first": Hot(
        ("auction_commitments_due",), lambda tx: boards.list_due(tx, "default", limit=9)
    ),
    "a member's orders and promises": Hot(
        ("auction_orders_", "auction_commitments_by_solver"),
        lambda tx: boards.read_own(tx, "default", "s7", limit=9).promises,
    ),
    "the head of a log": Hot((), lambda tx: book_log.read_head(tx, "default")),
}


async def test_what_is_asked_walks_its_index_on_a_large_book(database: Database) -> None:
    faults = await database.writer.run(fill_and_check)
    assert faults == [], "\n\n".join(faults)


def fill_and_check(tx: sa.Connection) -> list[str]:
    with tx.begin() as transaction:
        for statement in FILL:
            tx.exec_driver_sql(statement)
        faults = plans.check_all(tx, HOT, tables=TABLES, ignoring="auction_books")
        transaction.rollback()
    return faults
