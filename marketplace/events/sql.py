"""Every SQL statement by which the lanes' logs are read and followed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.database.log import commits, events
from marketplace.events.model import Wanted
from marketplace.events.tables import consumers
from marketplace.foundation.clock import Instant

_lane, _after = sa.bindparam("of_lane", type_=sa.Text), sa.bindparam("after", type_=sa.BigInteger)
_until, _limit = sa.bindparam("until", type_=sa.BigInteger), sa.bindparam("at_most", type_=sa.Integer)

_select_events = (
    sa.select(*events.c)
    .where(events.c.lane == _lane, events.c.seq > _after, events.c.seq <= _until)
    .order_by(events.c.seq)
    .limit(_limit)
)


def is_wanted(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """Say in SQL what `Wanted.has` says."""
    conditions: list[sa.ColumnElement[bool]] = []
    if not wanted.sees_all:
        is_public = events.c.kind.in_(sorted(wanted.public))
        conditions.append(is_public if wanted.member is None else sa.or_(events.c.member == wanted.member, is_public))
    if wanted.topics:
        conditions.append(events.c.topic.in_(sorted(wanted.topics)))
    if wanted.kinds:
        conditions.append(events.c.kind.in_(sorted(wanted.kinds)))
    if (subject := wanted.subject) is not None:
        # Not LIKE, to which a subject's own characters may mean something.
        below = sa.func.substr(events.c.subject, 1, len(subject) + 1) == f"{subject}/"
        conditions.append(sa.or_(events.c.subject == subject, below))
    return conditions


def select_events(
    tx: sa.Connection, lane: str, wanted: Wanted, *, after: int, until: int, limit: int
) -> Sequence[sa.Row[Any]]:
    """Return the wanted entries of a lane after a seq and up to another, oldest first."""
    query = _select_events.where(*is_wanted(wanted))
    return tx.execute(query, {"of_lane": lane, "after": after, "until": until, "at_most": limit}).fetchall()


_marks = (
    sa.select(events.c.seq, events.c.topic, events.c.kind, events.c.subject, events.c.member)
    .where(events.c.lane == _lane, events.c.seq > _after)
    .order_by(events.c.seq)
    .limit(_limit)
)


def select_marks(tx: sa.Connection, lane: str, *, after: int, limit: int) -> Sequence[Any]:
    """Return what the entries of a lane after a seq are about, oldest first."""
    return tx.execute(_marks, {"of_lane": lane, "after": after, "at_most": limit}).fetchall()


_last_seq = (
    sa.select(commits.c.last_seq)
    .where(commits.c.lane == _lane)
    .order_by(commits.c.last_seq.desc(), commits.c.at.desc(), commits.c.token.desc())
    .limit(1)
)
_first_seq = sa.select(events.c.seq).where(events.c.lane == _lane).order_by(events.c.seq).limit(1)
_select_bounds = sa.select(
    sa.func.coalesce(_first_seq.scalar_subquery(), 1), sa.func.coalesce(_last_seq.scalar_subquery(), 0)
)


def read_bounds(tx: sa.Connection, lane: str) -> tuple[int, int]:
    """Return the first seq that is kept and the last one, 1 and 0 where there is none."""
    first, last = tx.execute(_select_bounds, {"of_lane": lane}).one()
    return int(first), int(last)


_last_older = sa.select(sa.func.max(events.c.seq)).where(
    events.c.lane == _lane,
    events.c.seq > _after,
    events.c.seq <= _until,
    events.c.at < sa.bindparam("before", type_=sa.BigInteger),
)


def read_last_older(tx: sa.Connection, lane: str, *, after: int, until: int, before: Instant) -> int | None:
    """Return the last seq between two whose entry is older than an instant."""
    bound = {"of_lane": lane, "after": after, "until": until, "before": before}
    found: int | None = tx.execute(_last_older, bound).scalar_one()
    return found


_next_at = sa.select(events.c.at).where(events.c.lane == _lane, events.c.seq > _after).order_by(events.c.seq).limit(1)


def read_next_at(tx: sa.Connection, lane: str, *, after: int) -> Instant | None:
    """Return when the first entry after a seq was written."""
    found: Instant | None = tx.execute(_next_at, {"of_lane": lane, "after": after}).scalar()
    return found


# ── consumers ────────────────────────────────────────────────────────────────────────────────────────────────────────

Followed = tuple[str, str]
"""A consumer and a lane."""

_find_consumers = bulk.find_in(consumers, {"consumer": "consumer", "lane": "lane"}, list(consumers.c))
_put_consumers = bulk.put_into(consumers, *consumers.c.keys(), changing=["seq", "moved_at"])
_all_consumers = sa.select(consumers).order_by(consumers.c.consumer, consumers.c.lane)
_slowest = sa.select(sa.func.min(consumers.c.seq)).where(consumers.c.lane == _lane)


def read_cursors(tx: sa.Connection, asked: Iterable[Followed]) -> dict[Followed, int]:
    """Return how far consumers have come, those that have begun."""
    given = [{"consumer": consumer, "lane": lane} for consumer, lane in sorted(asked)]
    return {(row.consumer, row.lane): row.seq for row in _find_consumers.fetch(tx, given)}


def read_all_cursors(tx: sa.Connection) -> dict[Followed, int]:
    """Return how far every consumer has come; there are few."""
    return {(row.consumer, row.lane): row.seq for row in tx.execute(_all_consumers)}


def put_cursors(moved: Mapping[Followed, int], *, now: Instant) -> bulk.Write:
    return _put_consumers, [
        {"consumer": consumer, "lane": lane, "seq": seq, "moved_at": now} for (consumer, lane), seq in moved.items()
    ]


def read_slowest(tx: sa.Connection, lane: str) -> int | None:
    """Return the seq up to which every consumer of a lane has come; None without any."""
    found: int | None = tx.execute(_slowest, {"of_lane": lane}).scalar_one()
    return found
