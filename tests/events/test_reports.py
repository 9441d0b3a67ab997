"""The reporting view of deliveries says what the log of deliveries says, on both engines, and no secret."""

from __future__ import annotations

from typing import Any

from marketplace import events
from marketplace.database import Database
from marketplace.events import retention, webhook_lookups
from marketplace.foundation.clock import to_datetime
from tests.events.posting import Post
from tests.events.reading import Clerk


async def read(database: Database) -> list[dict[str, Any]]:
    report = await database.report(events.read_report, "webhook_deliveries", limit=1000)
    return [dict(zip(report.columns, row, strict=True)) for row in report.rows]


def instant(row: dict[str, Any], column: str) -> Any:
    """Return an instant as the API tells it."""
    value = row[column]
    return value if value is None or isinstance(value, str) else value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_it_is_what_the_deliveries_say(post: Post, clerk: Clerk) -> None:
    post.receiver.decide = lambda message, times: 503 if message.id == "msg_hours_2" and times == 1 else 204
    webhook, other = await post.subscribe(), await post.subscribe("u2")
    await clerk.bids("u1", "u1", "u2")
    await post.fan_out()
    post.clock.advance(1.5)
    await post.deliver()
    rows = await read(post.database)
    assert [(row["webhook_id"], row["lane"], row["seq"], row["username"]) for row in rows] == [
        (webhook.webhook_id, "hours", 1, "u1"),
        (webhook.webhook_id, "hours", 2, "u1"),
        (other.webhook_id, "hours", 3, "u2"),
    ]
    assert {(row["topic"], row["kind"], row["attempts"]) for row in rows} == {("hours", "bid_placed", 1)}
    told = [(row["state"], row["last_status"], row["last_error"], row["seconds"]) for row in rows]
    assert [(*rest, None if seconds is None else float(seconds)) for *rest, seconds in told] == [
        ("delivered", 204, None, 1.5),
        ("pending", 503, None, None),
        ("delivered", 204, None, 1.5),
    ]
    listed, attempts = await post.database.read(
        webhook_lookups.list_deliveries, webhook.webhook_id, viewer=None, lane="hours", state=None, before=None, limit=9
    )
    for row, one in zip(rows, reversed(listed), strict=False):
        (tried,) = attempts[one.seq]
        for column, at in (
            ("created_at", one.created_at),
            ("last_attempt_at", tried.at),
            ("next_attempt_at", one.next_attempt_at),
            ("finished_at", one.finished_at),
        ):
            assert instant(row, column) == (None if at is None else f"{to_datetime(at):%Y-%m-%dT%H:%M:%S.%fZ}"), column


async def test_the_last_try_is_the_one_that_counts_and_an_entry_that_was_cut_leaves_the_row(
    post: Post, clerk: Clerk
) -> None:
    post.receiver.decide = lambda _message, times: 503 if times == 1 else 204
    await post.subscribe()
    await clerk.bids("u1", "u1")
    await post.work()
    post.clock.advance(5)
    await post.work()
    post.clock.advance(86_400)
    await retention.cut_log(post.database, clerk.lane, before=post.clock(), archive=None)
    rows = await read(post.database)
    assert [(row["seq"], row["kind"], row["state"], row["attempts"], row["last_status"]) for row in rows] == [
        (1, None, "delivered", 2, 204),
        (2, "bid_placed", "delivered", 2, 204),
    ]


async def test_it_tells_no_secret_and_no_url(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await clerk.bids("u1")
    await post.work()
    (row,) = await read(post.database)
    assert not {webhook.secret, webhook.url} & set(map(str, row.values()))
    assert not [name for name in row if "secret" in name or "url" in name]
