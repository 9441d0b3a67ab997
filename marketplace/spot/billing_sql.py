"""The statements of the settlement: which leases are due, and how they stand after it; and those of closed lines."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import Instant
from marketplace.spot.charging import Tab
from marketplace.spot.metering import Line
from marketplace.spot.records import LineRecord
from marketplace.spot.tables import lease_lines, leases, nodes, spot_bids, spot_prices


class Due(msgspec.Struct, frozen=True):
    """A running lease with what is known of its bid and its stop."""

    tab: Tab
    username: str
    bid_id: int
    stop_at: Instant | None
    heartbeat_at: Instant | None
    """Its node's; None before the first."""
    held_micros: int
    budget_left_micros: int | None


class Metered(msgspec.Struct, frozen=True):
    """What a settlement changes of a lease."""

    lease_id: int
    metered_until: Instant | None
    charged_micros: int
    remainder: int
    paid_micros: int
    line_from_at: Instant | None
    line_unit_price_micros: int | None
    line_charged_micros: int
    settle_at: Instant | None
    is_low: int


# ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TAB_COLUMNS: list[sa.Column[Any]] = [leases.c[name] for name in Tab.__struct_fields__]
_limit = sa.bindparam("limit", type_=sa.Integer)
_now = sa.bindparam("now", type_=sa.BigInteger)
_due = (
    sa.select(
        *TAB_COLUMNS,
        leases.c.username,
        leases.c.bid_id,
        leases.c.stop_at,
        nodes.c.heartbeat_at,
        sa.func.coalesce(spot_bids.c.held_micros, 0).label("held_micros"),
        (spot_bids.c.budget_micros - spot_bids.c.charged_micros).label("budget_left_micros"),
    )
    .join(spot_bids, sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id))
    .join(nodes, sa.and_(nodes.c.pool == leases.c.pool, nodes.c.node == leases.c.node))
    .limit(_limit)
)
_find_due = _due.where(leases.c.settle_at <= _now).order_by(leases.c.settle_at, leases.c.username, leases.c.lease_id)
_find_others = _due.where(leases.c.settle_at > _now, leases.c.username == sa.bindparam("username")).order_by(
    leases.c.username, leases.c.lease_id
)
MOST_OTHERS = 1_000
"""Leases of a member without money that are settled early, to see which of all has to stop first."""


def read_due(tx: sa.Connection, *, now: Instant, limit: int) -> list[Due]:
    """Return running leases whose time to be charged has come, the longest overdue first, a member's together."""
    return [_due_lease(row) for row in tx.execute(_find_due, {"now": now, "limit": limit})]


def read_others(tx: sa.Connection, username: str, *, now: Instant) -> list[Due]:
    """Return the running leases of a member that are not due yet, at most MOST_OTHERS."""
    given = {"now": now, "username": username, "limit": MOST_OTHERS}
    return [_due_lease(row) for row in tx.execute(_find_others, given)]


def _due_lease(row: Any) -> Due:
    width = len(TAB_COLUMNS)
    return Due(Tab(*row[:width]), *row[width:])


def _of_running(each: sa.ColumnElement[Any]) -> bulk.Bulk:
    """The sum of something over all running leases of each of some members."""

    def build(rows: sa.FromClause) -> Any:
        total = (
            sa.select(sa.func.coalesce(sa.func.sum(each), 0))
            .where(leases.c.username == rows.c.username, leases.c.settle_at.is_not(None))
            .scalar_subquery()
        )
        return sa.select(rows.c.username, total.label("micros_per_hour"))

    return bulk.Bulk({"username": sa.Text()}, build)


def _price_now() -> sa.ColumnElement[Any]:
    """What a lease costs an hour; as doubles or decimals, and no more than for a warning."""
    unit_price = (
        sa.select(spot_prices.c.unit_price_micros_per_hour)
        .where(spot_prices.c.pool == leases.c.pool, spot_prices.c.to_at.is_(None))
        .scalar_subquery()
    )
    most = leases.c.max_price_micros_per_hour
    price = sa.cast(unit_price, sa.Numeric) * leases.c.size / leases.c.parts
    # What another rule asks is known to itself alone: at most the max price.
    return sa.case((sa.and_(leases.c.pricing == "uniform", price < most), price), else_=most)


_find_most = _of_running(leases.c.max_price_micros_per_hour)
_find_per_hour = _of_running(_price_now())


def read_most_per_hour(tx: sa.Connection, usernames: Iterable[str]) -> dict[str, int]:
    """Return what all running leases of members cost an hour at most. Cheap."""
    found = _find_most.fetch(tx, [{"username": one} for one in usernames])
    return {row.username: int(row.micros_per_hour) for row in found}


def read_per_hour(tx: sa.Connection, usernames: Iterable[str]) -> dict[str, int]:
    """Return what all running leases of members cost an hour at the present prices, about."""
    found = _find_per_hour.fetch(tx, [{"username": one} for one in usernames])
    return {row.username: int(row.micros_per_hour) for row in found}


_find_lines = (
    sa.select(
        lease_lines.c.from_at,
        lease_lines.c.to_at,
        lease_lines.c.unit_price_micros_per_hour,
        lease_lines.c.charged_micros,
    )
    .where(lease_lines.c.pool == sa.bindparam("pool"), lease_lines.c.lease_id == sa.bindparam("lease_id"))
    .where(lease_lines.c.to_at > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(lease_lines.c.from_at)
)


def read_lines(tx: sa.Connection, pool: str, lease_id: int, *, after: Instant) -> list[Line]:
    """Return the closed lines of a lease that end after an instant, in order."""
    given = {"pool": pool, "lease_id": lease_id, "after": after}
    return [Line(*row) for row in tx.execute(_find_lines, given)]


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_METERED = Metered.__struct_fields__
_take_metered = operator.attrgetter(*_METERED)


def _change_metered() -> bulk.Bulk:
    # Alone the columns that change: on Postgres it is the reading of the rows that costs most.
    def build(rows: sa.FromClause) -> Any:
        values = {name: rows.c[name] for name in _METERED if name != "lease_id"}
        return sa.update(leases).values(values).where(leases.c.lease_id == rows.c.lease_id)

    return bulk.Bulk({name: leases.c[name].type for name in _METERED}, build)


_set_metered = _change_metered()


def set_metered(tabs: Iterable[Tab]) -> bulk.Write:
    """Write how leases stand that go on. Nothing is stamped: where they run is as it was."""
    return _set_metered, [Metered(*_take_metered(tab)) for tab in tabs]


def _delete() -> bulk.Bulk:
    keys = [*lease_lines.primary_key]

    def build(rows: sa.FromClause) -> Any:
        gone = sa.select(*(rows.c[key.name] for key in keys))
        return sa.delete(lease_lines).where(sa.tuple_(*keys).in_(gone))

    return bulk.Bulk({key.name: key.type for key in keys}, build)


_delete_lines = _delete()


def delete_lines(rows: Sequence[LineRecord]) -> bulk.Write:
    """Take back lines that were closed."""
    return _delete_lines, rows
