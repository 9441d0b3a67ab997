"""Timed steps of the spot market: bids matched, nodes looked after, leases charged, deadlines kept."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from marketplace.database import Database, Lane
from marketplace.foundation import ids
from marketplace.foundation.jobs import Job
from marketplace.foundation.settings import Settings
from marketplace.spot.commands import ExpireBids, LoseNodes, Settle, StopOverdue
from marketplace.spot.keepers import Keepers
from marketplace.spot.matcher import Matcher
from marketplace.spot.news import News

AGAIN_SECONDS = 1.0
"""Before a loop that broke is begun anew."""
SILENT_SECONDS = 30
CHUNK = 500

Run = Callable[[Database, Lane], Awaitable[object]]


def of_market(settings: Settings, addresses: Lane) -> list[Job]:
    """Return what is done for the spot market, in the lane `money`; leases have their addresses from the other lane."""
    return [
        Job("spot.match", every_seconds=AGAIN_SECONDS, run=_matching(), may_be_cut_short=True),
        Job(
            "spot.look_after_nodes",
            every_seconds=AGAIN_SECONDS,
            run=_looking_after(settings, addresses),
            may_be_cut_short=True,
        ),
        Job("spot.settle", every_seconds=1, run=_in_chunks(Settle(CHUNK))),
        Job("spot.stop_overdue", every_seconds=1, run=_in_chunks(StopOverdue(CHUNK))),
        Job("spot.expire_bids", every_seconds=1, run=_in_chunks(ExpireBids(CHUNK))),
        Job("spot.lose_nodes", every_seconds=5, run=_losing()),
    ]


def _matching() -> Run:
    """Match until the process stops."""
    heard: list[News] = []  # one for the life of the process, however often it is begun anew

    async def run(database: Database, lane: Lane) -> None:
        if not heard:
            heard.append(News(database, lane))
        await Matcher(database, lane, heard[0]).run()

    return run


def _looking_after(settings: Settings, addresses: Lane) -> Run:
    """Look after nodes until the process stops."""
    heard: list[News] = []
    token = ids.new_token()

    async def run(database: Database, lane: Lane) -> None:
        if not heard:
            heard.append(News(database, lane))
        await Keepers(database, lane, addresses, settings, news=heard[0], token=token).run()

    return run


def _in_chunks(command: Any) -> Run:
    """Run a command that does at most CHUNK things until it does fewer; return how many were done."""

    async def run(_database: Database, lane: Lane) -> int:
        return await _chunks(lane, command)

    return run


async def _chunks(lane: Lane, command: Any) -> int:
    count = 0
    while True:
        done: int = await lane.run(command)
        count += done
        if done < CHUNK:
            return count


def _losing() -> Run:
    """Give up silent nodes, but not before those who were silent because nobody asked them have had time to speak."""
    began_at = time.monotonic()

    async def run(_database: Database, lane: Lane) -> int:
        if time.monotonic() - began_at < SILENT_SECONDS:
            return 0
        lost: int = await lane.run(LoseNodes(SILENT_SECONDS))
        return lost

    return run
