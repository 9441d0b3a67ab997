"""What all leases that have ended amount to, kept up by reading those that are new: the same in every process.

A lease that has ended does not change any more. So what was added up once stays, and the next time only leases that
came later are read, and of the earlier ones those that were still open. The first time all are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import SECOND, Instant
from marketplace.spot.tables import leases

START_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
"""Bounds of the histogram of starts."""
PARTS_OF_A_UNIT = 1_000
"""Evicted units are added up in thousandths, each lease's rounded down."""

Key = tuple[str, str]
"""A pool, and the cause of an end."""


class Totals(msgspec.Struct):
    """Of the leases of a pool that ended for one cause. Starts are those that took at most START_SECONDS, and all."""

    leases: int = 0
    milliunits: int = 0
    ran: int = 0
    """Microseconds that are billed."""
    charged_micros: int = 0
    start_took: int = 0
    """Microseconds from the decision to start them to their running, all together."""
    starts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(START_SECONDS) + 1))

    def add(self, row: Any) -> None:
        _, _, self_leases, milliunits, ran, charged, took, *starts = row
        self.leases += int(self_leases)
        self.milliunits += int(milliunits)
        self.ran += int(ran)
        self.charged_micros += int(charged)
        self.start_took += int(took)
        self.starts = [before + int(more) for before, more in zip(self.starts, starts, strict=True)]


_took = leases.c.started_at - leases.c.start_at


def _summed(*where: Any, source: Any = leases) -> sa.Select[Any]:
    def total(value: Any) -> Any:
        return sa.func.coalesce(sa.func.sum(value), 0)

    def quick(seconds: float) -> Any:
        return total(sa.case((_took <= round(seconds * SECOND), 1), else_=0))

    return (
        sa.select(
            leases.c.pool,
            leases.c.cause,
            sa.func.count(),
            total(leases.c.size * PARTS_OF_A_UNIT // leases.c.parts),
            total(leases.c.ended_at - leases.c.started_at),
            total(leases.c.charged_micros),
            total(_took),
            *map(quick, START_SECONDS),
            total(sa.case((leases.c.started_at.is_not(None), 1), else_=0)),
        )
        .select_from(source)
        .where(leases.c.state == "ended", *where)
        .group_by(leases.c.pool, leases.c.cause)
    )


_after, _upto = sa.bindparam("after", type_=sa.BigInteger), sa.bindparam("upto", type_=sa.BigInteger)
_newest = sa.select(sa.func.coalesce(sa.func.max(leases.c.lease_id), 0))
_sum_new = _summed(leases.c.lease_id > _after, leases.c.lease_id <= _upto)
_sum_these = bulk.Bulk(
    {"lease_id": sa.BigInteger()},
    lambda given: _summed(source=given.join(leases, leases.c.lease_id == given.c.lease_id)),
)
_list_open = sa.select(leases.c.lease_id).where(leases.c.state != "ended", leases.c.lease_id <= _upto)
_now = sa.bindparam("now", type_=sa.BigInteger)
_due_at = sa.case(
    (leases.c.state == "starting", sa.func.coalesce(leases.c.try_at, leases.c.start_at)),
    else_=leases.c.stop_at,
)
_lags = (
    sa.select(
        leases.c.pool,
        sa.func.max(sa.case((_due_at < _now, _now - _due_at), else_=0)),
        sa.func.coalesce(sa.func.sum(leases.c.metered_until - leases.c.started_at), 0),
        sa.func.coalesce(sa.func.sum(leases.c.charged_micros), 0),
    )
    .where(leases.c.state != "ended")
    .group_by(leases.c.pool)
)


class Open(msgspec.Struct, frozen=True):
    """Of the open leases of a pool: by how much the one is late that should have started or ended long ago, and what
    is billed of them so far. All in microseconds and micro-credits.
    """

    pool: str
    lag: int
    ran: int
    charged_micros: int


class Tally:
    """One process's."""

    def __init__(self) -> None:
        self.totals: dict[Key, Totals] = {}
        self._upto = 0
        self._open: set[int] = set()
        """Leases up to there that had not ended."""

    def catch_up(self, tx: sa.Connection) -> None:
        """Add what has ended since the last time, in a snapshot."""
        upto = int(tx.scalar(_newest) or 0)
        still_open = {row.lease_id for row in tx.execute(_list_open, {"upto": upto})}
        ended = [{"lease_id": one} for one in sorted(self._open - still_open)]
        new: Iterable[Any] = tx.execute(_sum_new, {"after": self._upto, "upto": upto})
        for row in [*_sum_these.fetch(tx, ended), *new]:
            self.totals.setdefault((row[0], row[1] or ""), Totals()).add(row)
        self._upto, self._open = upto, still_open

    def by_pool(self) -> dict[str, Totals]:
        """Return the totals of each pool, whatever the causes."""
        found: dict[str, Totals] = {}
        for (pool, cause), one in self.totals.items():
            row = (pool, cause, one.leases, one.milliunits, one.ran, one.charged_micros, one.start_took, *one.starts)
            found.setdefault(pool, Totals()).add(row)
        return found

    def evicted_milliunits(self) -> Counter[str]:
        """Return by pool the units that somebody who pays more has displaced, in thousandths."""
        return Counter({pool: one.milliunits for (pool, cause), one in self.totals.items() if cause == "evicted"})


def read_open(tx: sa.Connection, *, now: Instant) -> list[Open]:
    """A single statement."""
    rows: Iterable[Any] = tx.execute(_lags, {"now": now})
    return [Open(row[0], int(row[1]), int(row[2]), int(row[3])) for row in rows]
