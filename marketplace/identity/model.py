"""The words of identity.

A member is a person or organisation, and is called by its username everywhere. Instants are microseconds since the
epoch. A secret is in none of these: commands, log and tables know its hash at most.
"""

from __future__ import annotations

import msgspec

from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind

SCOPES = ("admin", "read", "solve", "supply", "trade")
"""What a key may be for, in alphabetical order, in which they are stored."""

# ── things ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Member(msgspec.Struct, frozen=True):
    username: str
    seq: int
    created_at: Instant


class Key(msgspec.Struct, frozen=True):
    """A key without its secret. `scopes` in alphabetical order; `last_used_at` is up to a minute behind."""

    key_id: str
    seq: int
    username: str
    label: str | None
    scopes: tuple[str, ...]
    secret_hash: str
    created_at: Instant
    expires_at: Instant | None = None
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None


class Session(msgspec.Struct, frozen=True):
    """Somebody who has signed in by a key. Of its id there is a hash alone."""

    session_hash: str
    key_id: str
    opened_at: Instant
    expires_at: Instant


class Limit(msgspec.Struct, frozen=True):
    """Whose keys a caller may make and revoke, and how much those may be for."""

    username: str
    scopes: frozenset[str]
    expires_at: Instant | None


# ── commands of the lane ─────────────────────────────────────────────────────────────────────────────────────────────


class CreateMember(msgspec.Struct, frozen=True):
    """Outcome: Member."""

    username: str


class CreateKey(msgspec.Struct, frozen=True):
    """Give a member a key, drawn beforehand. Outcome: Key. A `limit` of None: by an admin."""

    key_id: str
    secret_hash: str
    username: str
    scopes: tuple[str, ...]
    label: str | None = None
    expires_at: Instant | None = None
    limit: Limit | None = None


class RevokeKey(msgspec.Struct, frozen=True):
    """End a key now, for ever; one that is revoked stays as it is. Outcome: Key. A `limit` of None: by an admin."""

    key_id: str
    limit: Limit | None = None


class NoteUses(msgspec.Struct, frozen=True):
    """Remember when keys were used, as (key_id, instant): no entry of the log. Outcome: how many were worth noting."""

    uses: tuple[tuple[str, Instant], ...]


class OpenSession(msgspec.Struct, frozen=True):
    """Sign in by a key, until an instant at most and never beyond the key's own. Outcome: Session.

    Here and below: no entry of the log, which tells what became of the market and not who looked at it.
    """

    session_hash: str
    key_id: str
    expires_at: Instant


class CloseSession(msgspec.Struct, frozen=True):
    """Sign out; one that is closed already stays so. Outcome: whether there was one."""

    session_hash: str


class ForgetSessions(msgspec.Struct, frozen=True):
    """Delete sessions that have expired, at most so many. Outcome: how many."""

    limit: int = 1000


Grant = Key | CreateKey
"""What has scopes and an expiry."""

# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class MemberCreated(msgspec.Struct, frozen=True, tag="member_created"):
    username: str


class KeyCreated(msgspec.Struct, frozen=True, tag="key_created"):
    """Not even the hash is told: whoever reads the log has no use for it."""

    key_id: str
    username: str
    label: str | None
    scopes: tuple[str, ...]
    expires_at: Instant | None


class KeyRevoked(msgspec.Struct, frozen=True, tag="key_revoked"):
    key_id: str
    username: str


Event = MemberCreated | KeyCreated | KeyRevoked
"""What an entry of the log says."""

TOPIC = "identity"

KINDS = (
    Kind(TOPIC, MemberCreated, "a member"),
    Kind(TOPIC, KeyCreated, "a key of a member"),
    Kind(TOPIC, KeyRevoked, "a key that opens nothing any more"),
)
