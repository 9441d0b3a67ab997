"""Each entry that a webhook wants is sent to it, signed, and to nobody else; its owner says what, where and whether."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from marketplace.events import errors, jobs, schedule, signing, webhook_lookups, webhook_sql
from marketplace.events import webhook_model as model
from tests.events.posting import PUBLIC, Post
from tests.events.reading import Clerk
from tests.events.receiver import Message

# ── what is sent, and to whom ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_member_is_sent_what_happens_to_it_signed(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await clerk.bids("u1", "u2")
    await post.work()
    (message,) = post.receiver.received
    said = message.read(webhook.secret)
    assert (message.path, message.id, said["type"]) == ("/hook", "msg_hours_1", "hours.bid_placed")
    assert (said["data"]["member"], said["data"]["seq"]) == ("u1", 1)
    assert said["timestamp"] == said["data"]["at"]
    assert await post.deliveries(webhook) == [(1, "delivered", [204])]


async def test_only_what_a_webhook_wants_and_may_see_is_sent_to_it(post: Post, clerk: Clerk) -> None:
    url = post.receiver.url
    for path, member, fields in (
        ("bids", "u1", {"kinds": ("bid_placed",)}),
        ("all", "u1", {"kinds": (), "topics": ("hours",)}),
        ("everybody", "ops", {"kinds": (), "topics": ("hours",), "sees": "all"}),
        ("markets", "u2", {"kinds": ("market_created", "market_changed")}),
        ("nothing", "u2", {"topics": ("addresses",), "kinds": ()}),
    ):
        await post.subscribe(member, url=f"{url}/{path}", **fields)
    await clerk.bids("u1")
    await clerk.market("gpu")
    await clerk.bids("u3")
    await post.work()
    told = {path: sorted(each.id for each in post.receiver.received if each.path == f"/{path}") for path in (
        "bids", "all", "everybody", "markets", "nothing")}  # fmt: skip
    one, two, three = (f"msg_hours_{seq}" for seq in (1, 2, 3))
    assert told == {"bids": [one], "all": [one, two], "everybody": [one, two, three], "markets": [two], "nothing": []}


async def test_what_happened_before_a_webhook_was_made_is_not_sent(post: Post, clerk: Clerk) -> None:
    await clerk.bids("u1")
    post.clock.advance(1)
    first = await post.subscribe()
    await clerk.bids("u1")
    post.clock.advance(1)
    second = await post.subscribe()  # while the entry before it is not on its way yet
    await clerk.bids("u1")
    await post.work()
    assert [seq for seq, *_ in await post.deliveries(first)] == [2, 3]
    assert [seq for seq, *_ in await post.deliveries(second)] == [3]


async def test_an_entry_is_put_on_its_way_once_however_many_workers_there_are(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await clerk.bids(*["u1"] * 30)
    counts = await asyncio.gather(*(post.fan_out() for _ in range(4)))
    assert sum(counts) == 30
    assert [seq for seq, *_ in await post.deliveries(webhook)] == list(range(1, 31))


async def test_a_due_delivery_is_claimed_by_one_worker(post: Post, clerk: Clerk) -> None:
    await post.subscribe()
    await clerk.bids(*["u1"] * 40)
    await post.fan_out()
    await asyncio.gather(*(post.deliver() for _ in range(4)))
    assert sorted(each.id for each in post.receiver.received) == sorted(f"msg_hours_{seq}" for seq in range(1, 41))


# ── the owner's commands ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_for_a_day_both_secrets_sign(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    fresh = signing.new_secret()
    await post.money.run(model.RotateSecret(webhook.webhook_id, "u1", fresh))
    await clerk.bids("u1")
    await post.work()
    post.clock.advance(model.ROTATION_SECONDS)
    await clerk.bids("u1")
    await post.work()
    during, after = post.receiver.received
    assert during.read(webhook.secret) == during.read(fresh)
    after.read(fresh)
    with pytest.raises(Exception, match="No matching signature"):
        after.read(webhook.secret)


def kind_of(message: Message) -> str:
    return str(msgspec.json.decode(message.body)["type"])


async def test_a_test_goes_to_that_webhook_alone(post: Post) -> None:
    webhook = await post.subscribe(kinds=("bid_placed",))
    await post.subscribe(url=f"{post.receiver.url}/other", kinds=())
    seq = await post.money.run(model.TestWebhook(webhook.webhook_id, "u1"))
    await post.work()
    tests = [each for each in post.receiver.received if kind_of(each) == "events.webhook_tested"]
    assert [(each.path, each.id) for each in tests] == [("/hook", f"msg_money_{seq}")]


async def test_a_disabled_webhook_is_sent_nothing_until_it_is_enabled(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await clerk.bids("u1")
    await post.fan_out()
    post.clock.advance(1)
    await post.change(webhook, state="disabled")
    await clerk.bids("u1")
    await post.work()
    await jobs.clean_up(post.database, post.money, kept_days=30)
    post.clock.advance(1)
    await post.change(webhook, state="enabled")
    await clerk.bids("u1")
    await post.work()
    assert [each.id for each in post.receiver.received] == ["msg_hours_3"]
    assert await post.deliveries(webhook) == [(1, "dropped", []), (3, "delivered", [204])]
    await post.change(webhook, state="disabled")
    with pytest.raises(errors.WebhookDisabled):
        await post.money.run(model.TestWebhook(webhook.webhook_id, None))


async def test_a_replay_sends_again_what_was_lost(post: Post, clerk: Clerk) -> None:
    post.receiver.decide = lambda _message, times: 500 if times <= 10 else 200
    webhook = await post.subscribe()
    await clerk.bids("u1", "u2", "u1")
    await post.work()
    for delay in schedule.DELAYS_SECONDS:
        post.clock.advance(delay)
        await post.deliver()
    wanted = webhook.wanted(PUBLIC)
    seqs = await post.database.read(webhook_lookups.select_replayed, "hours", wanted, from_seq=1, to_seq=3)
    assert seqs == (1, 3)
    command = model.ReplayEntries(webhook.webhook_id, "u1", "hours", 1, 3, seqs)
    assert await post.money.run(command) == 2
    await post.deliver()
    tried = [500] * 10 + [200]
    assert await post.deliveries(webhook) == [(1, "delivered", tried), (3, "delivered", tried)]


async def test_a_webhook_of_somebody_else_is_not_there(post: Post) -> None:
    webhook = await post.subscribe("u1")
    identity = webhook.webhook_id
    for command in (
        model.ChangeWebhook(identity, "u2", state="disabled"),
        model.DeleteWebhook(identity, "u2"),
        model.RotateSecret(identity, "u2", "whsec_AAAA"),
        model.TestWebhook(identity, "u2"),
        model.ReplayEntries(identity, "u2", "hours", 1, 1, ()),
        model.DeleteWebhook(identity + 100, None),
    ):
        with pytest.raises(errors.UnknownWebhook):
            await post.money.run(command)
    await post.money.run(model.DeleteWebhook(identity, "u1"))
    with pytest.raises(errors.UnknownWebhook):
        await post.money.run(model.DeleteWebhook(identity, "u1"))


async def test_a_deleted_webhook_leaves_no_secret(post: Post, clerk: Clerk) -> None:
    webhook = await post.subscribe()
    await post.money.run(model.RotateSecret(webhook.webhook_id, None, signing.new_secret()))
    await post.money.run(model.DeleteWebhook(webhook.webhook_id, None))
    found = (await post.database.read(webhook_sql.read_webhooks, [webhook.webhook_id]))[webhook.webhook_id]
    assert (found.state, found.secret, found.previous_secret) == ("deleted", "", None)


async def test_a_member_has_a_bounded_number_of_webhooks(post: Post) -> None:
    made = [await post.subscribe() for _ in range(model.MOST_WEBHOOKS)]
    with pytest.raises(errors.TooManyWebhooks):
        await post.subscribe()
    await post.subscribe("u2")
    await post.money.run(model.DeleteWebhook(made[0].webhook_id, None))
    await post.subscribe()
