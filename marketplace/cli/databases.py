"""`db`: the schema and the books."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from marketplace.cli import terminal
from marketplace.cli.flags import DatabaseFlags, load_settings
from marketplace.cli.stored import failures_as_sentences, opened, require_schema

if TYPE_CHECKING:
    import sqlalchemy as sa

    from marketplace.foundation.settings import Settings


def upgrade(*, database: DatabaseFlags | None = None) -> None:
    """Bring the schema up to date. Run it before a new version serves on Postgres."""
    settings = load_settings(database)
    from marketplace.database import locking, schema

    with failures_as_sentences(settings), locking.hold_file(settings.database_url):
        schema.upgrade(settings.database_url)
    terminal.output().print(f"The schema is at {schema.head()}.")


def check(*, database: DatabaseFlags | None = None) -> None:
    """Tell whether the schema is the one that this version needs; exit code 1 if not."""
    revision = asyncio.run(_check(load_settings(database)))
    terminal.output().print(f"The schema is at {revision}, as it should be.")


def audit(*, database: DatabaseFlags | None = None) -> int:
    """Prove that the books balance and that replaying the log gives them again; exit code 1 if not."""
    faults, size = asyncio.run(_audit(load_settings(database)))
    console = terminal.output()
    for fault in faults:
        console.print(fault, soft_wrap=True)
    console.print(f"{len(faults)} faults found." if faults else f"The books balance ({size}).")
    return 1 if faults else 0


async def find_faults(settings: Settings) -> list[str]:
    """Return what is wrong in the books, one sentence each."""
    faults, _ = await _audit(settings)
    return faults


async def _audit(settings: Settings) -> tuple[list[str], str]:
    """Return the faults, and how much was looked at, as one snapshot has it."""
    from marketplace import addresses, hours, identity, ledger, spot

    async with opened(settings) as database:
        await require_schema(database)
        audits = (hours.audit, addresses.audit, identity.audit, ledger.audit, spot.audit)
        return await database.report(lambda tx: ([fault for audit in audits for fault in audit(tx)], _size(tx)))


def _size(tx: sa.Connection) -> str:
    from sqlalchemy import text

    counts = (
        ("bids", "SELECT count(*) FROM report_fill_times"),
        ("supplies", "SELECT coalesce(sum(supplies), 0) FROM report_supply_utilisation"),
        ("allocations", "SELECT coalesce(sum(allocations), 0) FROM report_allocations"),
        ("hours allocated", "SELECT coalesce(sum(volume), 0) FROM report_allocations"),
        ("addresses assigned", "SELECT count(*) FROM report_current_assignments"),
        ("transfers", "SELECT coalesce(max(transfer_id), 0) FROM transfers"),
    )
    cuts = tx.execute(text("SELECT lane, last_seq FROM cuts ORDER BY lane"))
    sizes = [f"{what} {int(tx.scalar(text(statement)))}" for what, statement in counts]
    return "; ".join([", ".join(sizes), *(f"the log of {lane} is cut up to {seq}: not replayed" for lane, seq in cuts)])


async def _check(settings: Settings) -> str:
    async with opened(settings) as database:
        return await require_schema(database)
