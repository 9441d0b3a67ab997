"""The reporting views say what the reads of the ledger say, on both engines."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marketplace import ledger
from tests.ledger.desk import Desk
from tests.reports import spending


async def read(desk: Desk, name: str) -> list[dict[str, Any]]:
    report = await desk.database.report(ledger.read_report, name, limit=10_000)
    return [dict(zip(report.columns, row, strict=True)) for row in report.rows]


async def test_accounts_are_what_the_wallets_say(desk: Desk) -> None:
    await spending.spend_for_some_days(desk.lane, desk.clock)
    rows = [row for row in await read(desk, "accounts") if row["kind"] == "wallet"]
    for username in spending.MEMBERS:
        for one in await desk.read(ledger.find_wallets, username):
            (row,) = [row for row in rows if (row["owner"], row["asset"]) == (username, one.asset)]
            units = (row["balance_units"], row["held_units"], row["available_units"], row["credit_limit_units"])
            assert units == (one.balance, one.pending_debits, one.available, one.credit_limit)
            if desk.database.is_postgres:
                assert row["balance"] == Decimal(one.written(one.balance))
            else:
                assert row["balance"] == float(one.written(one.balance))
    assert len(rows) == 5


async def test_the_statement_is_what_the_wallet_reads(desk: Desk) -> None:
    await spending.spend_for_some_days(desk.lane, desk.clock)
    rows = await read(desk, "wallet_statement")
    for username in spending.MEMBERS:
        told = await desk.read(ledger.statement, ledger.wallet(username), after=None, limit=1000)
        mine = [row for row in rows if (row["username"], row["asset"]) == (username, "credit")]
        assert len(mine) == len(told.lines) > 5
        for row, line in zip(reversed(mine), told.lines, strict=True):
            assert (row["change_units"], row["held_change_units"]) == (line.change, line.held_change)
            assert (row["balance_units"], row["counterparty"]) == (line.balance, line.counterparty)
            assert (row["seq"], row["kind"]) == (line.transfer.seq, line.transfer.kind)


async def test_the_trial_balance_sums_up_to_zero(desk: Desk) -> None:
    await spending.spend_for_some_days(desk.lane, desk.clock)
    sums: dict[str, int] = {}
    for row in await read(desk, "trial_balance"):
        sums[row["asset"]] = sums.get(row["asset"], 0) + row["balance_units"]
        assert row["balance_units"] == row["credit_units"] - row["debit_units"]
    assert sums == {"credit": 0, "gram": 0, "hour": 0}
