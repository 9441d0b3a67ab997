"""The words of webhooks.

A webhook's id is the seq of the command that made it. A delivery is one entry of a log on its way to one webhook; each
try to send it is an attempt.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from marketplace.events.model import Wanted
from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind

WebhookState = Literal["enabled", "disabled", "deleted"]
DeliveryState = Literal["pending", "delivered", "failed", "dropped"]

CONSUMER = "webhooks"
"""Who puts entries on their way."""
DELIVERIES = "webhook_deliveries"
"""What is on its way, where it is told how far everybody is."""
MOST_WEBHOOKS = 20
"""Of one member."""
MOST_REPLAYED = 10_000
ROTATION_SECONDS = 24 * 3_600
"""How long the secret before the newest one signs as well."""

# ── things ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Webhook(msgspec.Struct):
    """An endpoint of a member. It is sent the entries that its member may see, from `enabled_at` on."""

    webhook_id: int
    member: str
    url: str
    sees: Literal["own", "all"]
    topics: tuple[str, ...]
    kinds: tuple[str, ...]
    state: WebhookState
    reason: str | None
    secret: str
    previous_secret: str | None
    previous_until: Instant | None
    created_at: Instant
    enabled_at: Instant

    def wanted(self, public: frozenset[str]) -> Wanted:
        """Return which entries it is sent."""
        return Wanted(self.sees == "all", self.member, public, frozenset(self.topics), frozenset(self.kinds))


class Delivery(msgspec.Struct):
    """`next_attempt_at` is null once it is over. While an attempt is under way it is the end of that one's lease, and
    `token` whose lease it is. `attempts_before` were made before it was replayed."""

    webhook_id: int
    lane: str
    seq: int
    state: DeliveryState
    attempts: int
    attempts_before: int
    next_attempt_at: Instant | None
    token: str | None
    created_at: Instant
    finished_at: Instant | None


class Attempt(msgspec.Struct, frozen=True):
    """What became of one try. `status` is the receiver's, null where there was none; then `error` says why."""

    webhook_id: int
    lane: str
    seq: int
    attempt: int
    at: Instant
    duration_micros: int
    status: int | None
    error: str | None


class Claimed(NamedTuple):
    """A delivery to attempt: `secrets` sign it, the newest first."""

    webhook_id: int
    url: str
    secrets: tuple[str, ...]
    lane: str
    seq: int
    attempt: int


class Passing(msgspec.Struct, frozen=True):
    """An entry of a log that may concern webhooks."""

    seq: int
    at: Instant
    topic: str
    kind: str
    subject: str
    member: str | None


def message_id(lane: str, seq: int) -> str:
    """Return what a receiver knows a message by, the same at every try."""
    return f"msg_{lane}_{seq}"


# ── commands of the lane ─────────────────────────────────────────────────────────────────────────────────────────────

Heads = tuple[tuple[str, int], ...]
"""Each lane with its last seq, read before the command: where the first webhook of all begins."""


class CreateWebhook(msgspec.Struct, frozen=True):
    """Make an endpoint. Outcome: Webhook."""

    member: str
    url: str
    sees: Literal["own", "all"]
    topics: tuple[str, ...]
    kinds: tuple[str, ...]
    secret: str
    heads: Heads


class OfWebhook(msgspec.Struct, frozen=True):
    """A command about one webhook. `viewer` sees its own alone; None sees all."""

    webhook_id: int
    viewer: str | None


class ChangeWebhook(OfWebhook, frozen=True):
    """What is None stays. Outcome: Webhook."""

    url: str | None = None
    topics: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    state: Literal["enabled", "disabled"] | None = None
    heads: Heads = ()


class DeleteWebhook(OfWebhook, frozen=True):
    """Outcome: Webhook, as it was. What was on its way to it is dropped."""


class RotateSecret(OfWebhook, frozen=True):
    """Outcome: Webhook. The secret before signs as well for ROTATION_SECONDS."""

    secret: str


class TestWebhook(OfWebhook, frozen=True):
    """Send it an entry of its own. Outcome: the seq of that entry."""


class ReplayEntries(OfWebhook, frozen=True):
    """Deliver entries again, or for the first time: `seqs`, those between the two that it wants. Outcome: how many."""

    lane: str
    from_seq: int
    to_seq: int
    seqs: tuple[int, ...]


class FanOut(msgspec.Struct, frozen=True):
    """Put the entries of a lane between two seqs on their way, and the cursor behind them. Outcome: how many."""

    lane: str
    after: int
    seq: int
    entries: tuple[Passing, ...]
    public: frozenset[str]


class Claim(msgspec.Struct, frozen=True):
    """Take due deliveries, at most so many and so many of one webhook. Outcome: a list of Claimed.

    Nobody else gets them before the lease is over; then, should no outcome have come, they are due again.
    """

    token: str
    limit: int
    limit_each: int
    lease_seconds: float
    except_for: tuple[int, ...] = ()


class Record(msgspec.Struct, frozen=True):
    """Note what became of claimed deliveries, and when to try again. Outcome: their states, by delivery.

    An outcome whose lease has passed to another is noted as an attempt, and changes nothing else.
    """

    token: str
    attempts: tuple[Attempt, ...]
    scale: float = 1.0


class DropPending(msgspec.Struct, frozen=True):
    """Give up what is on its way to webhooks that are disabled or deleted, at most so many. Outcome: how many."""

    limit: int


class ForgetDeliveries(msgspec.Struct, frozen=True):
    """Delete what was over before an instant, at most so many, with its attempts. Outcome: how many."""

    before: Instant
    limit: int


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class WebhookCreated(msgspec.Struct, frozen=True, tag="webhook_created"):
    webhook_id: int
    url: str
    sees: str
    topics: tuple[str, ...]
    kinds: tuple[str, ...]


class WebhookChanged(msgspec.Struct, frozen=True, tag="webhook_changed"):
    webhook_id: int
    url: str
    topics: tuple[str, ...]
    kinds: tuple[str, ...]
    state: str


class WebhookGone(msgspec.Struct, frozen=True, tag="webhook_gone"):
    webhook_id: int


class WebhookDeleted(msgspec.Struct, frozen=True, tag="webhook_deleted"):
    webhook_id: int


class SecretRotated(msgspec.Struct, frozen=True, tag="webhook_secret_rotated"):
    webhook_id: int


class WebhookTested(msgspec.Struct, frozen=True, tag="webhook_tested"):
    webhook_id: int


class EntriesReplayed(msgspec.Struct, frozen=True, tag="webhook_replayed"):
    webhook_id: int
    lane: str
    from_seq: int
    to_seq: int


TOPIC = "events"
Event = WebhookCreated | WebhookChanged | WebhookGone | WebhookDeleted | SecretRotated | WebhookTested | EntriesReplayed

KINDS = (
    Kind(TOPIC, WebhookCreated, "a webhook made"),
    Kind(TOPIC, WebhookChanged, "a webhook changed, enabled or disabled"),
    Kind(TOPIC, WebhookGone, "a webhook disabled because its receiver answered 410"),
    Kind(TOPIC, WebhookDeleted, "a webhook deleted"),
    Kind(TOPIC, SecretRotated, "a webhook given a new secret"),
    Kind(TOPIC, WebhookTested, "a test, sent to that webhook alone"),
    Kind(TOPIC, EntriesReplayed, "entries of a log sent to a webhook again"),
)
