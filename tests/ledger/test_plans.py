"""The hot statements walk their index, in its order, on books of 20 000 wallets and transfers: no sort, no scan."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import Database
from marketplace.ledger import sql
from tests.services import plans
from tests.services.plans import Hot

pytestmark = pytest.mark.slow

COUNT = 20_000
NUMBERS = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {COUNT})"
FILL = (
    """INSERT INTO accounts VALUES (1, 'default', '', 'credit', 'external', 0, 0, 0, 0, 0, NULL, 0, 0)""",
    f"""INSERT INTO accounts (account_id, scope, owner, asset, kind, posted_debits, posted_credits, pending_debits,
                              pending_credits, credit_limit, low_balance, last_transfer_id, opened_at)
    {NUMBERS} SELECT n + 1, 'default', 'w' || n, 'credit', 'wallet', 0, 0, 0, 0, 0, NULL, 0, 0 FROM numbers""",
    f"""INSERT INTO transfers (transfer_id, scope, kind, debit_account, credit_account, asset, amount, reason,
                               reference, seq, at, expires_at)
    {NUMBERS} SELECT n, 'default', CASE WHEN n % 2 = 0 THEN 'hold' ELSE 'transfer' END,
                     CASE WHEN n % 4 = 3 THEN n - 1 ELSE 1 END, CASE WHEN n % 4 = 3 THEN 1 ELSE n + 1 END, 'credit', 5,
                     'r', 'ref' || n, 1, 0, CASE WHEN n % 4 = 0 THEN n END
                FROM numbers""",
    "ANALYZE",
)

HOT = {
    # The unique keys have no name of their own on SQLite, and two of them begin with an account's id.
    "accounts by key": Hot(("",), lambda tx: sql.read_accounts(tx, [ledger.wallet("w7"), ledger.wallet("w9000")])),
    "accounts by id": Hot(("",), lambda tx: sql.read_accounts_by_id(tx, [7, 9000])),
    "references": Hot(("",), lambda tx: sql.read_references(tx, [("default", "ref7"), ("default", "ref9000")])),
    "holds and their ends": Hot(("transfers_pkey", "transfers_by_hold"), lambda tx: sql.read_holds(tx, [8, 9000])[0]),
    "holds whose time has come": Hot(("open_holds_expiring",), lambda tx: sql.read_due(tx, now=99, limit=10)),
    "whether there is one": Hot(("open_holds_expiring",), lambda tx: ledger.has_due_holds(tx, now=99)),
}


async def test_the_hot_statements_walk_their_index_on_large_books(database: Database) -> None:
    faults = await database.writer.run(fill_and_check)
    assert faults == [], "\n\n".join(faults)


def fill_and_check(tx: sa.Connection) -> list[str]:
    with tx.begin() as transaction:
        for statement in FILL:
            tx.exec_driver_sql(statement)
        faults = plans.check_all(tx, HOT, tables=("accounts", "transfers", "open_holds"), ignoring="markets")
        transaction.rollback()
    return faults


async def test_a_page_of_a_statement_reads_no_more_than_a_page_of_each_side(database: Database) -> None:
    def read(tx: sa.Connection) -> str:
        with tx.begin() as transaction:
            for statement in FILL:
                tx.exec_driver_sql(statement)
            sent: list[tuple[str, Any]] = []
            sa.event.listen(tx, "before_cursor_execute", lambda _c, _k, text, given, *_: sent.append((text, given)))
            assert len(ledger.statement(tx, ledger.wallet("w5"), after=None, limit=10).lines) == 2
            explain = "EXPLAIN QUERY PLAN " if tx.dialect.name == "sqlite" else "EXPLAIN "
            text, given = sent[-1]
            rows = tx.exec_driver_sql(explain + text, given).fetchall()
            transaction.rollback()
        return "\n".join(str(row[-1]) for row in rows)

    plan = await database.writer.run(read)
    assert "transfers_by_debit" in plan, plan
    assert "transfers_by_credit" in plan, plan
