"""The servers of a race, their meters, and the books that they leave behind."""

from __future__ import annotations

import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from marketplace import hours
from marketplace.database import open_database
from marketplace.hours import Bid, Supply, tables
from tests.services.server import Server


@dataclass(frozen=True)
class Books:
    """What the database says when all is quiet."""

    bids: dict[int, Bid]
    supplies: dict[int, Supply]
    allocated: int
    faults: list[str]


@dataclass(frozen=True)
class Town:
    """Server processes on one database."""

    database_url: str
    servers: Sequence[Server]

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def meter(self, name: str) -> float:
        """Add up a meter of the lane over its labels and over all processes."""
        total = 0.0
        for url in self.urls:
            with urllib.request.urlopen(f"{url}/metrics") as answer:
                text = answer.read().decode()
            assert f"# HELP {name.removesuffix('_count')} " in text, f"{url} has no meter {name}"
            total += sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{name}{{"))
        return total

    def aborts_per_commit(self) -> float:
        commits = self.meter("marketplace_lane_batch_orders_count")
        assert commits, "nothing was committed"
        return self.meter("marketplace_lane_retries_total") / commits

    async def read_books(self) -> Books:
        """Read and audit the books; the audit replays the log, so price and time were kept if it finds nothing."""
        database = open_database(self.database_url)
        try:
            return await database.report(_read)
        finally:
            await database.close()


def _read(tx: sa.Connection) -> Books:
    bids = [Bid(*row) for row in tx.execute(sa.select(*(tables.bids.c[name] for name in Bid.__struct_fields__)))]
    rows = tx.execute(sa.select(*(tables.supplies.c[name] for name in Supply.__struct_fields__)))
    supplies = [Supply(*row) for row in rows]
    allocated = tx.execute(sa.select(sa.func.coalesce(sa.func.sum(tables.allocations.c.volume), 0))).scalar_one()
    return Books(
        {bid.bid_id: bid for bid in bids},
        {supply.supply_id: supply for supply in supplies},
        int(allocated),
        hours.audit(tx),
    )
