"""What the market looks like: the book, previews and candles."""

from __future__ import annotations

import random
from typing import Any

import pytest

from marketplace import hours
from marketplace.foundation.clock import DAY, HOUR, MINUTE, SECOND, Instant, to_datetime
from marketplace.hours import ChangeMarket, errors
from marketplace.wire import hours as wire
from tests.hours.desk import Desk
from tests.hours.orders import MARKET, buy, cancel, sell, withdraw
from tests.services.clock import NEW_YEAR

# ── the book ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def read_book(desk: Desk, *, limit: int = 100) -> wire.Book:
    book: wire.Book = await desk.read(hours.read_book, MARKET, limit=limit)
    return book


async def test_the_book_adds_up_each_price_level_best_first(desk: Desk) -> None:
    for volume, price in ((10, 3), (20, 5), (30, 3), (5, 4)):
        await desk.bid(buy("u1", volume=volume, price=price))
    for volume, price in ((7, 9), (8, 6), (9, 9)):
        await desk.supply(sell(volume, min_price=price))
    book = await read_book(desk)
    assert book.seq == 7
    assert book.bids == [wire.Level(5, 1, 20, 20), wire.Level(4, 1, 5, 25), wire.Level(3, 2, 40, 65)]
    assert book.supplies == [wire.Level(6, 1, 8, 8), wire.Level(9, 2, 16, 24)]


async def test_the_book_shows_what_remains_and_leaves_out_what_is_closed(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3))
    await desk.bid(buy("u1", volume=10, price=2))
    await desk.supply(sell(4))
    await desk.bid(cancel(2))
    await desk.supply(sell(5, min_price=9))
    await desk.supply(withdraw(5))
    book = await read_book(desk)
    assert (book.bids, book.supplies) == ([wire.Level(3, 1, 6, 6)], [])


async def test_the_book_leaves_out_bids_past_their_time_swept_or_not(desk: Desk) -> None:
    await desk.bid(buy("u1", volume=10, price=3, expires_at=desk.clock() + SECOND))
    await desk.bid(buy("u1", volume=20, price=3))
    desk.clock.advance(1)
    assert (await read_book(desk)).bids == [wire.Level(3, 1, 20, 20)]


async def test_the_book_shows_no_more_levels_than_asked_for(desk: Desk) -> None:
    await desk.together(*(buy("u1", volume=1, price=price) for price in range(9)))
    await desk.together(*(sell(1, min_price=price) for price in range(10, 19)))
    book = await read_book(desk, limit=2)
    assert [level.price for level in book.bids] == [8, 7]
    assert [level.price for level in book.supplies] == [10, 11]


async def test_an_empty_book_is_empty(desk: Desk) -> None:
    assert await read_book(desk) == wire.Book(MARKET, 0, [], [])


# ── previews ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("volume", [1, 10, 25, 26, 100])
@pytest.mark.parametrize("price", [0, 1, 3, 5, 9])
async def test_a_preview_writes_nothing_and_says_what_then_happens(desk: Desk, volume: int, price: int) -> None:
    for hours_on_offer, least in ((10, 1), (15, 3), (20, 7)):
        await desk.supply(sell(hours_on_offer, min_price=least))
    await desk.bid(buy("u2", volume=6, price=0))
    before = await desk.everything()
    preview = await desk.read(hours.preview, MARKET, volume=volume, price=price)
    assert await desk.everything() == before

    bid = await desk.bid(buy("u1", volume=volume, price=price))
    assert (preview.allocated, preview.remaining) == (bid.allocated, bid.remaining)
    assert (preview.seq, preview.best_supply_price) == (bid.seq - 1, 1)


async def test_a_preview_counts_the_hours_that_would_be_served_before_the_rest(desk: Desk) -> None:
    for volume, price in ((10, 5), (20, 3), (40, 2)):
        await desk.bid(buy("u2", volume=volume, price=price))
    await desk.bid(buy("u3", volume=80, price=9, expires_at=desk.clock() + SECOND))
    desk.clock.advance(1)
    preview = await desk.read(hours.preview, MARKET, volume=5, price=3)
    assert preview.volume_ahead == 30
    await desk.bid(buy("u1", volume=5, price=3))
    assert (await desk.supply(sell(30))).allocated == 30
    assert await desk.total("u1") == 0
    await desk.supply(sell(1))
    assert await desk.total("u1") == 1


async def test_a_preview_of_an_empty_market_promises_nothing(desk: Desk) -> None:
    preview = await desk.read(hours.preview, MARKET, volume=5, price=3)
    assert preview == wire.Preview(MARKET, 0, 0, 5, None, 0)


async def test_a_closed_market_previews_nothing(desk: Desk) -> None:
    await desk.run(ChangeMarket(MARKET, "closed"))
    with pytest.raises(errors.MarketClosed):
        await desk.read(hours.preview, MARKET, volume=5, price=3)


# ── fills ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_fills_come_newest_first(desk: Desk) -> None:
    await desk.together(buy("u1", volume=1, price=4), buy("u2", volume=2, price=5))
    await desk.supply(sell(3))
    desk.clock.advance(60)
    await desk.together(sell(3), buy("u3", volume=3, price=6))
    fills = await desk.read(hours.list_fills, MARKET, before=None, limit=9)
    assert [(fill.price, fill.volume, fill.allocated_at - NEW_YEAR) for fill in fills] == [
        (6, 3, MINUTE),
        (4, 1, 0),
        (5, 2, 0),
    ]


# ── candles ──────────────────────────────────────────────────────────────────────────────────────────────────────────

WIDTHS: dict[str, Instant] = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR, "1d": DAY}


def compute_candles(trades: list[tuple[Instant, int, int]], *, width: Instant) -> list[wire.Candle]:
    """Compute the candles of (instant, price, volume) trades, given in their order, the plain way."""
    buckets: dict[Instant, list[tuple[int, int]]] = {}
    for instant, price, volume in trades:
        buckets.setdefault(instant - instant % width, []).append((price, volume))
    return [
        wire.Candle(
            to_datetime(start),
            rows[0][0],
            max(price for price, _ in rows),
            min(price for price, _ in rows),
            rows[-1][0],
            sum(volume for _, volume in rows),
        )
        for start, rows in sorted(buckets.items())
    ]


async def read_candles(desk: Desk, interval: str, **more: Any) -> list[wire.Candle]:
    asked = {"since": None, "until": None, "limit": 1000} | more
    candles: list[wire.Candle] = await desk.read(hours.read_candles, MARKET, interval=interval, **asked)
    return candles


async def trade(desk: Desk, *, price: int, volume: int) -> tuple[Instant, int, int]:
    await desk.together(sell(volume), buy("u1", volume=volume, price=price))
    return (desk.clock(), price, volume)


async def test_candles_are_what_python_computes_from_the_trades(desk: Desk) -> None:
    dice = random.Random(7)
    trades = []
    for _ in range(40):
        trades.append(await trade(desk, price=dice.randint(1, 9), volume=dice.randint(1, 20)))
        desk.clock.advance(dice.choice([0, 1, 59, 60, 299, 3600, 7201, 86_400]))
    for interval, width in WIDTHS.items():
        until = desk.clock() + 1
        bounds = {"since": NEW_YEAR, "until": until, "limit": (until - NEW_YEAR) // width + 1}
        assert await read_candles(desk, interval, **bounds) == compute_candles(trades, width=width), interval


async def test_a_candle_is_whole_also_where_it_is_asked_for_from_its_middle_on(desk: Desk) -> None:
    first = await trade(desk, price=3, volume=1)
    desk.clock.advance(30)
    since = desk.clock()
    second = await trade(desk, price=5, volume=2)
    desk.clock.advance(60)
    third = await trade(desk, price=4, volume=3)
    assert await read_candles(desk, "1m", since=since) == compute_candles([first, second, third], width=MINUTE)
    assert await read_candles(desk, "1m", since=since, limit=1) == compute_candles([third], width=MINUTE)
    desk.clock.advance(60)
    later = since + 2 * MINUTE
    assert await read_candles(desk, "1m", since=later) == []


async def test_a_candle_opens_with_the_first_trade_of_a_command_and_closes_with_the_last(desk: Desk) -> None:
    await desk.together(buy("u1", volume=1, price=2), buy("u2", volume=2, price=7), buy("u3", volume=3, price=5))
    await desk.supply(sell(6))
    assert await read_candles(desk, "1m") == [wire.Candle(to_datetime(NEW_YEAR), 7, 7, 2, 2, 6)]


async def test_a_candle_begins_on_its_first_microsecond_and_ends_before_the_next_one(desk: Desk) -> None:
    opened = []
    for seconds in (60, 59.999999, 0.000001):
        desk.clock.advance(seconds)
        await trade(desk, price=1, volume=1)
        opened.append([candle.opened_at for candle in await read_candles(desk, "1m")])
    first, second = to_datetime(NEW_YEAR + MINUTE), to_datetime(NEW_YEAR + 2 * MINUTE)
    assert opened == [[first], [first], [first, second]]


async def test_where_nothing_traded_there_is_no_candle(desk: Desk) -> None:
    await trade(desk, price=1, volume=1)
    desk.clock.advance(3600)
    await trade(desk, price=2, volume=1)
    assert [(candle.open, candle.volume) for candle in await read_candles(desk, "1m")] == [(1, 1), (2, 1)]


async def test_the_limit_keeps_the_newest_intervals(desk: Desk) -> None:
    for price in (1, 2, 3, 4):
        await trade(desk, price=price, volume=1)
        desk.clock.advance(60)
    desk.clock.advance(-1)
    assert [candle.open for candle in await read_candles(desk, "1m", limit=2)] == [3, 4]


async def test_since_and_until_bound_the_candles(desk: Desk) -> None:
    for price in (1, 2, 3, 4):
        await trade(desk, price=price, volume=1)
        desk.clock.advance(60)
    since, until = NEW_YEAR + MINUTE, NEW_YEAR + 3 * MINUTE
    assert [candle.open for candle in await read_candles(desk, "1m", since=since, until=until)] == [2, 3]


async def test_candles_of_other_markets_stay_apart(desk: Desk) -> None:
    await desk.run(hours.CreateMarket("west"))
    await desk.together(sell(5, market="west"), buy("u1", volume=5, price=9, market="west"))
    assert await read_candles(desk, "1h") == []
