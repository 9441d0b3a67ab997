"""Readers of a log hear all of it, once and in order, however they wait and however slow they are."""

from __future__ import annotations

import asyncio
import time

import pytest

from marketplace import hours
from marketplace.database import Database, Lane
from marketplace.events import Feed, Kinds, Wanted, lookups, tail
from marketplace.events import feed as feeds
from marketplace.foundation import errors
from tests.events.reading import PATIENCE_SECONDS, Clerk, Reader, document, seqs

ALL = Wanted()
LONG = 60.0


async def test_a_page_is_what_comes_after_a_seq(feed: Feed, clerk: Clerk) -> None:
    await clerk.bids("u1", "u2", "u3")
    assert await feed.page("hours", ALL, after=0, limit=2) == (
        (await feed.page("hours", ALL, after=0, limit=10)).entries[:2],
        2,
        3,
    )
    rest = await feed.page("hours", ALL, after=2, limit=2)
    assert (seqs(rest), rest.next, rest.head) == ([3], 3, 3)
    assert document(rest.entries[0])["member"] == "u3"


async def test_the_next_position_passes_over_what_is_not_wanted(feed: Feed, clerk: Clerk) -> None:
    await clerk.bids("u1", "u2", "u2", "u1", "u2")
    page = await feed.page("hours", Wanted(sees_all=False, member="u1"), after=0, limit=10)
    assert (seqs(page), page.next, page.head) == ([1, 4], 5, 5)
    nobody = await feed.page("hours", Wanted(sees_all=False, member="u9"), after=0, limit=10)
    assert (seqs(nobody), nobody.next) == ([], 5)
    full = await feed.page("hours", Wanted(sees_all=False, member="u1"), after=0, limit=2)
    assert (seqs(full), full.next) == ([1, 4], 4)


async def test_a_search_goes_on_past_one_window(feed: Feed, clerk: Clerk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "WINDOW", 3)
    await clerk.bids(*["u1"] * 10, "u2", *["u1"] * 3)
    page = await feed.page("hours", Wanted(sees_all=False, member="u2"), after=0, limit=10)
    assert (seqs(page), page.next, page.head) == ([11], 12, 14)
    monkeypatch.setattr(feeds, "WINDOWS", 2)
    short = await feed.page("hours", Wanted(sees_all=False, member="u2"), after=0, limit=10, wait_seconds=LONG)
    assert (seqs(short), short.next, short.head) == ([], 6, 14), "it says how far it came, and does not wait"


async def test_who_waits_is_told_as_soon_as_something_happens(feed: Feed, clerk: Clerk) -> None:
    await clerk.bids("u1")
    waiting = asyncio.create_task(feed.page("hours", ALL, after=1, limit=10, wait_seconds=LONG))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await clerk.bids("u2")
    assert seqs(await asyncio.wait_for(waiting, PATIENCE_SECONDS)) == [2]


async def test_who_waits_hears_of_another_process(deaf_feed: Feed, clerk: Clerk) -> None:
    waiting = asyncio.create_task(deaf_feed.page("hours", ALL, after=0, limit=10, wait_seconds=LONG))
    await asyncio.sleep(0.1)
    await clerk.bids("u1")
    assert seqs(await asyncio.wait_for(waiting, PATIENCE_SECONDS)) == [1]


async def test_who_waits_for_its_own_is_not_woken_by_others(feed: Feed, clerk: Clerk) -> None:
    mine = Wanted(sees_all=False, member="u1")
    waiting = asyncio.create_task(feed.page("hours", mine, after=0, limit=10, wait_seconds=LONG))
    for _ in range(3):
        await clerk.bids("u2")
        await asyncio.sleep(0.05)
    assert not waiting.done()
    await clerk.bids("u1")
    page = await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    assert (seqs(page), page.next) == ([4], 4)


async def test_waiting_in_vain_ends_in_time_and_tells_how_far_it_is(feed: Feed, clerk: Clerk) -> None:
    await clerk.bids("u2")
    began = time.monotonic()
    page = await feed.page("hours", Wanted(sees_all=False, member="u1"), after=0, limit=10, wait_seconds=0.2)
    assert (page.entries, page.next) == ([], 1)
    assert 0.2 <= time.monotonic() - began < PATIENCE_SECONDS


async def test_everybody_is_let_go_when_the_process_is_to_stop(feed: Feed) -> None:
    waiting = asyncio.create_task(feed.page("hours", ALL, after=0, limit=10, wait_seconds=LONG))
    reader = Reader(feed, {"hours": 0}, ALL)
    streaming = asyncio.create_task(reader.read_to_the_end())
    await asyncio.sleep(0.1)
    feed.close()
    assert (await asyncio.wait_for(waiting, PATIENCE_SECONDS)).entries == []
    await asyncio.wait_for(streaming, PATIENCE_SECONDS)


async def test_a_stream_begins_where_it_is_told_and_goes_on_as_things_happen(feed: Feed, clerk: Clerk) -> None:
    await clerk.bids("u1", "u2")
    positions = await feed.positions(["hours"], {})
    assert positions == {"hours": 2}
    now, all_along = Reader(feed, positions, ALL), Reader(feed, {"hours": 0}, ALL)
    await all_along.read(2)
    await clerk.bids("u3")
    await now.read(1)
    await all_along.read(3)
    assert (seqs(now.heard), seqs(all_along.heard)) == ([3], [1, 2, 3])
    assert (now.reached, all_along.reached) == ({"hours": 3}, {"hours": 3})
    await now.leave()
    await all_along.leave()


async def test_a_stream_has_no_gap_between_the_database_and_the_ring(feed: Feed, clerk: Clerk) -> None:
    readers = [Reader(feed, {"hours": 0}, ALL) for _ in range(3)]
    reading = [asyncio.create_task(reader.read(400)) for reader in readers]
    for _ in range(40):
        await clerk.bids(*["u1"] * 10)
    await asyncio.gather(*reading)
    for reader in readers:
        assert seqs(reader.heard) == list(range(1, 401))
        await reader.leave()


async def test_a_slow_reader_goes_on_in_the_database(
    database: Database, hours_lane: Lane, clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "RING", 5)
    monkeypatch.setattr(feeds, "CHUNK", 7)
    feed = Feed(database, [hours.LANE], Kinds([]))
    feed.listen(hours_lane)
    slow, quick = Reader(feed, {"hours": 0}, ALL), Reader(feed, {"hours": 0}, ALL)
    for reader in (slow, quick):
        await clerk.bids("u1")
        await reader.read(1)
    for count in range(3, 60):
        await clerk.bids("u1")
        await quick.read(count)
    await slow.read(59)
    assert seqs(slow.heard) == seqs(quick.heard) == list(range(1, 60))
    await slow.leave()
    await quick.leave()
    await feed.end()


async def test_a_silent_stream_tells_now_and_then_how_far_it_is(
    feed: Feed, clerk: Clerk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "HEARTBEAT_SECONDS", 0.05)
    reader = Reader(feed, {"hours": 0}, Wanted(sees_all=False, member="u1"))
    await clerk.bids("u2", "u2")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while reader.reached != {"hours": 2} or reader.heartbeats < 3:
            await reader._next()
    assert reader.heard == []
    await reader.leave()


async def test_nothing_is_read_while_nobody_waits(feed: Feed, clerk: Clerk) -> None:
    reader = Reader(feed, {"hours": 0}, ALL)
    await clerk.bids("u1")
    await reader.read(1)
    await reader.leave()
    await feed._tails["hours"].end()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "tail hours"] == []
    again = Reader(feed, {"hours": 1}, ALL)
    await clerk.bids("u2")
    await again.read(1)
    assert seqs(again.heard) == [2]
    await again.leave()


async def test_readers_are_bounded(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MOST_READERS", 1)
    reader = Reader(feed, {"hours": 0}, ALL)
    await reader._next()
    with pytest.raises(errors.Busy):
        await feed.page("hours", ALL, after=0, limit=1, wait_seconds=1)
    await reader.leave()
    assert (await feed.page("hours", ALL, after=0, limit=1, wait_seconds=0.01)).entries == []
