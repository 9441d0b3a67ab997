"""Every statement by which identity decides: what a batch reads, and what it writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import Instant
from marketplace.identity.model import Key, Member, Session
from marketplace.identity.tables import api_keys, members, sessions

MEMBER_COLUMNS = [members.c[name] for name in Member.__struct_fields__]
SESSION_COLUMNS = [sessions.c[name] for name in Session.__struct_fields__]
KEY_COLUMNS = [api_keys.c[name] for name in Key.__struct_fields__]

_find_members = bulk.find_in(members, {"username": "username"}, MEMBER_COLUMNS)
_find_keys = bulk.find_in(api_keys, {"key_id": "key_id"}, KEY_COLUMNS)
_insert_sessions = bulk.insert_into(sessions, *Session.__struct_fields__)
_insert_members = bulk.insert_into(members, *Member.__struct_fields__)
_put_keys = bulk.put_into(api_keys, *Key.__struct_fields__, changing=["revoked_at", "last_used_at"])


def read_members(tx: sa.Connection, usernames: Iterable[str]) -> list[Member]:
    """Return those of the named members that exist."""
    rows = _find_members.fetch(tx, [{"username": username} for username in sorted(usernames)])
    return [to_member(row) for row in rows]


def read_keys(tx: sa.Connection, key_ids: Iterable[str]) -> list[Key]:
    """Return those of the named keys that exist."""
    return [to_key(row) for row in _find_keys.fetch(tx, [{"key_id": key_id} for key_id in sorted(key_ids)])]


def to_member(row: Any) -> Member:
    """Make a member of a row that has its columns."""
    return Member(*row)


def to_key(row: Any) -> Key:
    """Make a key of a row that has its columns."""
    return msgspec.structs.replace(Key(*row), scopes=tuple(row.scopes.split()))


def insert_members(new: Sequence[Member]) -> bulk.Write:
    return _insert_members, new


def put_keys(changed: Iterable[Key]) -> bulk.Write:
    """Write keys, new ones and those that were revoked or used."""
    return _put_keys, [msgspec.structs.asdict(key) | {"scopes": " ".join(key.scopes)} for key in changed]


def insert_sessions(new: Sequence[Session]) -> bulk.Write:
    return _insert_sessions, new


def delete_session(tx: sa.Connection, session_hash: str) -> bool:
    """Delete a session; tell whether it was there."""
    return tx.execute(sa.delete(sessions).where(sessions.c.session_hash == session_hash)).rowcount > 0


def delete_sessions(tx: sa.Connection, *, now: Instant, limit: int) -> int:
    """Delete sessions that are over, the oldest first. Return how many."""
    over = sa.select(sessions.c.session_hash).where(sessions.c.expires_at <= now)
    hashes = list(tx.execute(over.order_by(sessions.c.expires_at, sessions.c.session_hash).limit(limit)).scalars())
    if hashes:
        tx.execute(sa.delete(sessions).where(sessions.c.session_hash.in_(hashes)))
    return len(hashes)
