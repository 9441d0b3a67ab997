"""The data dictionary of identity. Only the lane `money` writes these tables.

Instants (`*_at`) are microseconds since 1970-01-01T00:00:00Z; seqs are those of the lane.
"""

from __future__ import annotations

import itertools

import sqlalchemy as sa

from marketplace.database.metadata import metadata
from marketplace.identity.model import SCOPES

SCOPE_SETS = [" ".join(some) for count in range(1, len(SCOPES) + 1) for some in itertools.combinations(SCOPES, count)]
"""Every way to write the scopes of a key: the words in alphabetical order, a blank between."""

members = sa.Table(
    "members",
    metadata,
    sa.Column("username", sa.Text, primary_key=True, comment="what it is called everywhere; case matters"),
    sa.Column("seq", sa.BigInteger, nullable=False, comment="of the command that created it"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("length(username) BETWEEN 1 AND 128", name="username_length"),
    # Lists, oldest first.
    sa.UniqueConstraint("seq", name="members_seq_key"),
    comment="persons and organisations that may have keys",
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True, comment="the public part of the key: 16 hexadecimal digits"),
    sa.Column("seq", sa.BigInteger, nullable=False, comment="of the command that created it"),
    sa.Column("username", sa.Text, sa.ForeignKey("members.username"), nullable=False, comment="whose it is"),
    sa.Column("label", sa.Text, nullable=True, comment="what its owner calls it; null: nothing"),
    sa.Column("scopes", sa.Text, nullable=False, comment="in alphabetical order, a blank between: read trade"),
    sa.Column("secret_hash", sa.Text, nullable=False, comment="SHA-256 of the secret, hexadecimal"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=True, comment="of no use from then on; null: never"),
    sa.Column("revoked_at", sa.BigInteger, nullable=True, comment="of no use from then on; null: it is good"),
    sa.Column("last_used_at", sa.BigInteger, nullable=True, comment="up to a minute behind; null: never yet"),
    sa.CheckConstraint("length(key_id) = 16 AND ltrim(key_id, '0123456789abcdef') = ''", name="key_id_is_hexadecimal"),
    sa.CheckConstraint(
        "length(secret_hash) = 64 AND ltrim(secret_hash, '0123456789abcdef') = ''", name="secret_hash_is_hexadecimal"
    ),
    sa.CheckConstraint("length(label) BETWEEN 1 AND 100", name="label_length"),
    sa.CheckConstraint(f"scopes IN ({', '.join(map(repr, SCOPE_SETS))})", name="scopes_known_and_in_order"),
    sa.CheckConstraint("expires_at > created_at", name="expires_after_created"),
    sa.CheckConstraint("revoked_at >= created_at", name="revoked_after_created"),
    sa.CheckConstraint("last_used_at >= created_at", name="used_after_created"),
    # Lists, oldest first: of all, and of one member.
    sa.UniqueConstraint("seq", name="api_keys_seq_key"),
    sa.Index("api_keys_by_member", "username", "seq"),
    comment="who may call, and for what; of the secret there is a hash",
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("session_hash", sa.Text, primary_key=True, comment="SHA-256 of its id, hexadecimal"),
    sa.Column("key_id", sa.Text, sa.ForeignKey("api_keys.key_id"), nullable=False, comment="what it was signed in by"),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False, comment="of no use from then on"),
    sa.CheckConstraint(
        "length(session_hash) = 64 AND ltrim(session_hash, '0123456789abcdef') = ''", name="session_hash_is_hexadecimal"
    ),
    sa.CheckConstraint("expires_at > opened_at", name="expires_after_opened"),
    # Forgetting those that are over.
    sa.Index("sessions_by_expiry", "expires_at"),
    comment="who has signed in to the dashboard; a session is deleted when it is closed or over",
)
