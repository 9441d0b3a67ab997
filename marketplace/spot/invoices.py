"""What members are billed: functions of a read-only `tx`, run by `database.read`.

A lease's bill is its lines, which add up to its charge. Each line lies within one day (UTC), so that what a member is
billed for a month is the sum of the lines that begin in it, exactly.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.spot import errors
from marketplace.spot.metering import Line
from marketplace.spot.tables import lease_lines, leases, spot_bids


class Month(NamedTuple):
    """From one instant up to another, without it."""

    from_at: Instant
    to_at: Instant

    @classmethod
    def of(cls, year: int, month: int) -> Month:
        """Return a month of the calendar, in UTC. Raises ValueError where there is no such month."""
        begin = datetime(year, month, 1, tzinfo=UTC)
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return cls(clock.from_datetime(begin), clock.from_datetime(end))


class LeaseBill(msgspec.Struct, frozen=True, kw_only=True):
    """A lease's bill, and a page of its lines, the oldest first. What it cost is known up to `charged_until`.

    `paid_micros` is what of it has left the wallet: for a lease that runs, the rest is taken soon; for one that has
    ended, the rest stays unpaid.
    """

    lease_id: int
    bid_id: int
    pool: str
    username: str
    cpu_millis: int
    memory_mib: int
    max_price_micros: int
    started_at: Instant
    ended_at: Instant | None
    charged_until: Instant
    charged_micros: int
    paid_micros: int
    lines: list[Line]


class MonthlyLine(msgspec.Struct, frozen=True):
    """What a lease has cost in a month: the time that it ran, in microseconds, and the sum of its lines."""

    lease_id: int
    bid_id: int
    pool: str
    started_at: Instant
    ended_at: Instant | None
    ran: int
    charged_micros: int


class MonthlySum(msgspec.Struct, frozen=True):
    leases: int
    ran: int
    charged_micros: int


# ── a lease ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_lease_id, _limit = sa.bindparam("lease_id", type_=sa.BigInteger), sa.bindparam("limit", type_=sa.Integer)
_find_lease = (
    sa.select(leases, spot_bids.c.cpu_millis, spot_bids.c.memory_mib)
    .join(spot_bids, sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id))
    .where(leases.c.lease_id == _lease_id)
)
_list_lines = (
    sa.select(
        lease_lines.c.from_at,
        lease_lines.c.to_at,
        lease_lines.c.unit_price_micros_per_hour,
        lease_lines.c.charged_micros,
    )
    .where(lease_lines.c.pool == sa.bindparam("pool"), lease_lines.c.lease_id == _lease_id)
    .where(lease_lines.c.from_at > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(lease_lines.c.from_at)
    .limit(_limit)
)
_BEFORE_ALL = -1


def lease_bill(tx: sa.Connection, lease_id: int, *, after: Instant | None, limit: int) -> LeaseBill:
    """Return a lease's bill with the lines that begin later than `after`. Raises UnknownLease, also where it never ran.

    Two statements: run it by `database.read`.
    """
    row = tx.execute(_find_lease, {"lease_id": lease_id}).first()
    if row is None or row.started_at is None:
        raise errors.UnknownLease(lease_id)
    after = _BEFORE_ALL if after is None else after
    given = {"pool": row.pool, "lease_id": lease_id, "after": after, "limit": limit}
    lines = [Line(*each) for each in tx.execute(_list_lines, given)]
    if len(lines) < limit and after < row.line_from_at < row.metered_until:
        lines.append(Line(row.line_from_at, row.metered_until, row.line_unit_price_micros, row.line_charged_micros))
    return LeaseBill(
        lease_id=row.lease_id,
        bid_id=row.bid_id,
        pool=row.pool,
        username=row.username,
        cpu_millis=row.cpu_millis,
        memory_mib=row.memory_mib,
        max_price_micros=row.max_price_micros_per_hour,
        started_at=row.started_at,
        ended_at=row.ended_at,
        charged_until=row.metered_until,
        charged_micros=row.charged_micros,
        paid_micros=row.paid_micros,
        lines=lines,
    )


# ── a member's month ─────────────────────────────────────────────────────────────────────────────────────────────────


def _monthly() -> sa.Subquery:
    """Each lease of a member that ran in a month, with the time and the charge of its lines that begin in it."""
    from_at, to_at = (sa.bindparam(name, type_=sa.BigInteger) for name in ("from_at", "to_at"))

    def of_lines(value: Any) -> Any:
        return (
            sa.select(sa.func.coalesce(sa.func.sum(value), 0))
            .where(lease_lines.c.pool == leases.c.pool, lease_lines.c.lease_id == leases.c.lease_id)
            .where(lease_lines.c.from_at >= from_at, lease_lines.c.from_at < to_at)
            .scalar_subquery()
        )

    def of_last(value: Any) -> Any:
        is_in = sa.and_(leases.c.line_from_at >= from_at, leases.c.line_from_at < to_at)
        return sa.case((is_in, value), else_=0)

    ran = of_lines(lease_lines.c.to_at - lease_lines.c.from_at) + of_last(
        leases.c.metered_until - leases.c.line_from_at
    )
    charged = of_lines(lease_lines.c.charged_micros) + of_last(leases.c.line_charged_micros)
    return (
        sa.select(
            leases.c.lease_id,
            leases.c.bid_id,
            leases.c.pool,
            leases.c.started_at,
            leases.c.ended_at,
            ran.label("ran"),
            charged.label("charged_micros"),
        )
        .where(leases.c.username == sa.bindparam("username"))
        .where(leases.c.started_at < to_at, leases.c.metered_until > from_at)
        .where(leases.c.metered_until > leases.c.started_at)
        .subquery("monthly")
    )


_month = _monthly()
_list_month = (
    sa.select(*_month.c)
    .where(_month.c.lease_id > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(_month.c.lease_id)
    .limit(_limit)
)
_sum_month = sa.select(
    sa.func.count(),
    sa.func.coalesce(sa.func.sum(_month.c.ran), 0),
    sa.func.coalesce(sa.func.sum(_month.c.charged_micros), 0),
)


def monthly_bill(tx: sa.Connection, username: str, month: Month, *, after: int | None, limit: int) -> list[MonthlyLine]:
    """Return what each lease of a member has cost in a month, by the leases' ids. A single statement."""
    rows = tx.execute(_list_month, {"username": username, **month._asdict(), "after": after or 0, "limit": limit})
    return [_monthly_line(row) for row in rows]


def _monthly_line(row: Any) -> MonthlyLine:
    # Sums of Postgres are no integers of Python.
    ran, charged = int(row.ran), int(row.charged_micros)
    return MonthlyLine(row.lease_id, row.bid_id, row.pool, row.started_at, row.ended_at, ran, charged)


def monthly_sum(tx: sa.Connection, username: str, month: Month) -> MonthlySum:
    """Return what all of it amounts to. A single statement."""
    return MonthlySum(*map(int, tx.execute(_sum_month, {"username": username, **month._asdict()}).one()))
