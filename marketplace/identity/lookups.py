"""What can be asked of identity: functions of a read-only `tx`, each a single statement. Lists are keyset pages."""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.identity import errors, sql
from marketplace.identity.model import Key, Member
from marketplace.identity.tables import api_keys, members

_find_member = sa.select(*sql.MEMBER_COLUMNS).where(members.c.username == sa.bindparam("username"))
_find_key = sa.select(*sql.KEY_COLUMNS).where(api_keys.c.key_id == sa.bindparam("key_id"))


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
