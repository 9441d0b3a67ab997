"""What can be asked of identity: functions of a read-only `tx`, each a single statement. Lists are keyset pages."""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.foundation.clock import Instant
from marketplace.identity import errors, sql
from marketplace.identity.model import Key, Member, Session
from marketplace.identity.tables import api_keys, members, sessions

_find_member = sa.select(*sql.MEMBER_COLUMNS).where(members.c.username == sa.bindparam("username"))
_find_key = sa.select(*sql.KEY_COLUMNS).where(api_keys.c.key_id == sa.bindparam("key_id"))

_find_session = sa.select(*sql.SESSION_COLUMNS).where(sessions.c.session_hash == sa.bindparam("session_hash"))
_has_old_session = sa.select(sa.exists().where(sessions.c.expires_at <= sa.bindparam("now", type_=sa.BigInteger)))


def find_member(tx: sa.Connection, username: str) -> Member:
    """Return a member. Raises UnknownMember."""
    row = tx.execute(_find_member, {"username": username}).first()
    if row is None:
        raise errors.UnknownMember(username)
    return sql.to_member(row)


def list_members(tx: sa.Connection, *, after: int | None, limit: int) -> list[Member]:
    """Return members from the oldest on, after a seq."""
    query = sa.select(*sql.MEMBER_COLUMNS).where(members.c.seq > (after or 0)).order_by(members.c.seq).limit(limit)
    return [sql.to_member(row) for row in tx.execute(query)]


def find_key(tx: sa.Connection, key_id: str) -> Key | None:
    """Return a key, good or not; None where there is none."""
    row = tx.execute(_find_key, {"key_id": key_id}).first()
    return sql.to_key(row) if row else None


def list_keys(tx: sa.Connection, *, username: str | None, after: int | None, limit: int) -> list[Key]:
    """Return keys, of one member or of all, from the oldest on, after a seq."""
    query = sa.select(*sql.KEY_COLUMNS).where(api_keys.c.seq > (after or 0)).order_by(api_keys.c.seq).limit(limit)
    if username is not None:
        query = query.where(api_keys.c.username == username)
    return [sql.to_key(row) for row in tx.execute(query)]


def find_session(tx: sa.Connection, session_hash: str) -> Session | None:
    """Return a session, over or not; None where there is none."""
    row = tx.execute(_find_session, {"session_hash": session_hash}).first()
    return Session(*row) if row else None


def has_old_session(tx: sa.Connection, *, now: Instant) -> bool:
    """Tell whether a session is over and not yet forgotten."""
    return bool(tx.scalar(_has_old_session, {"now": now}))
