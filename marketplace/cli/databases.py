"""`db`: the schema and the books."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from marketplace.cli import terminal
from marketplace.cli.flags import DatabaseFlags, load_settings
from marketplace.cli.stored import opened, require_file

if TYPE_CHECKING:
    from marketplace.foundation.settings import Settings


def upgrade(*, database: DatabaseFlags | None = None) -> None:
    """Bring the schema up to date. Run it before a new version serves on Postgres."""
    settings = load_settings(database)
    from marketplace.database import locking, schema

    try:
        with locking.hold_file(settings.database_url):
            schema.upgrade(settings.database_url)
    except locking.AlreadyServed as error:
        raise terminal.Stop(str(error)) from None
    terminal.output().print(f"The schema is at {schema.head()}.")


def check(*, database: DatabaseFlags | None = None) -> None:
    """Tell whether the schema is the one that this version needs; exit code 1 if not."""
    settings = load_settings(database)
    from marketplace.database import schema

    found, needed = asyncio.run(_current(settings)), schema.head()
    if found != needed:
        raise terminal.Stop(f"The schema is at {found or 'nothing'}, not at {needed}; run `marketplace db upgrade`.")
    terminal.output().print(f"The schema is at {needed}, as it should be.")


def audit(*, database: DatabaseFlags | None = None) -> int:
    """Prove that the books balance and that replaying the log gives them again; exit code 1 if not."""
    findings = asyncio.run(find_faults(load_settings(database)))
    console = terminal.output()
    for finding in findings:
        console.print(finding, soft_wrap=True)
    console.print(f"{len(findings)} faults found." if findings else "The books balance.")
    return 1 if findings else 0


async def find_faults(settings: Settings) -> list[str]:
    """Return what is wrong in the books, one sentence each."""
    from marketplace import hours

    async with opened(settings) as database:
        return await database.read(hours.audit)


async def _current(settings: Settings) -> str | None:
    from marketplace.database import schema

    require_file(settings)
    async with opened(settings) as database:
        return await schema.current(database)
