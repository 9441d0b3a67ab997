"""The endpoints of members and keys, as functions that return a request as a value, for both clients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from marketplace.client.requests import PAGE_SIZE, Call, Listing, create, query_of
from marketplace.wire import identity

MEMBERS = "/api/v1/members"
KEYS = "/api/v1/keys"


def me() -> Call[identity.Me]:
    """Read who calls, and what for."""
    return Call("GET", "/api/v1/me", identity.Me)


def members(*, page_size: int = PAGE_SIZE) -> Listing[identity.Member]:
    """List the members, oldest first."""
    return Listing(Call("GET", MEMBERS, identity.Members, query_of(limit=page_size)))


def member(username: str) -> Call[identity.Member]:
    """Read one member."""
    return Call("GET", f"{MEMBERS}/{quote(username, safe='')}", identity.Member)


def create_member(username: str, *, idempotency_key: str | None = None) -> Call[identity.Member]:
    """Create a member. Conflict where there is one of that name."""
    return create(MEMBERS, identity.NewMember(username), identity.Member, key=idempotency_key)


def keys(*, username: str | None = None, page_size: int = PAGE_SIZE) -> Listing[identity.Key]:
    """List keys without their secrets, oldest first."""
    return Listing(Call("GET", KEYS, identity.Keys, query_of(username=username, limit=page_size)))


def key(key_id: str) -> Call[identity.Key]:
    """Read one key, without its secret."""
    return Call("GET", _key(key_id), identity.Key)


def create_key(
    scopes: Sequence[identity.Scope],
    *,
    username: str | None = None,
    label: str | None = None,
    expires_at: datetime | None = None,
    idempotency_key: str | None = None,
) -> Call[identity.MadeKey]:
    """Create a key. The answer's `key` is what to call with, and is told this once.

    It is None where an answer was lost and the request was sent again: revoke the key then, and create another one.
    """
    body = identity.NewKey(list(scopes), username, label, expires_at)
    return create(KEYS, body, identity.MadeKey, key=idempotency_key)


def revoke_key(key_id: str) -> Call[identity.Key]:
    """Revoke a key, for ever; one that is revoked stays as it is."""
    return Call("DELETE", _key(key_id), identity.Key)


def _key(key_id: str) -> str:
    return f"{KEYS}/{quote(key_id, safe='')}"
