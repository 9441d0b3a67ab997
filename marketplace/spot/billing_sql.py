"""The statements of the settlement: which leases are due, and how they stand after it; and those of closed lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import Instant
from marketplace.spot.charging import Tab
from marketplace.spot.metering import Line
from marketplace.spot.records import LineRecord
from marketplace.spot.tables import lease_lines, leases, spot_bids, spot_prices


class Due(msgspec.Struct, frozen=True):
    """A running lease with what is known of its bid and its stop."""

    tab: Tab
    username: str
    bid_id: int
    stop_at: Instant | None
    held_micros: int
    budget_left_micros: int | None


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
        sa.func.coalesce(spot_bids.c.held_micros, 0).label("held_micros"),
        (spot_bids.c.budget_micros - spot_bids.c.charged_micros).label("budget_left_micros"),
    )
    .join(spot_bids, sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id))
    .order_by(leases.c.settle_at, leases.c.username, leases.c.lease_id)
    .limit(_limit)
)
_find_due = _due.where(leases.c.settle_at <= _now)
_find_others = _due.where(leases.c.settle_at > _now, leases.c.username == sa.bindparam("username"))
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


def _per_hour() -> bulk.Bulk:
    """What the other running leases of members cost together; rounded, and no more than for a warning."""
    current = (
        sa.select(spot_prices.c.unit_price_micros_per_hour)
        .where(spot_prices.c.pool == leases.c.pool, spot_prices.c.to_at.is_(None))
        .scalar_subquery()
    )
    most = leases.c.max_price_micros_per_hour
    # Of other rules only they themselves know: at most it is the max price.
    exact = sa.cast(current, sa.Numeric) * leases.c.size / leases.c.parts
    each = sa.case((sa.and_(leases.c.pricing == "uniform", exact < most), exact), else_=most)

    def build(rows: sa.FromClause) -> Any:
        total = (
            sa.select(sa.func.coalesce(sa.func.sum(each), 0))
            .where(leases.c.username == rows.c.username, leases.c.settle_at > rows.c.now)
            .scalar_subquery()
        )
        return sa.select(rows.c.username, total.label("micros_per_hour"))

    return bulk.Bulk({"username": sa.Text(), "now": sa.BigInteger()}, build)


_find_per_hour = _per_hour()


def read_per_hour(tx: sa.Connection, usernames: Iterable[str], *, now: Instant) -> dict[str, int]:
    """Return what those leases of members cost an hour that are not due now, at the present prices, about."""
    asked = [{"username": one, "now": now} for one in usernames]
    return {row.username: int(row.micros_per_hour) for row in _find_per_hour.fetch(tx, asked)}


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

_METERED = (
    "metered_until",
    "charged_micros",
    "remainder",
    "paid_micros",
    "line_from_at",
    "line_unit_price_micros",
    "line_charged_micros",
    "settle_at",
    "is_low",
)


def _change(table: sa.Table, keys: Sequence[str], names: Sequence[str]) -> bulk.Bulk:
    """Build an update of some columns of rows by their key."""

    def build(rows: sa.FromClause) -> Any:
        values = {name: rows.c[name] for name in names}
        return sa.update(table).values(values).where(*(table.c[key] == rows.c[key] for key in keys))

    return bulk.Bulk({name: table.c[name].type for name in (*keys, *names)}, build)


_set_metered = _change(leases, ("pool", "lease_id"), _METERED)


def set_metered(tabs: Sequence[Tab]) -> bulk.Write:
    """Write how leases stand that go on. Nothing is stamped: where they run is as it was."""
    return _set_metered, tabs


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
