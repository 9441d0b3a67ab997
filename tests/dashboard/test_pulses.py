"""What pages hear of a log: each what it asked for, from one look for all of them, for as long as somebody watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from marketplace import events, hours
from marketplace.dashboard import pulses
from marketplace.dashboard.pulses import Pulse, Pulses
from marketplace.database import Database, Lane


@pytest.fixture
def watch(database: Database) -> Callable[..., contextlib.AbstractContextManager[Pulse]]:
    shared, closing = Pulses(), [False]

    def watch(subject: str = "default", **more: bool) -> contextlib.AbstractContextManager[Pulse]:
        closing[0] = more.get("closing", closing[0])
        return shared.watching(database, hours.LANE, events.Wanted(subject=subject), is_closing=lambda: closing[0])

    return watch


async def reaches(pulse: Pulse, seq: int) -> bool:
    """Wait for a pulse, not for long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while pulse.seq < seq:
                await pulse.wait(5)
    return pulse.seq >= seq


async def bid(lane: Lane, market: str = "default") -> None:
    await lane.run(hours.PlaceBid(market, "ann", 1, 1, "gtc"))


async def test_a_page_hears_of_its_market_and_not_of_others(
    hours_lane: Lane, watch: Callable[..., contextlib.AbstractContextManager[Pulse]]
) -> None:
    await hours_lane.run(hours.CreateMarket("other"))
    with watch() as mine, watch("other") as others, watch() as mine_too:
        assert await reaches(others, 1)
        await bid(hours_lane)
        assert await reaches(mine, 2)
        assert await reaches(mine_too, 2)
        assert others.seq == 1
        await bid(hours_lane, "other")
        assert await reaches(others, 3)
        assert mine.seq == 2


async def test_where_more_has_come_than_is_looked_at_everybody_looks_again(
    hours_lane: Lane,
    watch: Callable[..., contextlib.AbstractContextManager[Pulse]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulses, "MOST", 3)
    with watch("other") as others:
        await asyncio.sleep(2 * pulses.LOOK_SECONDS)
        await asyncio.gather(*(bid(hours_lane) for _ in range(20)))
        assert await reaches(others, 3)


async def test_who_comes_when_others_have_gone_hears_as_they_did(
    hours_lane: Lane, watch: Callable[..., contextlib.AbstractContextManager[Pulse]]
) -> None:
    for seq in (1, 2):
        with watch() as mine:
            await bid(hours_lane)
            assert await reaches(mine, seq)


async def test_at_the_end_every_pulse_ends(
    hours_lane: Lane, watch: Callable[..., contextlib.AbstractContextManager[Pulse]]
) -> None:
    with watch() as first, watch("other", closing=True) as second:
        for pulse in (first, second):
            await pulse.wait(5)
            assert pulse.is_over
