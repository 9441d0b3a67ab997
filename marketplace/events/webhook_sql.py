"""Every SQL statement about webhooks and deliveries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from marketplace.database import bulk
from marketplace.events.tables import consumers, deliveries, delivery_attempts, webhooks
from marketplace.events.webhook_model import CONSUMER, Attempt, Delivery, Webhook
from marketplace.foundation.clock import Instant

Place = tuple[int, str, int]
"""A delivery's key: webhook, lane, seq."""

WEBHOOK_COLUMNS = [webhooks.c[name] for name in Webhook.__struct_fields__]
DELIVERY_COLUMNS = [deliveries.c[name] for name in Delivery.__struct_fields__]
ATTEMPT_COLUMNS = [delivery_attempts.c[name] for name in Attempt.__struct_fields__]
_KEY = ("webhook_id", "lane", "seq")

# Written out: a generic plan may use a partial index only if the statement itself says what it wants.
is_pending = deliveries.c.state == sa.literal_column("'pending'")
is_over = deliveries.c.state != sa.literal_column("'pending'")
is_enabled = webhooks.c.state == sa.literal_column("'enabled'")

_limit = sa.bindparam("limit", type_=sa.Integer)
_words = msgspec.json.Decoder(tuple[str, ...]).decode


def to_webhook(row: Any) -> Webhook:
    webhook = Webhook(*row)
    webhook.topics, webhook.kinds = _words(row.topics), _words(row.kinds)
    return webhook


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_find_webhooks = bulk.find_in(webhooks, {"webhook_id": "webhook_id"}, WEBHOOK_COLUMNS)
_put_webhooks = bulk.put_into(
    webhooks,
    *Webhook.__struct_fields__,
    changing=["url", "topics", "kinds", "state", "reason", "secret", "previous_secret", "previous_until", "enabled_at"],
)
_read_enabled = sa.select(*WEBHOOK_COLUMNS).where(is_enabled).order_by(webhooks.c.webhook_id)
_has_enabled = sa.select(sa.exists().where(is_enabled))
_count_of_member = sa.select(sa.func.count()).where(
    webhooks.c.member == sa.bindparam("member"), webhooks.c.state != sa.literal_column("'deleted'")
)


def read_webhooks(tx: sa.Connection, ids: Iterable[int]) -> dict[int, Webhook]:
    """Return webhooks by id, those that there are."""
    rows = _find_webhooks.fetch(tx, [{"webhook_id": each} for each in sorted(set(ids))])
    return {row.webhook_id: to_webhook(row) for row in rows}


def read_enabled(tx: sa.Connection) -> list[Webhook]:
    return [to_webhook(row) for row in tx.execute(_read_enabled)]


def has_enabled(tx: sa.Connection) -> bool:
    return bool(tx.execute(_has_enabled).scalar_one())


def count_of_member(tx: sa.Connection, member: str) -> int:
    return int(tx.execute(_count_of_member, {"member": member}).scalar_one())


def put_webhooks(changed: Iterable[Webhook]) -> bulk.Write:
    rows = []
    for webhook in changed:
        row = msgspec.structs.asdict(webhook)
        rows.append(row | {name: msgspec.json.encode(row[name]).decode() for name in ("topics", "kinds")})
    return _put_webhooks, rows


def delete_cursors(tx: sa.Connection) -> None:
    """Keep no log for webhooks any more."""
    tx.execute(sa.delete(consumers).where(consumers.c.consumer == CONSUMER))


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────────────────────────

_find_deliveries = bulk.find_in(deliveries, {name: name for name in _KEY}, DELIVERY_COLUMNS)
_put_deliveries = bulk.put_into(
    deliveries,
    *Delivery.__struct_fields__,
    changing=["state", "attempts", "attempts_before", "next_attempt_at", "token", "finished_at"],
)
_insert_attempts = bulk.insert_into(delivery_attempts, *Attempt.__struct_fields__)


def _insert_new() -> bulk.Bulk:
    names = Delivery.__struct_fields__

    def build_for(insert: Any) -> bulk.Build:
        def build(rows: sa.FromClause) -> Any:
            selected = sa.select(*(rows.c[name] for name in names)).where(sa.true())
            return insert(deliveries).from_select(names, selected).on_conflict_do_nothing(index_elements=_KEY)

        return build

    columns = {name: deliveries.c[name].type for name in names}
    return bulk.Bulk(columns, {"postgresql": build_for(postgresql.insert), "sqlite": build_for(sqlite.insert)})


_insert_deliveries = _insert_new()


def read_deliveries(tx: sa.Connection, places: Iterable[Place]) -> dict[Place, Delivery]:
    """Return deliveries by key, those that there are."""
    given = [dict(zip(_KEY, place, strict=True)) for place in sorted(set(places))]
    found = [Delivery(*tuple(row)) for row in _find_deliveries.fetch(tx, given)]
    return {(each.webhook_id, each.lane, each.seq): each for each in found}


def insert_deliveries(new: Sequence[Delivery]) -> bulk.Write:
    """Insert those that are not there yet: a replay or a test may have been faster."""
    return _insert_deliveries, new


def put_deliveries(changed: Sequence[Delivery]) -> bulk.Write:
    return _put_deliveries, changed


def insert_attempts(made: Sequence[Attempt]) -> bulk.Write:
    return _insert_attempts, made


_due = (
    sa.select(*DELIVERY_COLUMNS)
    .join(webhooks, webhooks.c.webhook_id == deliveries.c.webhook_id)
    .where(is_pending, is_enabled, deliveries.c.next_attempt_at <= sa.bindparam("now", type_=sa.BigInteger))
    .order_by(deliveries.c.next_attempt_at, deliveries.c.webhook_id, deliveries.c.lane, deliveries.c.seq)
    .limit(_limit)
)


def select_due(tx: sa.Connection, *, now: Instant, except_for: Collection[int], limit: int) -> list[Delivery]:
    """Return deliveries that are due, the longest first, but for those of some webhooks."""
    query = _due.where(deliveries.c.webhook_id.not_in(sorted(except_for))) if except_for else _due
    return [Delivery(*row) for row in tx.execute(query, {"now": now, "limit": limit})]


_useless = (
    sa.select(*DELIVERY_COLUMNS)
    .join(webhooks, webhooks.c.webhook_id == deliveries.c.webhook_id)
    .where(is_pending, webhooks.c.state != sa.literal_column("'enabled'"))
    .order_by(deliveries.c.next_attempt_at, deliveries.c.webhook_id, deliveries.c.lane, deliveries.c.seq)
    .limit(_limit)
)


def select_useless(tx: sa.Connection, *, limit: int) -> list[Delivery]:
    """Return pending deliveries of webhooks that nothing is sent to."""
    return [Delivery(*row) for row in tx.execute(_useless, {"limit": limit})]


def _select_old(before: Instant, limit: int) -> sa.Select[Any]:
    return (
        sa.select(*(deliveries.c[name] for name in _KEY))
        .where(is_over, deliveries.c.finished_at < before)
        .order_by(deliveries.c.finished_at)
        .limit(limit)
    )


def has_old(tx: sa.Connection, *, before: Instant) -> bool:
    return tx.execute(_select_old(before, 1)).first() is not None


def delete_old(tx: sa.Connection, *, before: Instant, limit: int) -> int:
    """Delete deliveries that were over before an instant, with their attempts. Return how many."""
    keys = [tuple(row) for row in tx.execute(_select_old(before, limit))]
    if not keys:
        return 0
    for table in (delivery_attempts, deliveries):
        tx.execute(sa.delete(table).where(sa.tuple_(*(table.c[name] for name in _KEY)).in_(keys)))
    return len(keys)


_first_waiting = sa.select(sa.func.min(deliveries.c.seq)).where(
    is_pending, deliveries.c.lane == sa.bindparam("of_lane", type_=sa.Text)
)


def read_first_waiting(tx: sa.Connection, lane: str) -> int | None:
    """Return the first entry of a lane that is still on its way to somebody."""
    found: int | None = tx.execute(_first_waiting, {"of_lane": lane}).scalar_one()
    return found
