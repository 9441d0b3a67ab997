"""Processes of the spot market that lead a lease through its life, each of which dies at the point that it is told.

    python -m tests.crashes.doomed DATABASE_URL FOLDER POINT:MOMENT …

A point is a kind of entry, a command that leaves none, or `start`, `stop` or `remove`, which a node is asked for.
`before` is when all is written and nothing committed; `after` is when it is committed and nobody was told.

Where the life stands is read from the books, so whoever comes next goes on with it. The last process is told no point,
and brings the life to its end. Says what became of each; ends with 1 where one does not get to its point in time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from marketplace import addresses
from marketplace.database import Lane, log
from marketplace.foundation import errors
from marketplace.spot import keepers, tables
from marketplace.spot.compute import simulated
from tests.spot.jobs.town import Town

NETWORK = "cells"
CONVERGES_SECONDS = 15.0
"""How long a process may take to its point, once it is up."""


class Doom:
    """Kills this process at one point."""

    def __init__(self, point: str, moment: str) -> None:
        self.point = point
        self.moment = moment
        self._at_hand: dict[str, set[str]] = {}
        """What each lane's transaction is about: lanes take turns on the loop."""

    def arm(self) -> None:
        transact, decide, finish = Lane._transact, Lane._decide, log.Log.finish

        def decide_knowing(lane: Lane, tx: Any, book: Any, batch: Any) -> Any:
            self._at_hand[lane.name] = {type(entry.command).__name__ for entry in batch.entries}
            return decide(lane, tx, book, batch)

        def finish_or_die(book: log.Log, tx: Any, **rest: Any) -> None:
            finish(book, tx, **rest)
            self._at_hand[book.lane] |= {entry.kind for entry in book._entries}
            self.reach("before", book.lane)

        def transact_and_die(lane: Lane, tx: Any, batch: Any, limit: Any) -> None:
            self._at_hand[lane.name] = set()
            transact(lane, tx, batch, limit)
            if batch.token:
                self.reach("after", lane.name)

        for owner, name, replaced in (
            (Lane, "_decide", decide_knowing),
            (log.Log, "finish", finish_or_die),
            (Lane, "_transact", transact_and_die),
        ):
            setattr(owner, name, replaced)
        for name in ("start", "stop", "remove"):
            setattr(simulated.Simulated, name, self._around(name, getattr(simulated.Simulated, name)))

    def reach(self, moment: str, lane: str) -> None:
        if moment == self.moment and self.point in self._at_hand[lane]:
            os.kill(os.getpid(), signal.SIGKILL)

    def _around(self, name: str, act: Any) -> Any:
        async def do(*given: Any, **named: Any) -> Any:
            if (name, "before") == (self.point, self.moment):
                os.kill(os.getpid(), signal.SIGKILL)
            done = await act(*given, **named)
            if (name, "after") == (self.point, self.moment):
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return do


async def live(town: Town) -> None:
    """Go on with the life, wherever it stands, until it is over.

    Ann's container is displaced by Bob's, and runs again once he has cancelled; beside it runs Cat's, which ends by
    itself; then Ann cancels.
    """
    while True:
        bids = {row.username: row for row in await town.rows(sa.select(tables.spot_bids))}
        states = {name: row.state for name, row in bids.items()}
        leases = await town.leases()
        is_clear = all(lease.is_clean for lease in leases if lease.state == "ended")
        if "ann" not in states:
            await town.bid("ann", on_eviction="requeue")
        elif "bob" not in states and states["ann"] == "running" and any(lease.paid_micros for lease in leases):
            await town.bid("bob", price=10, units=2)
        elif states.get("bob") == "running" and is_clear:
            await town.cancel(bids["bob"].bid_id)
        elif "cat" not in states and states.get("bob") == "cancelled" and states["ann"] == "running" and is_clear:
            await town.bid("cat", "run=0")
        elif states.get("cat") == "completed" and states["ann"] == "running":
            await town.cancel(bids["ann"].bid_id)
        elif states["ann"] == "cancelled" and is_clear:
            return
        await asyncio.sleep(0.02)


async def prepare(town: Town) -> None:
    """Set the stage, where nobody has: one node with room for two units, in a pool that is quick to evict."""
    try:
        await town.service.database.read(addresses.find_network, NETWORK)
    except errors.NotFound:
        await town.service.lanes[addresses.LANE].run(addresses.CreateNetwork(NETWORK, "10.1.0.0/29"))
    await town.set_pool(network=NETWORK, minimum_runtime_seconds=0, notice_seconds=1, backoff_seconds=1)
    if not await town.rows(sa.select(tables.nodes)):
        await town.node("n1", units=2, start_seconds=(0, 0))


async def lead(database_url: str, folder: str, doom: str | None, *, ready: int) -> None:
    """Go on with the life, and write to `ready` when the market is open."""
    # On Postgres a claim of the dead has to lapse first: let that not be what the test waits for.
    keepers.CLAIM_SECONDS, keepers.CLAIM_EVERY_SECONDS = 2, 0.5
    town = Town(database_url, Path(folder), spot_logs_kept_seconds=0.0)
    await town.open()
    await prepare(town)
    if doom:
        Doom(*doom.split(":")).arm()
    os.write(ready, b"!")
    async with town.working():
        await live(town)
    await town.close()


def run(database_url: str, folder: str, doom: str | None) -> bool:
    """Run a process of its own; return whether it ended as it was to, in time."""
    read_end, write_end = os.pipe()
    pid = os.fork()  # before any thread or loop: as good as a new one, and the modules are there
    if not pid:
        asyncio.run(lead(database_url, folder, doom, ready=write_end))
        os._exit(0)
    os.close(write_end)
    os.read(read_end, 1)
    os.close(read_end)
    began = time.monotonic()
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0) and time.monotonic() < began + CONVERGES_SECONDS:
        time.sleep(0.02)
    if ended == (0, 0):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        print(f"{doom} was not met within {CONVERGES_SECONDS:g} s", flush=True)
        return False
    code = os.waitstatus_to_exitcode(ended[1])
    print(f"{doom}: {code} after {time.monotonic() - began:.1f} s", flush=True)
    return code == (-signal.SIGKILL if doom else 0)


if __name__ == "__main__":
    sys.exit(not all(run(sys.argv[1], sys.argv[2], doom) for doom in [*sys.argv[3:], None]))
