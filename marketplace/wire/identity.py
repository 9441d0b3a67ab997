"""Members and API keys: what goes over the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from marketplace.wire import limits

Scope = Literal["read", "trade", "supply", "solve", "admin"]
"""read: look. trade: bid, order, take addresses, pay. supply: sell, run nodes. solve: solve orders. admin: everything,
for anyone."""

Label = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=limits.TRIMMED,
        description="what it is for, in its owner's words",
    ),
]


class NewMember(Struct, frozen=True, forbid_unknown_fields=True):
    username: limits.Username


class Member(Struct, frozen=True):
    username: str
    created_at: datetime


class Members(Struct, frozen=True):
    items: list[Member]
    next: str | None = None


class NewKey(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A member makes keys for itself, which may do no more and last no longer than the one it calls with.

    `username` is whose it will be; left out, the caller's own.
    """

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=5)]
    username: limits.Username | None = None
    label: Label | None = None
    expires_at: limits.Moment | None = None


class Key(Struct, frozen=True):
    """A key without its secret. It is of use until `expires_at` or `revoked_at`; `last_used_at` is up to a minute
    behind."""

    key_id: str
    username: str
    label: str | None
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class MadeKey(Key, frozen=True):
    """A new key. `key` is what to call with, and is shown this once: a replay under an Idempotency-Key has null."""

    key: str | None


class Keys(Struct, frozen=True):
    items: list[Key]
    next: str | None = None


class Me(Struct, frozen=True):
    """Who calls. Without keys of members there is no username: the caller is whoever a request names."""

    username: str | None
    key_id: str | None
    scopes: list[Scope]
    expires_at: datetime | None
