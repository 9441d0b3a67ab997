"""A process that follows the log of `hours` and notes every seq on the disk: `follower URL FILE`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from marketplace import events
from marketplace.database import Lane, money, open_database
from marketplace.events import Entry


async def main(url: str, file: Path) -> None:
    database = open_database(url)
    lane = Lane(money.LANE, database, events.handlers())
    await lane.start()
    with file.open("a", encoding="ascii") as noted:

        async def note(entries: Sequence[Entry]) -> None:
            for entry in entries:
                noted.write(f"{entry.seq}\n")
                noted.flush()
                os.fsync(noted.fileno())

        while True:
            if not await events.follow(database, lane, "noter", "hours", note, limit=7):
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
