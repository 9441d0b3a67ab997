"""Raw SQL that would break the books is refused by the database, on both engines, by the name of the rule it breaks."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from marketplace.auctions import tables
from marketplace.foundation.clock import SECOND
from tests.auctions.desk import FULFIL, GRACE, WINDOW, Desk
from tests.services import raw
from tests.services.clock import NEW_YEAR

ENDS = NEW_YEAR + (WINDOW + FULFIL + GRACE) * SECOND


@pytest.fixture
async def books(desk: Desk) -> Desk:
    """An order with a live commitment and a deposit, one that is open, and one that is filled."""
    committed = await desk.place()
    filled = await desk.place()
    await desk.place()
    await desk.tick()
    for order in (committed, filled):
        await desk.bid(order.order_id)
    await desk.tick(WINDOW)
    await desk.deposit(filled.order_id)
    await desk.tick()
    await desk.deposit(committed.order_id, amount=3, reference="x")
    return desk


ORDER = "(SELECT order_id FROM auction_orders WHERE state = '{0}')"
COMMITMENT = "(SELECT commitment_id FROM auction_commitments WHERE state = '{0}')"


def order(state: str) -> str:
    return ORDER.format(state)


def deposit(
    state: str = "live", *, at: int = ENDS - 1, amount: int = 1, hold_id: int = 999, reference: str = "y"
) -> str:
    return f"""INSERT INTO auction_deposits (book, commitment_id, hold_id, amount, reference, at)
        VALUES ('default', {COMMITMENT.format(state)}, {hold_id}, {amount}, '{reference}', {at})"""


def commitment(of: str) -> str:
    return f"""INSERT INTO auction_commitments SELECT book, 999, {order(of)}, 999, solver, round, rank, input_amount,
        min_output, escrow, deadline, ends_at, ends_at, created_at, NULL, NULL, NULL, 0, 0, NULL, 'live', 0, NULL
        FROM auction_commitments WHERE state = 'live'"""


def entry(offset: str, book: str = "default") -> str:
    return f"""INSERT INTO auction_log (book, log_offset, seq, at, order_id, kind, data)
        VALUES ('{book}', {offset}, 1, 1, NULL, 'OrderAdded', '{{}}')"""


LAST = "(SELECT max(log_offset) {0} FROM auction_log AS known)"
HELD_BUDGET = "SELECT hold_id FROM auction_orders WHERE state = 'filled'"

ILLEGAL = {
    "an entry beside the last one": (entry(LAST.format("+ 2")), "auction_log_without_gaps"),
    "an entry over the last one": (entry(LAST.format("")), "auction_log_without_gaps|auction_log_pkey"),
    "a first entry that is not": (entry("1", "other"), "auction_log_without_gaps"),
    "an entry changed": ("UPDATE auction_log SET data = '{}' WHERE log_offset = 0", "never changed or deleted"),
    "an entry deleted": ("DELETE FROM auction_log WHERE log_offset = 0", "never changed or deleted"),
    "a batch changed": ("UPDATE auction_batches SET orders = 9", "never changed or deleted"),
    "a batch deleted": ("DELETE FROM auction_batches", "never changed or deleted"),
    "a description changed": ("UPDATE auction_descriptions SET description = 'x'", "never changed or deleted"),
    "an order deleted": ("DELETE FROM auction_orders", "never changed or deleted"),
    "a bid deleted": ("DELETE FROM auction_bids", "never changed or deleted"),
    "a commitment deleted": ("DELETE FROM auction_commitments", "never changed or deleted"),
    "a solver deleted": ("DELETE FROM auction_solvers", "never changed or deleted"),
    "a book deleted": ("DELETE FROM auction_books", "never changed or deleted"),
    "a deposit deleted": ("DELETE FROM auction_deposits", "never changed or deleted"),
    "a deposit changed": ("UPDATE auction_deposits SET amount = 99", "never changed or deleted"),
    "a deposit too late": (deposit(at=ENDS), "auction_deposits_in_time"),
    "a deposit on what is over": (deposit("filled"), "auction_deposits_in_time"),
    "a deposit of nothing": (deposit(amount=0), "amount_bounded"),
    "a deposit twice by its reference": (deposit(reference="x"), "auction_deposits_(pkey|by_reference)"),
    "more deposited than there is": (
        "UPDATE auction_commitments SET deposited = 20 WHERE state = 'live'",
        "auction_commitments_keep",
    ),
    "more deposits than there are": (
        "UPDATE auction_commitments SET deposits = 2 WHERE state = 'live'",
        "auction_commitments_keep",
    ),
    "a second live commitment": (commitment("committed"), "auction_commitments_one_live|auction_commitments.book"),
    "another deadline": ("UPDATE auction_commitments SET ends_at = ends_at + 1 WHERE state = 'live'", "_keep"),
    "another output": ("UPDATE auction_commitments SET min_output = 1 WHERE state = 'live'", "_keep"),
    "another solver": ("UPDATE auction_commitments SET solver = 's2' WHERE state = 'live'", "_keep"),
    "filled with a part": (
        f"UPDATE auction_commitments SET state = 'filled', ended_at = {ENDS} WHERE state = 'live'",
        "filled_in_full",
    ),
    "failed before its time": (
        f"UPDATE auction_commitments SET state = 'failed', ended_at = {ENDS - 1} WHERE state = 'live'",
        "failed_after_grace",
    ),
    "ended without an instant": ("UPDATE auction_commitments SET state = 'failed' WHERE state = 'live'", "ended_at"),
    "a bond slashed that is none": (
        f"UPDATE auction_commitments SET state = 'failed', slashed = 1, ended_at = {ENDS} WHERE state = 'live'",
        "slashed_of_the_bond",
    ),
    "a claim where deposits count": (
        "UPDATE auction_commitments SET claimed_at = created_at WHERE state = 'live'",
        "claimed_in_time",
    ),
    "what is filled fails": (
        f"UPDATE auction_commitments SET state = 'failed', ended_at = {ENDS} WHERE state = 'filled'",
        "auction_commitments_keep",
    ),
    "what is filled lives": (
        "UPDATE auction_commitments SET state = 'live', ended_at = NULL WHERE state = 'filled'",
        "auction_commitments_keep",
    ),
    "a filled order is open": (
        "UPDATE auction_orders SET state = 'open', ended_at = NULL WHERE state = 'filled'",
        "auction_orders_keep",
    ),
    "another owner": ("UPDATE auction_orders SET owner = 'bob' WHERE state = 'open'", "auction_orders_keep"),
    "another budget": ("UPDATE auction_orders SET input_budget = 1 WHERE state = 'open'", "auction_orders_keep"),
    "another limit": ("UPDATE auction_orders SET limit_output = 1 WHERE state = 'open'", "auction_orders_keep"),
    "an order without its hold": (
        "UPDATE auction_orders SET hold_id = NULL WHERE state = 'open'",
        "budget_is_held|_keep",
    ),
    "an unknown state": (
        "UPDATE auction_orders SET state = 'lost' WHERE state = 'open'",
        "state_known|ended_at|window",
    ),
    "a window of a committed order": ("UPDATE auction_orders SET closes_at = 1 WHERE state = 'committed'", "window_of"),
    "pending again": ("UPDATE auction_orders SET state = 'pending', closes_at = NULL WHERE state = 'open'", "pending"),
    "a bid for nothing": ("UPDATE auction_bids SET min_output = 0", "min_output_bounded"),
    "a bid of nowhere": (
        """INSERT INTO auction_bids SELECT book, 12345, solver, 999, max_input, conversion_rate, min_output,
        valid_till, state, placed_at FROM auction_bids LIMIT 1""",
        "FOREIGN KEY|auction_bids_book_order_id_fkey",
    ),
    "a book without ticks": ("UPDATE auction_books SET tick_micros = 0", "tick_micros_bounded"),
    "a batch size of nothing": ("UPDATE auction_books SET batch_size = 0", "batch_size_bounded"),
    "more failures than outcomes": ("UPDATE auction_solvers SET window_failures = 9", "window_adds_up"),
}


@pytest.mark.parametrize("name", ILLEGAL)
async def test_what_would_break_the_books_is_refused(books: Desk, name: str) -> None:
    statement, rule = ILLEGAL[name]
    before = await books.everything()
    with pytest.raises(DBAPIError) as caught:
        await raw.execute(books.database, statement)
    assert re.search(rule, str(caught.value.orig)), caught.value.orig
    assert await books.everything() == before


async def test_a_deposit_counts_by_itself(desk_to_tamper: Desk) -> None:
    desk = desk_to_tamper
    order_ = await desk.committed()
    await raw.execute(desk.database, deposit(amount=7), deposit(amount=12, hold_id=998, reference="z"))
    found = await desk.commitment(order_.order_id)
    assert (found.deposited, found.deposits, found.due_at) == (19, 2, found.ends_at)
    await raw.execute(desk.database, deposit(amount=1, hold_id=997, reference="q", at=ENDS - 5))
    found = await desk.commitment(order_.order_id)
    assert (found.deposited, found.due_at, found.is_kept) == (20, ENDS - 5, True)


@pytest.mark.parametrize("table", [table.name for table in Desk.OWN])
async def test_no_table_can_be_emptied(books: Desk, table: str) -> None:
    statement = f"DELETE FROM {table}" if books.database.url.startswith("sqlite") else f"TRUNCATE {table} CASCADE"
    with pytest.raises((IntegrityError, DBAPIError)):
        await raw.execute(books.database, statement)
    assert await books.read(lambda tx: tx.scalar(sa.select(sa.func.count()).select_from(sa.table(table)))) > 0


async def test_or_replace_does_not_get_around_the_rules(books: Desk) -> None:
    if not books.database.url.startswith("sqlite"):
        return
    for statement in (entry("0"), deposit(reference="x"), commitment("committed")):
        with pytest.raises(DBAPIError):
            await raw.execute(books.database, statement.replace("INSERT", "INSERT OR REPLACE", 1))
    assert len(await books.rows(tables.auction_commitments, state="live")) == 1
