"""What the lane runs on deliveries: entries put on their way, claimed, tried, and over.

    fan out    entries of a log and the consumer's cursor in one transaction: each entry goes to each webhook once
    claim      attempts + 1 and a lease, then the receiver is called between transactions
    record     the attempt, and with the lease's own token what becomes of the delivery

Nothing of this takes a seq: the log is what is delivered. But a webhook that its receiver's 410 disables is told there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.database import Log, bulk
from marketplace.events import cursors, schedule, webhook_sql, webhooks
from marketplace.events import webhook_model as model
from marketplace.events.errors import CursorMoved
from marketplace.events.model import Advance
from marketplace.events.webhook_model import Attempt, Claimed, Delivery, DeliveryState, Webhook
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

GONE = 410
_TESTED = str(model.WebhookTested.__struct_config__.tag)


# ── on their way ─────────────────────────────────────────────────────────────────────────────────────────────────────


def fan_out(tx: sa.Connection, log: Log, commands: Sequence[model.FanOut], /, *, now: Instant) -> list[Any]:
    """Put entries on their way to every enabled webhook that wants them. Reads all enabled webhooks once."""
    moves = [Advance(model.CONSUMER, each.lane, each.after, each.seq) for each in commands]
    moved = cursors.advance(tx, log, moves, now=now)
    enabled = webhook_sql.read_enabled(tx)
    outcomes: list[Any] = []
    new: list[Delivery] = []
    for command, outcome in zip(commands, moved, strict=True):
        if isinstance(outcome, CursorMoved):
            outcomes.append(outcome)
            continue
        rows = _deliveries(command, enabled, now)
        new += rows
        outcomes.append(len(rows))
    log.write_later([webhook_sql.insert_deliveries(new)])
    return outcomes


def _deliveries(command: model.FanOut, enabled: Sequence[Webhook], now: Instant) -> list[Delivery]:
    wanted = [(webhook, webhook.wanted(command.public)) for webhook in enabled]
    return [
        webhooks.new_delivery(webhook, command.lane, entry.seq, now=now)
        for entry in command.entries
        if entry.kind != _TESTED  # it is on its way to the webhook that it tests, and to no other
        for webhook, its in wanted
        if entry.at >= webhook.enabled_at and its.has(entry.topic, entry.kind, entry.subject, entry.member)
    ]


# ── tried ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def claim(tx: sa.Connection, log: Log, commands: Sequence[model.Claim], /, *, now: Instant) -> list[list[Claimed]]:
    """Hand out due deliveries, the longest due first, a bounded number of each webhook."""
    return [_claim(tx, log, command, now) for command in commands]


def _claim(tx: sa.Connection, log: Log, command: model.Claim, now: Instant) -> list[Claimed]:
    due = webhook_sql.select_due(tx, now=now, except_for=command.except_for, limit=4 * command.limit)
    counted: Counter[int] = Counter()
    taken: list[Delivery] = []
    for delivery in due:
        counted[delivery.webhook_id] += 1
        if counted[delivery.webhook_id] <= command.limit_each and len(taken) < command.limit:
            taken.append(delivery)
    for delivery in taken:
        delivery.attempts += 1
        delivery.token = command.token
        delivery.next_attempt_at = now + round(command.lease_seconds * clock.SECOND)
    bulk.write(tx, [webhook_sql.put_deliveries(taken)])
    log.is_dirty = log.is_dirty or bool(taken)
    targets = webhook_sql.read_webhooks(tx, (delivery.webhook_id for delivery in taken))
    return [_claimed(delivery, targets[delivery.webhook_id], now) for delivery in taken]


def _claimed(delivery: Delivery, webhook: Webhook, now: Instant) -> Claimed:
    secrets = [webhook.secret]
    if webhook.previous_secret is not None and webhook.previous_until is not None and webhook.previous_until > now:
        secrets.append(webhook.previous_secret)
    place = delivery.lane, delivery.seq, delivery.attempts
    return Claimed(webhook.webhook_id, webhook.url, tuple(secrets), *place)


def record(tx: sa.Connection, log: Log, commands: Sequence[model.Record], /, *, now: Instant) -> list[Any]:
    """Note attempts, and decide what becomes of the deliveries whose lease is the recorder's."""
    found = webhook_sql.read_deliveries(tx, (_place(each) for command in commands for each in command.attempts))
    outcomes: list[dict[webhook_sql.Place, DeliveryState]] = []
    gone: set[int] = set()
    made: list[Attempt] = []
    for command in commands:
        known = [each for each in command.attempts if _place(each) in found]  # it may have been forgotten meanwhile
        made += known
        for attempt in known:
            delivery = found[_place(attempt)]
            if delivery.token == command.token and delivery.state == "pending":
                _decide(delivery, attempt, scale=command.scale, now=now)
                gone |= {delivery.webhook_id} if attempt.status == GONE else set()
        outcomes.append({_place(each): found[_place(each)].state for each in known})
    bulk.write(tx, [webhook_sql.put_deliveries([*found.values()])])
    bulk.write(tx, [webhook_sql.insert_attempts(made)])
    log.is_dirty = log.is_dirty or bool(made)
    for webhook in webhook_sql.read_webhooks(tx, gone).values():
        if webhook.state == "enabled":
            webhooks.disable(tx, log, webhook, reason="its receiver answered 410 Gone", now=now)
    return outcomes


def _decide(delivery: Delivery, attempt: Attempt, *, scale: float, now: Instant) -> None:
    """Write the outcome of an attempt into its delivery."""
    delivery.token = None
    delay = schedule.delay_seconds(delivery.attempts - delivery.attempts_before, scale=scale)
    if schedule.is_success(attempt.status):
        _end(delivery, "delivered", now)
    elif delay is None or attempt.status == GONE:
        _end(delivery, "failed", now)
    else:
        delivery.next_attempt_at = now + round(delay * clock.SECOND)


# ── over ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def drop_pending(tx: sa.Connection, log: Log, commands: Sequence[model.DropPending], /, *, now: Instant) -> list[int]:
    """Give up what is on its way to nobody."""
    return [_drop(tx, log, command, now) for command in commands]


def _drop(tx: sa.Connection, log: Log, command: model.DropPending, now: Instant) -> int:
    useless = webhook_sql.select_useless(tx, limit=command.limit)
    for delivery in useless:
        _end(delivery, "dropped", now)
    bulk.write(tx, [webhook_sql.put_deliveries(useless)])
    log.is_dirty = log.is_dirty or bool(useless)
    return len(useless)


def forget(tx: sa.Connection, log: Log, commands: Sequence[model.ForgetDeliveries], /, *, now: Instant) -> list[int]:
    """Delete what has been over for long."""
    counts = [webhook_sql.delete_old(tx, before=min(each.before, now), limit=each.limit) for each in commands]
    log.is_dirty = log.is_dirty or any(counts)
    return counts


def _end(delivery: Delivery, state: DeliveryState, now: Instant) -> None:
    delivery.state, delivery.next_attempt_at, delivery.token, delivery.finished_at = state, None, None, now


def _place(attempt: Attempt) -> webhook_sql.Place:
    return attempt.webhook_id, attempt.lane, attempt.seq
