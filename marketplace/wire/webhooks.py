"""Webhooks: what goes over the wire, to members and to their receivers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits
from marketplace.wire.events import Event, LaneName

WebhookState = Literal["enabled", "disabled"]
DeliveryState = Literal["pending", "delivered", "failed", "dropped"]

Url = Annotated[str, Meta(min_length=8, max_length=2048, description="https, to an address that everybody can reach")]
Word = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z_]+$(?!\\n)")]
Words = Annotated[list[Word], Meta(max_length=100)]


class NewWebhook(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where to send what a member may see. Without topics or kinds, all of them.

    `username` is whose it is, the caller's own where left out. `all_members`, for administrators, sends everything.
    """

    url: Url
    username: limits.Username | None = None
    topics: Words = []
    kinds: Words = []
    all_members: bool = False


class WebhookChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is left out stays. One that is enabled again is sent what happens from then on."""

    url: Url | UnsetType = UNSET
    topics: Words | UnsetType = UNSET
    kinds: Words | UnsetType = UNSET
    state: WebhookState | UnsetType = UNSET


class Webhook(Struct, frozen=True):
    """`reason` tells why it was disabled, where its owner did not do it."""

    webhook_id: int
    username: str
    url: str
    topics: list[str]
    kinds: list[str]
    all_members: bool
    state: str
    reason: str | None
    created_at: datetime


class Webhooks(Struct, frozen=True):
    items: list[Webhook]
    next: str | None = None


class CreatedWebhook(Struct, frozen=True):
    """The secret is shown here, and never again: a replay under an Idempotency-Key has null."""

    webhook: Webhook
    secret: str | None


class RotatedSecret(Struct, frozen=True):
    """The new secret is shown here, and never again: a replay under an Idempotency-Key has null.

    The one before signs as well until `previous_until`.
    """

    webhook_id: int
    secret: str | None
    previous_until: datetime


class Tested(Struct, frozen=True):
    """The entry that is on its way, and what its receiver will know it by."""

    lane: str
    seq: int
    message_id: str


class Attempt(Struct, frozen=True):
    """One try; `status` is the receiver's, and where there was none `error` tells why."""

    attempt: int
    at: datetime
    seconds: float
    status: int | None
    error: str | None


class Delivery(Struct, frozen=True):
    """One entry of a log, on its way or over; `attempts` are those whose outcome is known."""

    lane: str
    seq: int
    message_id: str
    state: DeliveryState
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    attempts: list[Attempt]


class Deliveries(Struct, frozen=True):
    """The newest entry first; `next` is the `before` of the next page."""

    items: list[Delivery]
    next: str | None = None


class Replay(Struct, frozen=True, forbid_unknown_fields=True):
    """Send the entries from one seq to another, both included, again: 10 000 at most."""

    lane: LaneName
    from_seq: limits.Seq
    to_seq: limits.Seq


class Replayed(Struct, frozen=True):
    """How many of them the webhook wants and is sent."""

    deliveries: int


class Message(Struct, frozen=True):
    """What a receiver gets. `type` is the topic and the kind, as `hours.bid_placed`."""

    type: str
    timestamp: datetime
    data: Event
