"""The audit finds what was got around the database's own guard. An audit that cannot fail would prove nothing."""

from __future__ import annotations

import sys

import pytest

from marketplace import ledger
from marketplace.database import Database, proofs
from marketplace.ledger import jobs
from tests.ledger.desk import Desk
from tests.reports import spending
from tests.services import raw

SQLITE_GUARDS = """
SELECT 'DROP TRIGGER ' || name FROM sqlite_master
 WHERE type = 'trigger' AND tbl_name IN ('accounts', 'transfers', 'open_holds', 'assets')
"""


async def tamper(database: Database, *statements: str) -> None:
    """Change rows as somebody does who has taken the guard away first."""

    def get_around(tx: object) -> None:
        assert hasattr(tx, "exec_driver_sql")
        if database.is_postgres:
            for table in ("accounts", "transfers", "open_holds"):
                tx.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            for (statement,) in tx.exec_driver_sql(SQLITE_GUARDS).fetchall():
                tx.exec_driver_sql(statement)
        for statement in statements:
            tx.exec_driver_sql(statement)

    await raw.write(database, get_around)


TRANSFER = (
    "INSERT INTO transfers (transfer_id, scope, kind, debit_account, credit_account, asset, amount, reason, reference, "
    "seq, at) VALUES ({}, 'default', '{}', 1, 2, 'credit', 5, 'r', 'x', {}, 1)"
)
FAULTS = [
    ("UPDATE accounts SET posted_credits = posted_credits + 1 WHERE account_id = 3", "credit of default sums up to 1"),
    ("UPDATE accounts SET posted_credits = posted_credits + 1", "accounts: 1 has the totals"),
    ("UPDATE accounts SET last_transfer_id = 1 WHERE account_id = 2", "accounts: 2 has the totals"),
    ("UPDATE accounts SET pending_credits = 9 WHERE account_id = 3", "accounts: 3 has pending credits of 9"),
    ("UPDATE open_holds SET amount = amount + 1", "and open holds of"),
    ("DELETE FROM open_holds", "has not ended and is not open"),
    ("INSERT INTO open_holds VALUES (2, 1, 2, 5, NULL)", "open_holds: 2 is none that a transfer made"),
    ("UPDATE open_holds SET expires_at = 5", "is none that a transfer made"),
    ("DELETE FROM transfers WHERE transfer_id = 2", "transfers: "),
    ("UPDATE transfers SET amount = amount + 1 WHERE transfer_id = 2", "and its transfers give"),
    ("UPDATE transfers SET seq = 9999 WHERE transfer_id = 2", "entry 9999 of the log caused it"),
    (TRANSFER.format(99, "transfer", 1), "transfers: "),
    ("DELETE FROM events WHERE lane = 'money' AND seq = 3", "events: "),
]


@pytest.mark.parametrize(("statement", "expected"), FAULTS)
async def test_what_was_got_around_the_guard_is_found(
    database: Database, desk_to_tamper: Desk, statement: str, expected: str
) -> None:
    await spending.spend_for_some_days(desk_to_tamper.lane, desk_to_tamper.clock)
    assert await desk_to_tamper.audit() == []
    await tamper(database, statement)
    faults = await desk_to_tamper.audit()
    assert any(expected in fault for fault in faults), faults


async def test_large_books_are_read_to_the_end(desk_to_tamper: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "PAGE", 2)
    # The front door has a function of that name.
    monkeypatch.setattr(sys.modules["marketplace.ledger.audit"], "PAGE", 3)
    await spending.spend_for_some_days(desk_to_tamper.lane, desk_to_tamper.clock)
    assert await desk_to_tamper.audit() == []
    last = max(row[0] for row in (await desk_to_tamper.everything())["transfers"])
    await tamper(desk_to_tamper.database, f"UPDATE transfers SET amount = amount + 1 WHERE transfer_id = {last}")
    assert len(await desk_to_tamper.audit()) >= 2


async def test_the_timed_audit_leaves_its_outcome_for_the_metrics(desk_to_tamper: Desk) -> None:
    desk = desk_to_tamper
    assert await desk.read(ledger.last_audit) is None
    assert await jobs.audit_books(desk.database, desk.lane) == 0
    assert await desk.read(ledger.last_audit) == (desk.clock(), 0)
    await desk.deposit("ann", 5)
    await tamper(desk.database, "UPDATE accounts SET posted_credits = 7 WHERE owner = 'ann'")
    desk.clock.advance(60)
    assert await jobs.audit_books(desk.database, desk.lane) == 1
    assert await desk.read(ledger.last_audit) == (desk.clock(), 1)
    assert len(await desk.log()) == 1  # an audit is no entry of the log
