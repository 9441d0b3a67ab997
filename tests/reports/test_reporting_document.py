"""docs/reporting.md says what the views are: every column, every example, the read-only role."""

from __future__ import annotations

import re
import uuid

import asyncpg
import pytest
import sqlalchemy as sa

from marketplace import addresses, hours, ledger, spot
from marketplace.database import Database, Lane
from tests.reports import bidding, documents, renting, spending, trading
from tests.services import postgres
from tests.services.clock import SettableClock
from tests.spot.desk import Desk

NAME = "docs/reporting.md"
REPORTS = (*hours.REPORTS, *addresses.REPORTS, *ledger.REPORTS, *spot.REPORTS)
TYPES = (
    "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{}' ORDER BY ordinal_position"
)


def documented(report: str) -> list[list[str]]:
    return list(documents.table(documents.section(NAME, f"report_{report}")))


def test_every_report_is_documented_and_no_other() -> None:
    listed = re.findall(r"^### report_(\w+)$", documents.text(NAME), re.MULTILINE)
    assert listed == list(REPORTS)


def test_the_columns_on_postgres_are_the_documented_ones(postgres_url: str) -> None:
    for report in REPORTS:
        found = [tuple(row) for row in postgres.execute(postgres_url, TYPES.format(f"report_{report}"))]
        assert found == [(column, type_) for column, type_, *_ in documented(report)], report


async def test_the_columns_of_both_engines_are_the_documented_ones(
    database: Database, hours_lane: Lane, addresses_lane: Lane, money_lane: Lane, clock: SettableClock
) -> None:
    await renting.rent_for_some_hours(addresses_lane, clock)
    await trading.trade_for_some_days(hours_lane, clock)
    await spending.spend_for_some_days(money_lane, clock)
    await bidding.bid_for_some_days(Desk(money_lane, database, clock))
    for report in REPORTS:
        columns, rows = await database.report(hours.read_report, report, limit=1000)
        assert columns == [column for column, *_ in documented(report)], report
        for position, (column, _, on_sqlite, _, null) in enumerate(documented(report)):
            kinds = {type(row[position]).__name__ for row in rows}
            assert "NoneType" not in kinds or null != "never", (report, column)
            if not database.is_postgres:
                expected = {"text": "str", "integer": "int", "real": "float"}[on_sqlite]
                assert kinds - {"NoneType"} == {expected}, (report, column)


async def test_every_example_runs(
    database: Database, hours_lane: Lane, addresses_lane: Lane, money_lane: Lane, clock: SettableClock
) -> None:
    await renting.rent_for_some_hours(addresses_lane, clock)
    await trading.trade_for_some_days(hours_lane, clock)
    await spending.spend_for_some_days(money_lane, clock)
    await bidding.bid_for_some_days(Desk(money_lane, database, clock))
    examples = documents.blocks(NAME, "sql")
    if database.is_postgres:
        examples += [block for block in documents.blocks(NAME, "postgresql") if block.startswith("SELECT")]

    def run(tx: sa.Connection) -> list[int]:
        return [len(tx.execute(sa.text(example)).fetchall()) for example in examples]

    counts = await database.report(run)
    assert len(counts) >= 2 * len(REPORTS)
    assert counts.count(0) <= 1, "the data should show what the examples ask for"


async def test_the_documented_role_reads_the_reports_and_nothing_else(postgres_url: str) -> None:
    (script,) = (block for block in documents.blocks(NAME, "postgresql") if "CREATE ROLE" in block)
    role = f"analyst_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(script.replace("analyst", role))
        await admin.execute(f"SET ROLE {role}")
        for report in REPORTS:
            assert await admin.fetch(f"SELECT * FROM report_{report}") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await admin.fetch("SELECT * FROM bids")
    finally:
        await admin.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")
        await admin.close()
