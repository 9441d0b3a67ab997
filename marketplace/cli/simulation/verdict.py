"""Whether what was simulated left the books in order, and how that is said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from marketplace.cli import terminal
from marketplace.cli.temporary import Place

MOST_SHOWN = 20


def audit_database(place: Place) -> list[str]:
    """Return the faults of a temporary server's books; nobody may be writing to them any more."""
    from marketplace.cli import databases
    from marketplace.foundation import settings

    return asyncio.run(databases.find_faults(settings.load(flags={"database_url": place.database_url})))


def conclude(faults: Sequence[str]) -> int:
    """Print the faults and return the exit code: 1 where there are some."""
    console = terminal.output()
    for fault in faults[:MOST_SHOWN]:
        console.print(fault, style="red", soft_wrap=True)
    console.print(f"{len(faults)} faults found." if faults else "The books balance.", style="bold")
    return 1 if faults else 0
