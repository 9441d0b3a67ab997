"""The old end of a log goes once nobody needs it, archived before; who comes too late is told where it begins."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketplace import events, hours
from marketplace.database import Database, Lane, log, proofs, upkeep
from marketplace.events import Advance, Feed, LogCut, Wanted, jobs, retention
from marketplace.foundation.clock import DAY
from marketplace.foundation.settings import Settings
from tests.events.reading import Clerk, Reader, seqs
from tests.services import raw
from tests.services.clock import SettableClock

ALL = Wanted()


async def cut(clerk: Clerk, database: Database, clock: SettableClock, **options: Any) -> int:
    """Cut off what is older than a day."""
    options = {"before": clock() - DAY, "archive": None} | options
    return await retention.cut_log(database, clerk.lane, **options)


async def kept(feed: Feed) -> tuple[int, int]:
    """Return first and last seq."""
    page = await feed.page("hours", ALL, after=(await first_seq(feed)) - 1, limit=1000)
    assert seqs(page) == list(range(page.entries[0].seq, page.head + 1)), "it has a gap"
    return page.entries[0].seq, page.head


async def first_seq(feed: Feed) -> int:
    try:
        await feed.page("hours", ALL, after=0, limit=1)
    except LogCut as refusal:
        return int(str(refusal.extra["oldest_seq"]))
    return 1


async def test_what_is_older_goes_and_what_is_younger_stays(
    feed: Feed, database: Database, clerk: Clerk, clock: SettableClock
) -> None:
    await clerk.bids("u1", "u2", "u3")
    clock.advance(2 * 86_400)
    await clerk.bids("u4", "u5")
    assert await cut(clerk, database, clock) == 3
    assert await kept(feed) == (4, 5)
    assert await cut(clerk, database, clock) == 0
    await clerk.bids("u6")
    assert await kept(feed) == (4, 6)


async def test_the_last_entry_stays_whatever_its_age(
    feed: Feed, database: Database, clerk: Clerk, clock: SettableClock
) -> None:
    assert await cut(clerk, database, clock) == 0
    await clerk.bids("u1", "u2", "u3")
    clock.advance(90 * 86_400)
    assert await cut(clerk, database, clock) == 2
    assert await kept(feed) == (3, 3)
    await clerk.bids("u4")
    assert await kept(feed) == (3, 4)


async def test_who_comes_too_late_is_told_where_the_log_begins(
    feed: Feed, database: Database, clerk: Clerk, clock: SettableClock
) -> None:
    await clerk.bids("u1", "u2", "u3")
    clock.advance(2 * 86_400)
    await cut(clerk, database, clock)
    for after in (0, 1):
        with pytest.raises(LogCut) as caught:
            await feed.page("hours", ALL, after=after, limit=10)
        assert caught.value.extra == {"lane": "hours", "oldest_seq": 3}
        with pytest.raises(LogCut):
            await feed.positions(["hours"], {"hours": after})
    assert seqs(await feed.page("hours", ALL, after=2, limit=10)) == [3]
    assert await feed.positions(["hours"], {"hours": 2}) == {"hours": 2}


async def test_a_stream_that_is_too_slow_is_told_so(
    feed: Feed, database: Database, clerk: Clerk, clock: SettableClock
) -> None:
    await clerk.bids("u1", "u2", "u3")
    reader = Reader(feed, {"hours": 0}, ALL)
    await reader._next()
    clock.advance(2 * 86_400)
    await cut(clerk, database, clock)
    with pytest.raises(LogCut):
        await reader.read(1)


async def test_the_slowest_consumer_is_waited_for(
    feed: Feed, database: Database, money_lane: Lane, clerk: Clerk, clock: SettableClock
) -> None:
    await clerk.bids(*["u1"] * 9)
    await money_lane.run(Advance("slow", "hours", after=None, seq=2))
    await money_lane.run(Advance("quick", "hours", after=None, seq=8))
    await money_lane.run(Advance("elsewhere", "addresses", after=None, seq=0))
    clock.advance(2 * 86_400)
    assert await cut(clerk, database, clock) == 2
    assert await kept(feed) == (3, 9)
    await money_lane.run(Advance("slow", "hours", after=2, seq=9))
    assert await cut(clerk, database, clock) == 6
    assert await kept(feed) == (9, 9)


async def test_a_consumer_that_begins_with_a_cut_log_begins_where_it_begins(
    database: Database, money_lane: Lane, clerk: Clerk, clock: SettableClock
) -> None:
    await clerk.bids(*["u1"] * 5)
    clock.advance(2 * 86_400)
    await cut(clerk, database, clock)
    given: list[int] = []

    async def note(entries: Any) -> None:
        given.extend(seqs(entries))

    assert await events.follow(database, money_lane, "late", "hours", note) == 1
    assert given == [5]


async def test_a_long_log_is_cut_in_chunks_and_archived_before(
    feed: Feed, database: Database, clerk: Clerk, clock: SettableClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 4)
    await clerk.bids(*["u1"] * 11)
    page = await feed.page("hours", ALL, after=0, limit=100)
    clock.advance(2 * 86_400)
    assert await cut(clerk, database, clock, archive=tmp_path) == 10
    names = [name.replace("000000000000000", "") for name, _ in archived(tmp_path)]
    assert names == ["hours-0001-0004.jsonl.gz", "hours-0005-0008.jsonl.gz", "hours-0009-0010.jsonl.gz"]
    lines = [line for _, lines in archived(tmp_path) for line in lines]
    assert lines == [msgspec.json.decode(entry.json) for entry in page.entries[:10]]


def archived(folder: Path) -> list[tuple[str, list[Any]]]:
    """Return everything in an archive by name; the database of the test lies beside it."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith("marketplace.db"))
    return [(file.name, [*map(json.loads, gzip.decompress(file.read_bytes()).splitlines())]) for file in files]


async def test_nothing_is_deleted_that_could_not_be_archived(
    feed: Feed, database: Database, clerk: Clerk, clock: SettableClock, tmp_path: Path
) -> None:
    await clerk.bids("u1", "u2")
    clock.advance(2 * 86_400)
    with pytest.raises(OSError, match="nowhere"):
        await cut(clerk, database, clock, archive=tmp_path / "nowhere")
    assert await kept(feed) == (1, 2)


async def test_the_books_balance_over_a_cut_log(database: Database, clerk: Clerk, clock: SettableClock) -> None:
    await clerk.bids("u1", "u2", "u3")
    clock.advance(2 * 86_400)
    await cut(clerk, database, clock)
    assert await database.read(hours.audit) == []
    assert not await database.read(proofs.is_whole, "hours")
    await raw.execute(database, "UPDATE events SET seq = 2 WHERE seq = 3")
    assert await database.read(hours.audit) == [
        "events: 1 entries from seq 2 to 2; they should be 3 to 3",
        "commits: the last one says seq 3, the log ends at 2",
    ]


async def test_entries_that_vanish_beside_a_cut_are_missed(
    database: Database, clerk: Clerk, clock: SettableClock
) -> None:
    await clerk.bids("u1", "u2")
    clock.advance(2 * 86_400)
    await clerk.bids("u3", "u4")
    await cut(clerk, database, clock)
    await raw.execute(database, "DELETE FROM events WHERE seq = 3")
    assert "events: 1 entries from seq 4 to 4; they should be 3 to 3" in await database.read(hours.audit)


async def test_a_cut_takes_no_seq(database: Database, clerk: Clerk, clock: SettableClock) -> None:
    await clerk.bids("u1", "u2", "u3")
    assert await clerk.lane.run(upkeep.Cut(through=99, limit=1)) == 1
    assert await clerk.lane.run(upkeep.Cut(through=99)) == 1
    assert await clerk.lane.run(upkeep.Cut(through=99)) == 0
    assert (await database.read(log.read_head, "hours")).last_seq == 3
    assert await database.read(log.read_cut, "hours") == 2


def test_without_the_setting_nothing_is_cut(tmp_path: Path) -> None:
    assert jobs.of_lane("hours", Settings()) == []
    (job,) = jobs.of_lane("hours", Settings(events_kept_days=30, events_archive=tmp_path))
    assert job.name == "hours.cut_log"
