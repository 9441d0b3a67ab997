"""How far those who follow the logs are behind, in entries and seconds."""

from __future__ import annotations

import pytest

from marketplace.database import Lane
from marketplace.events import Advance, lookups, meters
from marketplace.events.model import Lag
from marketplace.foundation.clock import SECOND
from tests.events.posting import Post
from tests.events.reading import Clerk
from tests.services.clock import NEW_YEAR


async def lags(post: Post) -> dict[tuple[str, str], tuple[int, int | None]]:
    """Return entries, and since when the first of them waits in seconds of the new year, by consumer and lane."""
    found: list[Lag] = await post.database.read(lookups.read_lags)
    since = [None if one.since is None else (one.since - NEW_YEAR) // SECOND for one in found]
    return {(one.consumer, one.lane): (one.entries, at) for one, at in zip(found, since, strict=True)}


async def test_without_anybody_who_follows_nobody_is_behind(post: Post, clerk: Clerk) -> None:
    await clerk.bids("u1")
    assert await lags(post) == {}


async def test_a_consumer_is_behind_by_the_entries_it_has_not_dealt_with(
    post: Post, clerk: Clerk, money_lane: Lane
) -> None:
    await money_lane.run(Advance("billing", "hours", after=None, seq=0))
    assert await lags(post) == {("billing", "hours"): (0, None)}
    for _ in range(3):
        await clerk.bids("u1")
        post.clock.advance(10)
    assert await lags(post) == {("billing", "hours"): (3, 0)}
    await money_lane.run(Advance("billing", "hours", after=0, seq=2))
    assert await lags(post) == {("billing", "hours"): (1, 20)}
    await money_lane.run(Advance("billing", "hours", after=2, seq=3))
    assert await lags(post) == {("billing", "hours"): (0, None)}


async def test_deliveries_are_behind_until_the_last_receiver_has_taken_it(post: Post, clerk: Clerk) -> None:
    post.receiver.decide = lambda message, times: 500 if message.id == "msg_hours_2" and times == 1 else 204
    webhook = await post.subscribe()
    await clerk.bids("u1")
    post.clock.advance(10)
    await clerk.bids("u1")
    post.clock.advance(10)
    await clerk.bids("u1", "u2")
    both: dict[tuple[str, str], tuple[int, int | None]]
    both = {("webhooks", lane): (0, None) for lane in ("addresses", "money")}
    both |= {("webhook_deliveries", lane): (0, None) for lane in ("addresses", "money")}
    # The entry that tells of the webhook itself waits to be passed over.
    both |= {("webhooks", "money"): (1, 0), ("webhook_deliveries", "money"): (1, 0)}
    assert await lags(post) == both | {("webhooks", "hours"): (4, 0), ("webhook_deliveries", "hours"): (4, 0)}
    await post.fan_out()
    both |= {("webhooks", "money"): (0, None), ("webhook_deliveries", "money"): (0, None)}
    assert await lags(post) == both | {("webhooks", "hours"): (0, None), ("webhook_deliveries", "hours"): (4, 0)}
    await post.deliver()
    assert await lags(post) == both | {("webhooks", "hours"): (0, None), ("webhook_deliveries", "hours"): (3, 10)}
    post.clock.advance(5)
    await post.deliver()
    assert await lags(post) == both | {("webhooks", "hours"): (0, None), ("webhook_deliveries", "hours"): (0, None)}
    await post.change(webhook, state="disabled")
    assert await lags(post) == {}, "the logs are kept for nobody"


@pytest.mark.parametrize(("since", "seconds"), [(None, 0), (NEW_YEAR, 90.5), (NEW_YEAR + 91 * SECOND, 0)])
def test_the_seconds_are_those_that_the_first_entry_waits(since: int | None, seconds: float) -> None:
    found = meters.lag_gauges([Lag("billing", "hours", 7, since)], now=NEW_YEAR + 90 * SECOND + SECOND // 2)
    samples = {sample.name: (sample.labels, sample.value) for family in found for sample in family.samples}
    labels = {"consumer": "billing", "lane": "hours"}
    assert samples == {
        "marketplace_event_lag_entries": (labels, 7),
        "marketplace_event_lag_seconds": (labels, seconds),
    }
