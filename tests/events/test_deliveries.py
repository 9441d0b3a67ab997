"""At least once: tried again as the schedule says, by one worker at a time, whoever dies; and forgotten in the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace import events
from marketplace.database import Database
from marketplace.events import jobs, lookups, retention, schedule, webhook_lookups
from marketplace.events import webhook_model as model
from marketplace.foundation.clock import DAY, HOUR, SECOND
from tests.events.posting import Post
from tests.events.reading import Clerk
from tests.events.receiver import HANG

# ── tried again ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [500, 400, 404, 301, 307, 100 + 199, HANG])
async def test_what_is_not_taken_is_tried_again_with_the_same_id(post: Post, clerk: Clerk, answer: int) -> None:
    post.receiver.decide = lambda _message, times: answer if times < 3 else 200
    webhook = await post.subscribe()
    await clerk.bids("u1")
    patience = post.timeout_seconds
    for delay in (0, 5, 300):
        post.timeout_seconds = 0.3 if answer == HANG and delay < 300 else patience
        post.clock.advance(delay - 0.001)
        if delay:
            assert await post.deliver() == 0
        post.clock.advance(0.001)
        await post.work()
    assert {each.id for each in post.receiver.received} == {"msg_hours_1"}
    assert {each.path for each in post.receiver.received} == {"/hook"}, "a redirection was followed"
    for message in post.receiver.received:
        message.read(webhook.secret)
    ((_, state, tried),) = await post.deliveries(webhook)
    first = "no answer within 0.3 s" if answer == HANG else answer
    if answer != 299:
        assert (state, tried) == ("delivered", [first, first, 200])
    else:
        assert (state, tried) == ("delivered", [299])


async def test_after_ten_tries_over_three_days_it_has_failed(post: Post, clerk: Clerk) -> None:
    post.receiver.decide = lambda *_: 503
    webhook = await post.subscribe()
    await clerk.bids("u1")
    begun = post.clock()
    await post.work()
    for delay in schedule.DELAYS_SECONDS:
        post.clock.advance(delay)
        assert await post.deliver() == 1
    assert await post.deliveries(webhook) == [(1, "failed", [503] * 10)]
    assert post.clock() - begun == 75 * HOUR + 35 * 60 * SECOND + 5 * SECOND
    post.clock.advance(10 * 86_400)
    assert await post.deliver() == 0


async def test_a_receiver_that_is_not_there_is_an_error_that_is_told(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await post.receiver.__aexit__()
    await clerk.bids("u1")
    await post.work()
    ((_, state, (error,)),) = await post.deliveries(webhook)
    assert (state, "Connect" in str(error)) == ("pending", True)


async def test_410_disables_a_webhook_and_says_so_in_the_log(post: Post, clerk: Clerk, database: Database) -> None:
    post.receiver.decide = lambda *_: 410
    webhook = await post.subscribe()
    await clerk.bids("u1")
    await post.work()
    await clerk.bids("u1")
    await post.work()
    found = await database.read(webhook_lookups.find_webhook, webhook.webhook_id, viewer="u1")
    assert (found.state, found.reason) == ("disabled", "its receiver answered 410 Gone")
    assert await post.deliveries(webhook) == [(1, "failed", [410])]
    page = await database.read(lookups.read_page, "money", events.Wanted(), after=0, limit=10)
    assert [entry.kind for entry in page.entries] == ["webhook_created", "webhook_gone"]


async def test_an_answer_of_any_length_is_bounded(post: Post, clerk: Clerk) -> None:
    post.receiver.body = b"x" * 1_000_000
    webhook = await post.subscribe()
    await clerk.bids("u1", "u1")
    await post.work()
    assert [state for _, state, _ in await post.deliveries(webhook)] == ["delivered", "delivered"]


async def test_one_that_hangs_keeps_nobody_else_waiting(post: Post, clerk: Clerk) -> None:
    post.receiver.decide = lambda message, _times: HANG if message.path == "/slow" else 204
    await post.subscribe(url=f"{post.receiver.url}/slow")
    quick = await post.subscribe("u2", url=f"{post.receiver.url}/quick")
    await clerk.bids(*["u1"] * 200)
    await clerk.bids(*["u2"] * 20)
    await post.fan_out()
    delivering = asyncio.create_task(post.deliver())
    await post.receiver.until(lambda: sum(post.receiver.accepted.values()) == 20)
    slow = [message for message in post.receiver.received if message.path == "/slow"]
    assert len(slow) <= jobs.CALLS_OF_ONE
    post.receiver.let_go.set()
    await delivering
    assert len(await post.deliveries(quick)) == 20


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def claim(token: str, **more: Any) -> model.Claim:
    return model.Claim(token, **({"limit": 10, "limit_each": 10, "lease_seconds": 30.0} | more))


def outcome(claimed: model.Claimed, status: int) -> model.Attempt:
    return model.Attempt(claimed.webhook_id, claimed.lane, claimed.seq, claimed.attempt, 0, 1000, status, None)


async def test_what_was_claimed_is_due_again_when_the_lease_is_over(post: Post, clerk: Clerk) -> None:
    await post.subscribe()
    await clerk.bids("u1")
    await post.fan_out()
    (first,) = await post.money.run(claim("a"))
    assert await post.money.run(claim("b")) == []
    post.clock.advance(30)
    (second,) = await post.money.run(claim("b"))
    assert (first.attempt, second.attempt) == (1, 2)


async def test_who_has_lost_the_lease_changes_nothing(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await clerk.bids("u1")
    await post.fan_out()
    (late,) = await post.money.run(claim("late"))
    post.clock.advance(30)
    (quick,) = await post.money.run(claim("quick"))
    await post.money.run(model.Record("late", (outcome(late, 500),)))
    await post.money.run(model.Record("quick", (outcome(quick, 200),)))
    assert await post.deliveries(webhook) == [(1, "delivered", [500, 200])]


async def test_a_worker_that_stops_in_the_middle_leaves_its_claims(post: Post, clerk: Clerk) -> None:
    post.receiver.decide = lambda _message, times: HANG if times == 1 else 204
    webhook = await post.subscribe()
    await clerk.bids("u1")
    await post.fan_out()
    delivering = asyncio.create_task(post.deliver())
    await post.receiver.until(lambda: bool(post.receiver.received))
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert await post.deliver() == 0
    post.clock.advance(60)
    assert await post.deliver() == 1
    assert await post.deliveries(webhook) == [(1, "delivered", [204])]


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_log_is_kept_for_what_is_still_on_its_way(post: Post, clerk: Clerk) -> None:
    post.receiver.decide = lambda _message, times: 500 if times == 1 else 200
    await clerk.bids("u9")
    await post.subscribe()
    await clerk.bids("u9", "u1", "u9", "u9")

    async def cut() -> int:
        return await retention.cut_log(post.database, clerk.lane, before=post.clock() - DAY, archive=None)

    post.clock.advance(2 * 86_400)
    assert await cut() == 1, "the entries behind the cursor are not on their way yet"
    await post.work()
    assert await cut() == 1, "one was tried in vain"
    post.clock.advance(5)
    await post.work()
    assert await cut() == 2


async def test_without_an_enabled_webhook_no_log_is_kept(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    assert await post.database.read(webhook_lookups.read_passing, "hours", limit=1) == (0, [])
    await post.change(webhook, state="disabled")
    assert await post.database.read(webhook_lookups.read_passing, "hours", limit=1) is None
    await clerk.bids("u1")
    await post.change(webhook, state="enabled")
    assert await post.database.read(webhook_lookups.read_passing, "hours", limit=1) == (1, [])


async def test_what_was_over_long_ago_is_forgotten(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await clerk.bids("u1")
    await post.work()
    post.clock.advance(20 * 86_400)
    await clerk.bids("u1")
    await post.work()
    post.clock.advance(11 * 86_400)
    assert await jobs.clean_up(post.database, post.money, kept_days=30) == 1
    assert [seq for seq, *_ in await post.deliveries(webhook)] == [2]
