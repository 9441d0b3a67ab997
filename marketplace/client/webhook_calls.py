"""The endpoints of webhooks, as functions that return a request as a value, for both clients.

Without topics or kinds a webhook is sent all of what its member may see. Secrets are shown when they are made, and
never again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from marketplace.client.requests import PAGE_SIZE, Call, Listing, create, delete, query_of
from marketplace.wire import webhooks
from marketplace.wire.events import LaneName

PATH = "/api/v1/webhooks"

T = TypeVar("T")


class Backwards(Listing[webhooks.Delivery]):
    """Pages from the newest on."""

    def following(self, page: Any) -> Call[Any] | None:
        if page.next is None:
            return None
        return replace(self.first, query={**self.first.query, "before": page.next})


def create_webhook(
    url: str,
    *,
    username: str | None = None,
    topics: Sequence[str] = (),
    kinds: Sequence[str] = (),
    all_members: bool = False,
    idempotency_key: str | None = None,
) -> Call[webhooks.CreatedWebhook]:
    """Have what happens sent to a URL, from now on. Keep the secret of the answer: it verifies what is sent.

    It is null where the first answer was lost and a copy was answered: `rotate_webhook` makes another one.
    """
    body = webhooks.NewWebhook(url, username, list(topics), list(kinds), all_members)
    return create(PATH, body, webhooks.CreatedWebhook, key=idempotency_key)


def webhooks_of(username: str | None = None, *, page_size: int = PAGE_SIZE) -> Listing[webhooks.Webhook]:
    """List webhooks: the caller's own, or for an administrator everybody's or one member's."""
    return Listing(Call("GET", PATH, webhooks.Webhooks, query_of(username=username, limit=page_size)))


def webhook(webhook_id: int) -> Call[webhooks.Webhook]:
    """Read one webhook."""
    return Call("GET", _one(webhook_id), webhooks.Webhook)


def change_webhook(
    webhook_id: int,
    *,
    url: str | None = None,
    topics: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    state: webhooks.WebhookState | None = None,
) -> Call[webhooks.Webhook]:
    """Change what is not None; `state` disables and enables it."""
    change = webhooks.WebhookChange(
        url or UNSET,
        UNSET if topics is None else list(topics),
        UNSET if kinds is None else list(kinds),
        state or UNSET,
    )
    return Call("PATCH", _one(webhook_id), webhooks.Webhook, body=msgspec.json.encode(change))


def delete_webhook(webhook_id: int, *, idempotency_key: str | None = None) -> Call[webhooks.Webhook]:
    """Delete a webhook; what is on its way to it is dropped. NotFound where there is none."""
    return delete(_one(webhook_id), webhooks.Webhook, key=idempotency_key)


def rotate_webhook(webhook_id: int, *, idempotency_key: str | None = None) -> Call[webhooks.RotatedSecret]:
    """Give it a new secret. The one before signs as well for a day."""
    return _post(webhook_id, "rotate", webhooks.RotatedSecret, key=idempotency_key)


def try_webhook(webhook_id: int, *, idempotency_key: str | None = None) -> Call[webhooks.Tested]:
    """Send it a message of its own."""
    return _post(webhook_id, "test", webhooks.Tested, key=idempotency_key)


def webhook_deliveries(
    webhook_id: int,
    lane: LaneName = "hours",
    *,
    state: webhooks.DeliveryState | None = None,
    page_size: int = PAGE_SIZE,
) -> Listing[webhooks.Delivery]:
    """List what of a lane was sent, or is to be, with every attempt, the newest entry first."""
    query = query_of(lane=lane, state=state, limit=page_size)
    return Backwards(Call("GET", f"{_one(webhook_id)}/deliveries", webhooks.Deliveries, query))


def replay_events(
    webhook_id: int, lane: LaneName, *, from_seq: int, to_seq: int, idempotency_key: str | None = None
) -> Call[webhooks.Replayed]:
    """Send entries of a lane again, 10 000 at most. Gone where the log was cut before them."""
    body = webhooks.Replay(lane, from_seq, to_seq)
    return create(f"{_one(webhook_id)}/replay", body, webhooks.Replayed, key=idempotency_key)


def _post(webhook_id: int, what: str, answer: type[T], *, key: str | None) -> Call[T]:
    """Describe a POST without a body."""
    return Call("POST", f"{_one(webhook_id)}/{what}", answer, key=key or str(uuid.uuid4()))


def _one(webhook_id: int) -> str:
    return f"{PATH}/{webhook_id}"
