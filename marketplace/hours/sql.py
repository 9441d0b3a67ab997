"""Every statement by which the hours market decides: what a batch reads, and what it writes.

Each runs over all rows of a batch at once (`bulk`). Reads that decide something lock their rows, though the lane's turn
already keeps other writers out: whoever writes beside the lane waits, and cannot be overwritten unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from msgspec.structs import astuple
from sqlalchemy.dialects import postgresql, sqlite

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

is_live_bid = sa.and_(bids.c.state == "open", sa.or_(bids.c.expires_at.is_(None), bids.c.expires_at > _now))
is_open_supply = supplies.c.state == "open"

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


def _lock_by_id(table: sa.Table, id_name: str, columns: Sequence[sa.Column[Any]]) -> bulk.Bulk:
    def build(rows: sa.FromClause) -> sa.Executable:
        is_asked = sa.and_(table.c.market == rows.c.market, table.c[id_name] == rows.c.id)
        return sa.select(*columns).select_from(rows).join(table, is_asked).with_for_update(of=table)

    return bulk.Bulk({"market": sa.Text(), "id": sa.BigInteger()}, build)


_lock_bids_by_id = _lock_by_id(bids, "bid_id", BID_COLUMNS)
_lock_supplies_by_id = _lock_by_id(supplies, "supply_id", SUPPLY_COLUMNS)
_read_markets = bulk.Bulk(
    {"market": sa.Text()},
    lambda rows: sa.select(*MARKET_COLUMNS).select_from(rows).join(markets, markets.c.market == rows.c.market),
)


def records(kind: type[Record], rows: Iterable[Any]) -> list[Record]:
    """Make structs of rows whose columns are the struct's fields, in order."""
    return [kind(*row) for row in rows]


def read_markets(tx: sa.Connection, names: Iterable[str]) -> list[Market]:
    """Return those of the named markets that exist."""
    return records(Market, _read_markets.fetch(tx, [(name,) for name in names]))


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
    return records(Bid, _lock_bids_by_id.fetch(tx, sorted(ids)))


def lock_supplies(tx: sa.Connection, ids: Iterable[tuple[str, int]]) -> list[Supply]:
    """Lock and return supplies by (market, supply_id), whatever their state."""
    return records(Supply, _lock_supplies_by_id.fetch(tx, sorted(ids)))


def sum_open_supply(tx: sa.Connection, market: str, *, price: int) -> int:
    """Return the hours on offer to a bid of this price."""
    return int(tx.execute(_sum_open_supply, {"market": market, "price": price}).scalar_one())


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_insert_bids = bulk.insert_into(bids, *Bid.__struct_fields__)
_insert_supplies = bulk.insert_into(supplies, *Supply.__struct_fields__)
_insert_allocations = bulk.insert_into(allocations, *Allocation.__struct_fields__)


def _update(table: sa.Table, id_name: str, *names: str) -> bulk.Bulk:
    """Build the update of rows found by market and id, given with the named columns after those two."""

    def build(rows: sa.FromClause) -> sa.Executable:
        is_meant = sa.and_(table.c.market == rows.c.market, table.c[id_name] == rows.c[id_name])
        return sa.update(table).where(is_meant).values({name: rows.c[name] for name in names})

    return bulk.Bulk({name: table.c[name].type for name in ("market", id_name, *names)}, build)


_BID_CHANGES = ("seq", "volume", "remaining", "price", "state")
_update_bids = _update(bids, "bid_id", *_BID_CHANGES)
_update_supplies = _update(supplies, "supply_id", "remaining", "state")


def _add_totals(insert: Callable[[sa.Table], Any]) -> bulk.Builder:
    def build(rows: sa.FromClause) -> sa.Executable:
        names = ("market", "username", "volume")
        # The WHERE lets SQLite tell the upsert's ON from a join's.
        statement = insert(allocated_totals).from_select(
            names, sa.select(*(rows.c[name] for name in names)).where(sa.true())
        )
        added = allocated_totals.c.volume + statement.excluded.volume
        upsert: sa.Executable = statement.on_conflict_do_update(
            index_elements=["market", "username"], set_={"volume": added}
        )
        return upsert

    return build


_TOTAL_COLUMNS = {name: allocated_totals.c[name].type for name in ("market", "username", "volume")}
# The same statement; only its builder belongs to a dialect.
_add_totals_on = {
    "postgresql": bulk.Bulk(_TOTAL_COLUMNS, _add_totals(postgresql.insert)),
    "sqlite": bulk.Bulk(_TOTAL_COLUMNS, _add_totals(sqlite.insert)),
}
_insert_market = sa.insert(markets)
_update_market = (
    sa.update(markets).where(markets.c.market == sa.bindparam("name")).values(state=sa.bindparam("new_state"))
)


def insert_bids(tx: sa.Connection, new: Iterable[Bid]) -> None:
    _insert_bids.execute(tx, [astuple(bid) for bid in new])


def update_bids(tx: sa.Connection, changed: Iterable[Bid]) -> None:
    _update_bids.execute(
        tx, [(bid.market, bid.bid_id, bid.seq, bid.volume, bid.remaining, bid.price, bid.state) for bid in changed]
    )


def insert_supplies(tx: sa.Connection, new: Iterable[Supply]) -> None:
    _insert_supplies.execute(tx, [astuple(supply) for supply in new])


def update_supplies(tx: sa.Connection, changed: Iterable[Supply]) -> None:
    _update_supplies.execute(
        tx, [(supply.market, supply.supply_id, supply.remaining, supply.state) for supply in changed]
    )


def insert_allocations(tx: sa.Connection, new: Sequence[Allocation]) -> None:
    """Add allocations, and their volumes to the users' totals."""
    _insert_allocations.execute(tx, [astuple(allocation) for allocation in new])
    totals: dict[tuple[str, str], int] = {}
    for each in new:
        totals[each.market, each.username] = totals.get((each.market, each.username), 0) + each.volume
    rows = [(market, username, volume) for (market, username), volume in sorted(totals.items())]
    _add_totals_on[tx.dialect.name].execute(tx, rows)


def insert_market(tx: sa.Connection, market: Market) -> None:
    tx.execute(_insert_market, {"market": market.market, "state": market.state, "created_at": market.created_at})


def update_market(tx: sa.Connection, market: Market) -> None:
    tx.execute(_update_market, {"name": market.market, "new_state": market.state})
