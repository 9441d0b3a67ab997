"""Somebody who makes things happen, and readers who note what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from marketplace import events, hours
from marketplace.database import Lane
from marketplace.events.model import Entry, Page

PATIENCE_SECONDS = 60.0


class Clerk:
    """Makes entries of the log of `hours`: bids of the members that it is told, and markets."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane

    async def bids(self, *members: str, market: str = "default") -> None:
        await asyncio.gather(*(self.lane.run(hours.PlaceBid(market, member, 1, 1)) for member in members))

    async def market(self, name: str) -> None:
        await self.lane.run(hours.CreateMarket(name))


def seqs(page: Page | list[Entry]) -> list[int]:
    return [entry.seq for entry in (page.entries if isinstance(page, Page) else page)]


def document(entry: Entry) -> dict[str, Any]:
    return msgspec.json.decode(entry.json, type=dict[str, Any])


class Reader:
    """Follows a stream until it has heard enough, and keeps the position that it was told."""

    def __init__(self, feed: events.Feed, positions: Mapping[str, int], wanted: events.Wanted) -> None:
        self.heard: list[Entry] = []
        self.reached = dict(positions)
        self.heartbeats = 0
        self._stream = feed.stream(positions, wanted)

    async def read(self, count: int) -> None:
        """Go on until this many entries were heard in all."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.heard) < count:
                await self._next()

    async def read_to_the_end(self) -> None:
        """Go on until the stream ends by itself."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                while True:
                    await self._next()
            except StopAsyncIteration:
                pass

    async def _next(self) -> None:
        found, self.reached = await anext(self._stream)
        self.heard += [entry for _, entry in found]
        self.heartbeats += not found

    async def leave(self) -> None:
        await self._stream.aclose()
