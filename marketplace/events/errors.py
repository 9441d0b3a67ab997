"""What the log refuses, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class LogCut(errors.Gone):
    """What was asked for is older than what is kept: go on from `oldest_seq`."""

    code = "events.log_cut"
    title = "No longer in the log"

    def __init__(self, lane: str, oldest_seq: int) -> None:
        super().__init__(
            f"The log of the lane {lane!r} is kept from seq {oldest_seq} on: ask with after={oldest_seq - 1}.",
            lane=lane,
            oldest_seq=oldest_seq,
        )


class UnknownKind(errors.Invalid):
    """No event is of this kind or topic; the guide lists them."""

    code = "events.unknown_kind"
    title = "Unknown kind of events"

    def __init__(self, field: str, name: str) -> None:
        super().__init__(f"There is no {field} {name!r} of events.", field=field)


class CursorMoved(errors.Conflict):
    """Another process dealt with the same events meanwhile."""

    code = "events.cursor_moved"
    title = "Cursor moved"

    def __init__(self, consumer: str, lane: str) -> None:
        super().__init__(f"The consumer {consumer!r} of the lane {lane!r} is not where you take it to be.")


class BadTarget(errors.Invalid):
    """A URL to which no webhook is sent: only https to addresses that everybody can reach, unless the operator allows
    the host."""

    code = "events.bad_target"
    title = "Bad webhook URL"

    def __init__(self, clause: str) -> None:
        super().__init__(f"The URL cannot be called. {clause}", field="url")


class UnknownWebhook(errors.NotFound):
    code = "events.unknown_webhook"
    title = "Unknown webhook"

    def __init__(self, webhook_id: int) -> None:
        super().__init__(f"There is no webhook {webhook_id}.", webhook_id=webhook_id)


class TooManyWebhooks(errors.Conflict):
    code = "events.too_many_webhooks"
    title = "Too many webhooks"

    def __init__(self, most: int) -> None:
        super().__init__(f"A member has {most} webhooks at most; delete one first.")


class WebhookDisabled(errors.Conflict):
    """Nothing is sent to it: enable it first."""

    code = "events.webhook_disabled"
    title = "Webhook disabled"

    def __init__(self, webhook_id: int) -> None:
        super().__init__(f"The webhook {webhook_id} is disabled; enable it first.", webhook_id=webhook_id)
