"""Every statement by which the hours market decides: what a batch reads, and what it writes.

Each runs over all rows of a batch at once (`bulk`). Reads that decide something lock their rows, though the lane's turn
already keeps other writers out: whoever writes beside the lane waits, and cannot be overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import Instant
from marketplace.hours.model import Allocation, Bid, Market, Supply
from marketplace.hours.tables import allocated_totals, allocations, bids, markets, supplies

BID_COLUMNS = [bids.c[name] for name in Bid.__struct_fields__]
SUPPLY_COLUMNS = [supplies.c[name] for name in Supply.__struct_fields__]
MARKET_COLUMNS = [markets.c[name] for name in Market.__struct_fields__]

Record = TypeVar("Record", Bid, Supply, Market, Allocation)

Rank = tuple[int, int]
"""Bids: (-price, seq). Supplies: (min_price, supply_id). The smaller is served first."""

BEFORE_ALL: Rank = (-(2**62), 0)

# ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_market, _limit = sa.bindparam("market", type_=sa.Text), sa.bindparam("limit", type_=sa.Integer)
_now = sa.bindparam("now", type_=sa.BigInteger)
_rank_price, _rank_seq = sa.bindparam("rank_price", type_=sa.BigInteger), sa.bindparam("rank_seq", type_=sa.BigInteger)

# Written into the statement and not sent as a parameter: a prepared statement's generic plan may use the index on open
# rows only if the statement itself says that it wants no others.
_open: sa.ColumnElement[str] = sa.literal_column("'open'")
is_open_bid = bids.c.state == _open
is_open_supply = supplies.c.state == _open
is_live_bid = sa.and_(is_open_bid, sa.or_(bids.c.expires_at.is_(None), bids.c.expires_at > _now))

_lock_open_bids = (
    sa.select(*BID_COLUMNS)
    .where(bids.c.market == _market, is_live_bid)
    .order_by(bids.c.price.desc(), bids.c.seq)
    .limit(_limit)
    .with_for_update()
)
# Two statements and not one with OR: each is one range of the index, even where a price has a million bids.
_lock_bids_at_price = _lock_open_bids.where(bids.c.price == sa.bindparam("price"), bids.c.seq > _rank_seq)
_lock_bids_below_price = _lock_open_bids.where(bids.c.price < sa.bindparam("price"))
_lock_open_supplies = (
    sa.select(*SUPPLY_COLUMNS)
    .where(supplies.c.market == _market, is_open_supply)
    .where(sa.tuple_(supplies.c.min_price, supplies.c.supply_id) > sa.tuple_(_rank_price, _rank_seq))
    .order_by(supplies.c.min_price, supplies.c.supply_id)
    .limit(_limit)
    .with_for_update()
)
_sum_open_supply = sa.select(sa.func.coalesce(sa.func.sum(supplies.c.remaining), 0)).where(
    supplies.c.market == _market, is_open_supply, supplies.c.min_price <= sa.bindparam("price")
)


_lock_bids_by_id = bulk.find_in(bids, {"market": "market", "id": "bid_id"}, BID_COLUMNS, lock=True)
_lock_supplies_by_id = bulk.find_in(supplies, {"market": "market", "id": "supply_id"}, SUPPLY_COLUMNS, lock=True)
_find_markets = bulk.find_in(markets, {"market": "market"}, MARKET_COLUMNS)


def records(kind: type[Record], rows: Iterable[Any]) -> list[Record]:
    """Make structs of rows whose columns are the struct's fields, in order."""
    return [kind(*row) for row in rows]


def read_markets(tx: sa.Connection, names: Iterable[str]) -> list[Market]:
    """Return those of the named markets that exist."""
    return records(Market, _find_markets.fetch(tx, [{"market": name} for name in names]))


def lock_open_bids(tx: sa.Connection, market: str, *, after: Rank, limit: int, now: Instant) -> list[Bid]:
    """Lock and return the next live bids after a rank, best first."""
    bound = {"market": market, "price": -after[0], "rank_seq": after[1], "limit": limit, "now": now}
    found = records(Bid, tx.execute(_lock_bids_at_price, bound)) if after != BEFORE_ALL else []
    if len(found) < limit:
        bound |= {"limit": limit - len(found)}
        del bound["rank_seq"]
        found += records(Bid, tx.execute(_lock_bids_below_price, bound))
    return found


def lock_open_supplies(tx: sa.Connection, market: str, *, after: Rank, limit: int) -> list[Supply]:
    """Lock and return the next open supplies after a rank, cheapest first."""
    bound = {"market": market, "rank_price": after[0], "rank_seq": after[1], "limit": limit}
    return records(Supply, tx.execute(_lock_open_supplies, bound))


def lock_bids(tx: sa.Connection, ids: Iterable[tuple[str, int]]) -> list[Bid]:
    """Lock and return bids by (market, bid_id), whatever their state."""
    return records(Bid, _lock_bids_by_id.fetch(tx, _named(ids)))


def lock_supplies(tx: sa.Connection, ids: Iterable[tuple[str, int]]) -> list[Supply]:
    """Lock and return supplies by (market, supply_id), whatever their state."""
    return records(Supply, _lock_supplies_by_id.fetch(tx, _named(ids)))


def _named(ids: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"market": market, "id": number} for market, number in sorted(ids)]


def sum_open_supply(tx: sa.Connection, market: str, *, price: int) -> int:
    """Return the hours on offer to a bid of this price."""
    return int(tx.execute(_sum_open_supply, {"market": market, "price": price}).scalar_one())


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


_put_markets = bulk.put_into(markets, *Market.__struct_fields__, changing=["state"])
_put_bids = bulk.put_into(bids, *Bid.__struct_fields__, changing=["seq", "volume", "remaining", "price", "state"])
_put_supplies = bulk.put_into(supplies, *Supply.__struct_fields__, changing=["remaining", "state"])
_insert_allocations = bulk.insert_into(allocations, *Allocation.__struct_fields__)
_add_totals = bulk.put_into(allocated_totals, "market", "username", "volume", adding=["volume"])


def writes(
    markets_: Sequence[Market], bids_: Sequence[Bid], supplies_: Sequence[Supply], new: Sequence[Allocation]
) -> list[bulk.Write]:
    """Return the statements that write new and changed rows and new allocations, with their rows."""
    return [(_put_markets, markets_), (_put_bids, bids_), (_put_supplies, supplies_), (_insert_allocations, new)]


def add_to_totals(volumes: Mapping[tuple[str, str], int]) -> bulk.Write:
    """Return the statement that adds allocated volumes, by market and username, to the users' totals."""
    rows = [
        {"market": market, "username": username, "volume": volume} for (market, username), volume in volumes.items()
    ]
    return _add_totals, rows
