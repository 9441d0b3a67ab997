"""What the lane runs on webhooks themselves: made, changed, deleted, tested, replayed. Rare, so one after the other.

While any webhook is enabled, the consumer `webhooks` has a cursor in every lane, which keeps their logs; it begins at
the heads that the command brings along. With the last one its cursors go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import Log, bulk
from marketplace.events import errors, sql, webhook_sql
from marketplace.events import webhook_model as model
from marketplace.events.webhook_model import Delivery, Webhook
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal


def apply(tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant) -> list[Any]:
    """Run commands on webhooks in arrival order. A refusal is an outcome and writes nothing."""
    return [_run(tx, log, command, now) for command in commands]


def _run(tx: sa.Connection, log: Log, command: Any, now: Instant) -> Any:
    if isinstance(command, model.CreateWebhook):
        return _create(tx, log, command, now)
    found = webhook_sql.read_webhooks(tx, [command.webhook_id]).get(command.webhook_id)
    if found is None or found.state == "deleted" or command.viewer not in (None, found.member):
        return errors.UnknownWebhook(command.webhook_id)
    return _DECISIONS[type(command)](tx, log, command, found, now)


def _create(tx: sa.Connection, log: Log, command: model.CreateWebhook, now: Instant) -> Webhook | Refusal:
    if webhook_sql.count_of_member(tx, command.member) >= model.MOST_WEBHOOKS:
        return errors.TooManyWebhooks(model.MOST_WEBHOOKS)
    webhook = Webhook(
        log.next_seq,
        command.member,
        command.url,
        command.sees,
        command.topics,
        command.kinds,
        "enabled",
        None,
        command.secret,
        None,
        None,
        created_at=now,
        enabled_at=now,
    )
    said = model.WebhookCreated(webhook.webhook_id, webhook.url, webhook.sees, webhook.topics, webhook.kinds)
    note(log, said, webhook)
    _put(tx, webhook)
    _begin(tx, command.heads, now)
    return webhook


def _change(tx: sa.Connection, log: Log, command: model.ChangeWebhook, found: Webhook, now: Instant) -> Webhook:
    given = {name: getattr(command, name) for name in ("url", "topics", "kinds", "state")}
    changed = msgspec.structs.replace(found, **{name: value for name, value in given.items() if value is not None})
    if changed == found:
        return found
    if changed.state != found.state:
        changed.reason = None
        changed.enabled_at = now if changed.state == "enabled" else found.enabled_at
    said = model.WebhookChanged(changed.webhook_id, changed.url, changed.topics, changed.kinds, changed.state)
    note(log, said, changed)
    _put(tx, changed)
    _begin(tx, command.heads, now)
    return changed


def _delete(tx: sa.Connection, log: Log, _command: model.DeleteWebhook, found: Webhook, now: Instant) -> Webhook:
    note(log, model.WebhookDeleted(found.webhook_id), found)
    gone = msgspec.structs.replace(found, state="deleted", secret="", previous_secret=None, previous_until=None)
    _put(tx, gone)
    _begin(tx, (), now)
    return gone


def _rotate(tx: sa.Connection, log: Log, command: model.RotateSecret, found: Webhook, now: Instant) -> Webhook:
    changed = msgspec.structs.replace(
        found,
        secret=command.secret,
        previous_secret=found.secret,
        previous_until=now + model.ROTATION_SECONDS * clock.SECOND,
    )
    note(log, model.SecretRotated(found.webhook_id), found)
    _put(tx, changed)
    return changed


def _test(
    tx: sa.Connection, log: Log, _command: model.TestWebhook, found: Webhook, now: Instant
) -> int | errors.WebhookDisabled:
    if found.state != "enabled":
        return errors.WebhookDisabled(found.webhook_id)
    seq = note(log, model.WebhookTested(found.webhook_id), found)
    bulk.write(tx, [webhook_sql.insert_deliveries([new_delivery(found, log.lane, seq, now=now)])])
    return seq


def _replay(
    tx: sa.Connection, log: Log, command: model.ReplayEntries, found: Webhook, now: Instant
) -> int | errors.WebhookDisabled:
    if found.state != "enabled":
        return errors.WebhookDisabled(found.webhook_id)
    note(log, model.EntriesReplayed(found.webhook_id, command.lane, command.from_seq, command.to_seq), found)
    places = [(found.webhook_id, command.lane, seq) for seq in command.seqs]
    before = webhook_sql.read_deliveries(tx, places)
    rows = []
    for place in places:
        row = before.get(place) or new_delivery(found, command.lane, place[2], now=now)
        rows.append(
            msgspec.structs.replace(
                row,
                state="pending",
                attempts_before=row.attempts,
                next_attempt_at=now,
                token=None,
                finished_at=None,
            )
        )
    bulk.write(tx, [webhook_sql.put_deliveries(rows)])
    return len(rows)


def new_delivery(webhook: Webhook, lane: str, seq: int, *, now: Instant) -> Delivery:
    """Return a delivery that is due at once."""
    return Delivery(webhook.webhook_id, lane, seq, "pending", 0, 0, now, None, now, None)


def disable(tx: sa.Connection, log: Log, webhook: Webhook, *, reason: str, now: Instant) -> None:
    """Send nothing more to a webhook whose receiver wants nothing more."""
    note(log, model.WebhookGone(webhook.webhook_id), webhook)
    _put(tx, msgspec.structs.replace(webhook, state="disabled", reason=reason))
    _begin(tx, (), now)


def note(log: Log, said: model.Event, webhook: Webhook) -> int:
    """Append what happened to a webhook and return its seq."""
    kind = str(said.__struct_config__.tag)
    subject = f"webhook/{webhook.webhook_id}"
    return log.append(topic=model.TOPIC, kind=kind, subject=subject, member=webhook.member, data=said)


def _put(tx: sa.Connection, webhook: Webhook) -> None:
    bulk.write(tx, [webhook_sql.put_webhooks([webhook])])


def _begin(tx: sa.Connection, heads: model.Heads, now: Instant) -> None:
    """See to it that there are cursors if, and only if, a webhook is enabled."""
    if not webhook_sql.has_enabled(tx):
        webhook_sql.delete_cursors(tx)
        return
    names = {(model.CONSUMER, lane): seq for lane, seq in heads}
    there = sql.read_cursors(tx, names)
    missing = {name: seq for name, seq in names.items() if name not in there}
    bulk.write(tx, [sql.put_cursors(missing, now=now)])


_DECISIONS: dict[type, Callable[..., Any]] = {
    model.ChangeWebhook: _change,
    model.DeleteWebhook: _delete,
    model.RotateSecret: _rotate,
    model.TestWebhook: _test,
    model.ReplayEntries: _replay,
}
COMMANDS = (model.CreateWebhook, *_DECISIONS)
