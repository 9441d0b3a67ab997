"""What can be asked of the hours market: functions of a read-only `tx`, run by `database.read` or `read_one`.

Lists are keyset pages in a total order, stable while rows are added. In the book and in previews a bid past its
`expires_at` counts as gone, as in matching; as a row it reads `open` until the job has closed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import sqlalchemy as sa

from marketplace.database import log
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.hours import errors, sql
from marketplace.hours.model import Allocation, Bid, Market, Supply
from marketplace.hours.tables import LANE, allocated_totals, allocations, bids, markets, supplies
from marketplace.wire import hours as wire

ALLOCATION_COLUMNS = [allocations.c[name] for name in Allocation.__struct_fields__]
INTERVALS: dict[str, int] = {"1m": clock.MINUTE, "5m": 5 * clock.MINUTE, "1h": clock.HOUR, "1d": clock.DAY}

_market, _limit = sa.bindparam("market", type_=sa.Text), sa.bindparam("limit", type_=sa.Integer)
_username, _price = sa.bindparam("username", type_=sa.Text), sa.bindparam("price", type_=sa.BigInteger)

# ── what a user got ──────────────────────────────────────────────────────────────────────────────────────────────────

_total_allocated = sa.select(
    sa.select(allocated_totals.c.volume)
    .where(allocated_totals.c.market == _market, allocated_totals.c.username == _username)
    .scalar_subquery()
    .label("volume"),
    sa.exists().where(bids.c.market == _market, bids.c.username == _username).label("has_bid"),
)


def total_allocated(tx: sa.Connection, market: str, username: str) -> int:
    """Return the hours a user got on a market, 0 while its bids got nothing. Raises UnknownUser, UnknownMarket."""
    row = tx.execute(_total_allocated, {"market": market, "username": username}).one()
    if not row.has_bid:
        find_market(tx, market)
        raise errors.UnknownUser(market, username)
    return int(row.volume or 0)


def list_allocations(
    tx: sa.Connection, market: str, *, username: str | None, after: tuple[int, int] | None, limit: int
) -> list[Allocation]:
    """Return allocations from the oldest on, after a (seq, position)."""
    find_market(tx, market)
    query = _allocations(market, limit).order_by(allocations.c.seq, allocations.c.position)
    if username is not None:
        query = query.where(allocations.c.username == username)
    if after is not None:
        query = query.where(_place > sa.tuple_(*after))
    return sql.records(Allocation, tx.execute(query))


def list_fills(tx: sa.Connection, market: str, *, before: tuple[int, int] | None, limit: int) -> list[Allocation]:
    """Return allocations from the newest on, before a (seq, position)."""
    find_market(tx, market)
    query = _allocations(market, limit).order_by(allocations.c.seq.desc(), allocations.c.position.desc())
    if before is not None:
        query = query.where(_place < sa.tuple_(*before))
    return sql.records(Allocation, tx.execute(query))


_place = sa.tuple_(allocations.c.seq, allocations.c.position)


def _allocations(market: str, limit: int) -> sa.Select[Any]:
    return sa.select(*ALLOCATION_COLUMNS).where(allocations.c.market == market).limit(limit)


# ── markets, bids, supplies ──────────────────────────────────────────────────────────────────────────────────────────

_find_market = sa.select(*sql.MARKET_COLUMNS).where(markets.c.market == _market)
_find_bid = sa.select(*sql.BID_COLUMNS).where(bids.c.market == _market, bids.c.bid_id == sa.bindparam("id"))
_find_supply = sa.select(*sql.SUPPLY_COLUMNS).where(
    supplies.c.market == _market, supplies.c.supply_id == sa.bindparam("id")
)


def find_market(tx: sa.Connection, market: str) -> Market:
    """Return a market. Raises UnknownMarket."""
    row = tx.execute(_find_market, {"market": market}).first()
    if row is None:
        raise errors.UnknownMarket(market)
    return Market(*row)


def list_markets(tx: sa.Connection, *, after: str | None, limit: int) -> list[Market]:
    """Return markets by name."""
    query = sa.select(*sql.MARKET_COLUMNS).order_by(markets.c.market).limit(limit)
    if after is not None:
        query = query.where(markets.c.market > after)
    return sql.records(Market, tx.execute(query))


def find_bid(tx: sa.Connection, market: str, bid_id: int) -> Bid:
    """Return a bid of any state. Raises UnknownBid, UnknownMarket."""
    row = tx.execute(_find_bid, {"market": market, "id": bid_id}).first()
    if row is None:
        find_market(tx, market)
        raise errors.UnknownBid(market, bid_id)
    return Bid(*row)


def list_bids(
    tx: sa.Connection, market: str, *, username: str | None, state: str | None, after: int | None, limit: int
) -> list[Bid]:
    """Return bids in the order of their ids, after one."""
    find_market(tx, market)
    query = sa.select(*sql.BID_COLUMNS).where(bids.c.market == market).order_by(bids.c.bid_id).limit(limit)
    for column, value in ((bids.c.username, username), (bids.c.state, state)):
        query = query if value is None else query.where(column == value)
    if after is not None:
        query = query.where(bids.c.bid_id > after)
    return sql.records(Bid, tx.execute(query))


def find_supply(tx: sa.Connection, market: str, supply_id: int) -> Supply:
    """Return a supply of any state. Raises UnknownSupply, UnknownMarket."""
    row = tx.execute(_find_supply, {"market": market, "id": supply_id}).first()
    if row is None:
        find_market(tx, market)
        raise errors.UnknownSupply(market, supply_id)
    return Supply(*row)


def list_supplies(
    tx: sa.Connection, market: str, *, provider: str | None, state: str | None, after: int | None, limit: int
) -> list[Supply]:
    """Return supplies in the order of their ids, after one."""
    find_market(tx, market)
    query = sa.select(*sql.SUPPLY_COLUMNS).where(supplies.c.market == market)
    query = query.order_by(supplies.c.supply_id).limit(limit)
    for column, value in ((supplies.c.provider, provider), (supplies.c.state, state)):
        query = query if value is None else query.where(column == value)
    if after is not None:
        query = query.where(supplies.c.supply_id > after)
    return sql.records(Supply, tx.execute(query))


_due_bids = (
    sa.select(bids.c.market, bids.c.bid_id)
    .where(sql.is_open_bid, bids.c.expires_at <= sa.bindparam("now"))
    .order_by(bids.c.expires_at, bids.c.bid_id)
    .limit(_limit)
)


def list_due_bids(tx: sa.Connection, *, now: Instant, limit: int) -> list[tuple[str, int]]:
    """Return (market, bid_id) of open bids whose time has come, the longest due first."""
    return [(row.market, row.bid_id) for row in tx.execute(_due_bids, {"now": now, "limit": limit})]


# ── what the market looks like ───────────────────────────────────────────────────────────────────────────────────────


def _levels(side: Literal["bids", "supplies"]) -> sa.Select[Any]:
    """Open volume by price, best price first; the index on open offers gives the order, so the limit ends the scan."""
    table, price, is_open = (
        (bids, bids.c.price, sql.is_live_bid)
        if side == "bids"
        else (supplies, supplies.c.min_price, sql.is_open_supply)
    )
    order = price.desc() if side == "bids" else price.asc()
    return (
        sa.select(price, sa.func.count(), sa.func.sum(table.c.remaining))
        .where(table.c.market == _market, is_open)
        .group_by(price)
        .order_by(order)
        .limit(_limit)
    )


_bid_levels, _supply_levels = _levels("bids"), _levels("supplies")


def read_book(tx: sa.Connection, market: str, *, limit: int) -> wire.Book:
    """Return the best `limit` price levels of both sides, of one instant."""
    find_market(tx, market)
    bound = {"market": market, "limit": limit, "now": clock.now()}
    return wire.Book(
        market,
        log.read_head(tx, LANE).last_seq,
        bids=_cumulated(tx.execute(_bid_levels, bound)),
        supplies=_cumulated(tx.execute(_supply_levels, {"market": market, "limit": limit})),
    )


def _cumulated(rows: Iterable[Any]) -> list[wire.Level]:
    levels: list[wire.Level] = []
    cumulative = 0
    for price, count, volume in rows:
        cumulative += int(volume)
        levels.append(wire.Level(price, count, int(volume), cumulative))
    return levels


_on_offer = sa.select(
    sa.select(sa.func.min(supplies.c.min_price))
    .where(supplies.c.market == _market, sql.is_open_supply)
    .scalar_subquery()
    .label("best_price"),
    sa.select(sa.func.coalesce(sa.func.sum(supplies.c.remaining), 0))
    .where(supplies.c.market == _market, sql.is_open_supply, supplies.c.min_price <= _price)
    .scalar_subquery()
    .label("supply"),
    sa.select(sa.func.coalesce(sa.func.sum(bids.c.remaining), 0))
    .where(bids.c.market == _market, sql.is_live_bid, bids.c.price >= _price)
    .scalar_subquery()
    .label("ahead"),
)


def preview(tx: sa.Connection, market: str, *, volume: int, price: int) -> wire.Preview:
    """Return what a bid would get now and what would be served before its rest. Raises MarketClosed, UnknownMarket."""
    if find_market(tx, market).state == "closed":
        raise errors.MarketClosed(market)
    row = tx.execute(_on_offer, {"market": market, "price": price, "now": clock.now()}).one()
    allocated = min(volume, int(row.supply))
    return wire.Preview(
        market,
        log.read_head(tx, LANE).last_seq,
        allocated=allocated,
        remaining=volume - allocated,
        best_supply_price=row.best_price,
        volume_ahead=int(row.ahead),
    )


def _candles() -> sa.Select[Any]:
    # Integer division: instants are whole microseconds, so a bucket is the same on both engines.
    width = sa.bindparam("width", type_=sa.BigInteger)
    bucket = allocations.c.allocated_at // width * width
    forward = [allocations.c.seq, allocations.c.position]
    backward = [column.desc() for column in forward]
    trades = (
        sa.select(
            bucket.label("bucket"),
            allocations.c.price,
            allocations.c.volume,
            sa.func.row_number().over(partition_by=bucket, order_by=forward).label("nth"),
            sa.func.row_number().over(partition_by=bucket, order_by=backward).label("nth_last"),
        )
        .where(allocations.c.market == _market)
        .where(allocations.c.allocated_at >= sa.bindparam("since"), allocations.c.allocated_at < sa.bindparam("until"))
        .subquery("trades")
    )
    return (
        sa.select(
            trades.c.bucket,
            sa.func.max(sa.case((trades.c.nth == 1, trades.c.price))),
            sa.func.max(trades.c.price),
            sa.func.min(trades.c.price),
            sa.func.max(sa.case((trades.c.nth_last == 1, trades.c.price))),
            sa.func.sum(trades.c.volume),
        )
        .group_by(trades.c.bucket)
        .order_by(trades.c.bucket)
    )


_read_candles = _candles()


def read_candles(
    tx: sa.Connection,
    market: str,
    *,
    interval: wire.Interval,
    since: Instant | None,
    until: Instant | None,
    limit: int,
) -> list[wire.Candle]:
    """Return the candles of at most `limit` intervals up to `until` (now), oldest first; none where nothing traded.

    The first one is that of the interval in which `since` lies, whole.
    """
    find_market(tx, market)
    width = INTERVALS[interval]
    end = clock.now() + 1 if until is None else until
    first_possible = (end - 1) // width * width - (limit - 1) * width
    begin = first_possible if since is None else max(since // width * width, first_possible)
    rows: Iterable[Any] = tx.execute(_read_candles, {"market": market, "width": width, "since": begin, "until": end})
    return [
        wire.Candle(clock.to_datetime(bucket), first, high, low, last, int(volume))
        for bucket, first, high, low, last, volume in rows
    ]
