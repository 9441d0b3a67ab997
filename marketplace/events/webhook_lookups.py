"""What can be asked of webhooks and deliveries: functions of a read-only `tx`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from marketplace.database.log import events
from marketplace.events import errors, sql, webhook_sql
from marketplace.events.lookups import read_bounds, to_entry
from marketplace.events.model import LANES, Wanted
from marketplace.events.tables import deliveries, delivery_attempts, webhooks
from marketplace.events.webhook_model import (
    CONSUMER,
    MOST_REPLAYED,
    Attempt,
    Delivery,
    DeliveryState,
    Heads,
    Passing,
    Webhook,
)
from marketplace.foundation.clock import Instant

_PASSING = [events.c[name] for name in Passing.__struct_fields__]


# ── what members ask ─────────────────────────────────────────────────────────────────────────────────────────────────


def find_webhook(tx: sa.Connection, webhook_id: int, *, viewer: str | None) -> Webhook:
    """Return a webhook that a viewer may see; None sees all. Raises UnknownWebhook."""
    found = webhook_sql.read_webhooks(tx, [webhook_id]).get(webhook_id)
    if found is None or found.state == "deleted" or viewer not in (None, found.member):
        raise errors.UnknownWebhook(webhook_id)
    return found


def list_webhooks(tx: sa.Connection, *, member: str | None, after: int | None, limit: int) -> list[Webhook]:
    """Return webhooks by id, of one member or of all."""
    query = sa.select(*webhook_sql.WEBHOOK_COLUMNS).where(webhooks.c.state != "deleted")
    query = query.where(webhooks.c.webhook_id > (after or 0)).order_by(webhooks.c.webhook_id).limit(limit)
    if member is not None:
        query = query.where(webhooks.c.member == member)
    return [webhook_sql.to_webhook(row) for row in tx.execute(query)]


def list_deliveries(
    tx: sa.Connection,
    webhook_id: int,
    *,
    viewer: str | None,
    lane: str,
    state: DeliveryState | None,
    before: int | None,
    limit: int,
) -> tuple[list[Delivery], dict[int, list[Attempt]]]:
    """Return a webhook's deliveries of a lane, the newest entry first, and their attempts by seq.

    Raises UnknownWebhook.
    """
    find_webhook(tx, webhook_id, viewer=viewer)
    query = sa.select(*webhook_sql.DELIVERY_COLUMNS).where(
        deliveries.c.webhook_id == webhook_id, deliveries.c.lane == lane
    )
    query = query if before is None else query.where(deliveries.c.seq < before)
    query = query if state is None else query.where(deliveries.c.state == state)
    found = [Delivery(*row) for row in tx.execute(query.order_by(deliveries.c.seq.desc()).limit(limit))]
    attempts: dict[int, list[Attempt]] = {delivery.seq: [] for delivery in found}
    if found:
        made = delivery_attempts.c
        tried = (
            sa.select(*webhook_sql.ATTEMPT_COLUMNS)
            .where(made.webhook_id == webhook_id, made.lane == lane, made.seq.in_([each.seq for each in found]))
            .order_by(made.seq, made.attempt)
        )
        for row in tx.execute(tried):
            attempts[row.seq].append(Attempt(*row))
    return found, attempts


def read_heads(tx: sa.Connection) -> Heads:
    """Return each lane with its last seq."""
    return tuple((lane, head) for lane, (_, head) in read_bounds(tx, LANES).items())


def select_replayed(tx: sa.Connection, lane: str, wanted: Wanted, *, from_seq: int, to_seq: int) -> tuple[int, ...]:
    """Return which entries of a range are wanted. Raises LogCut where its beginning is gone."""
    first, _ = sql.read_bounds(tx, lane)
    if from_seq < first:
        raise errors.LogCut(lane, first)
    query = sa.select(events.c.seq).where(events.c.lane == lane, events.c.seq.between(from_seq, to_seq))
    query = query.where(*sql.is_wanted(wanted)).order_by(events.c.seq).limit(MOST_REPLAYED)
    return tuple(tx.execute(query).scalars())


# ── what the jobs ask ────────────────────────────────────────────────────────────────────────────────────────────────


def read_passing(tx: sa.Connection, lane: str, *, limit: int) -> tuple[int, list[Passing]] | None:
    """Return how far the entries of a lane have been put on their way, and the next ones; None without any webhook."""
    cursor = sql.read_cursors(tx, [(CONSUMER, lane)]).get((CONSUMER, lane))
    if cursor is None:
        return None
    query = sa.select(*_PASSING).where(events.c.lane == lane, events.c.seq > cursor)
    return cursor, [Passing(*row) for row in tx.execute(query.order_by(events.c.seq).limit(limit))]


def has_due(tx: sa.Connection, *, now: Instant) -> bool:
    """Tell whether anything is to be sent. A single statement."""
    return bool(webhook_sql.select_due(tx, now=now, except_for=(), limit=1))


def has_useless(tx: sa.Connection) -> bool:
    """Tell whether anything is on its way to nobody. A single statement."""
    return bool(webhook_sql.select_useless(tx, limit=1))


def has_old(tx: sa.Connection, *, before: Instant) -> bool:
    """Tell whether anything was over before an instant. A single statement."""
    return webhook_sql.has_old(tx, before=before)


def read_messages(tx: sa.Connection, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Any]:
    """Return entries by lane and seq, those that there are."""
    by_lane: dict[str, set[int]] = {}
    for lane, seq in places:
        by_lane.setdefault(lane, set()).add(seq)
    found: dict[tuple[str, int], Any] = {}
    for lane, seqs in sorted(by_lane.items()):
        query = sa.select(*events.c).where(events.c.lane == lane, events.c.seq.in_(sorted(seqs)))
        found |= {(lane, row.seq): (row.at, to_entry(row)) for row in tx.execute(query)}
    return found


_waiting = sa.select(
    sa.func.count().label("pending"), sa.func.min(deliveries.c.next_attempt_at).label("oldest_due")
).where(webhook_sql.is_pending)


def read_waiting(tx: sa.Connection) -> tuple[int, Instant | None]:
    """Return how many deliveries are pending, and when the longest due one is due. A single statement."""
    row = tx.execute(_waiting).one()
    return int(row.pending), row.oldest_due
