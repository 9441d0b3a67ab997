"""Waiting for news, and being told to stop while they come."""

from __future__ import annotations

import asyncio

import pytest

from marketplace.database import Database, Lane
from marketplace.spot.news import News


@pytest.mark.parametrize("turns", range(4))
async def test_who_is_to_stop_stops_although_news_came_just_before(
    database: Database, money_lane: Lane, turns: int
) -> None:
    """The loop has taken so many turns since the news; whoever has not returned by then has to end."""
    news = News(database, money_lane)
    waiting = asyncio.create_task(news.wait(after=0, seconds=30))
    for _ in range(3):
        await asyncio.sleep(0)  # it waits now
    news._told.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    assert turns or not waiting.done()
    if not waiting.cancel():
        await waiting
        return
    with pytest.raises(asyncio.CancelledError):
        await waiting
