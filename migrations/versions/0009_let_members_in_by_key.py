"""Let members in by key: who there is, and by which keys they call."""

from __future__ import annotations

import itertools

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0006"
branch_labels = None
depends_on = None

SCOPES = ("admin", "read", "solve", "supply", "trade")
SCOPE_SETS = [" ".join(some) for count in range(1, len(SCOPES) + 1) for some in itertools.combinations(SCOPES, count)]


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("username", sa.Text, primary_key=True, comment="what it is called everywhere; case matters"),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the command that created it"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("length(username) BETWEEN 1 AND 128", name=op.f("members_username_length")),
        sa.UniqueConstraint("seq", name=op.f("members_seq_key")),
        sa.PrimaryKeyConstraint("username", name=op.f("members_pkey")),
        comment="persons and organisations that may have keys",
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True, comment="the public part of the key: 16 hexadecimal digits"),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the command that created it"),
        sa.Column("username", sa.Text, nullable=False, comment="whose it is"),
        sa.Column("label", sa.Text, nullable=True, comment="what its owner calls it; null: nothing"),
        sa.Column("scopes", sa.Text, nullable=False, comment="in alphabetical order, a blank between: read trade"),
        sa.Column("secret_hash", sa.Text, nullable=False, comment="SHA-256 of the secret, hexadecimal"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True, comment="of no use from then on; null: never"),
        sa.Column("revoked_at", sa.BigInteger, nullable=True, comment="of no use from then on; null: it is good"),
        sa.Column("last_used_at", sa.BigInteger, nullable=True, comment="up to a minute behind; null: never yet"),
        sa.CheckConstraint(
            "length(key_id) = 16 AND ltrim(key_id, '0123456789abcdef') = ''",
            name=op.f("api_keys_key_id_is_hexadecimal"),
        ),
        sa.CheckConstraint(
            "length(secret_hash) = 64 AND ltrim(secret_hash, '0123456789abcdef') = ''",
            name=op.f("api_keys_secret_hash_is_hexadecimal"),
        ),
        sa.CheckConstraint("length(label) BETWEEN 1 AND 100", name=op.f("api_keys_label_length")),
        sa.CheckConstraint(
            f"scopes IN ({', '.join(map(repr, SCOPE_SETS))})", name=op.f("api_keys_scopes_known_and_in_order")
        ),
        sa.CheckConstraint("expires_at > created_at", name=op.f("api_keys_expires_after_created")),
        sa.CheckConstraint("revoked_at >= created_at", name=op.f("api_keys_revoked_after_created")),
        sa.CheckConstraint("last_used_at >= created_at", name=op.f("api_keys_used_after_created")),
        sa.UniqueConstraint("seq", name=op.f("api_keys_seq_key")),
        sa.ForeignKeyConstraint(["username"], ["members.username"], name=op.f("api_keys_username_fkey")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("api_keys_pkey")),
        comment="who may call, and for what; of the secret there is a hash",
    )
    op.create_index("api_keys_by_member", "api_keys", ["username", "seq"])


def downgrade() -> None:
    op.drop_table("api_keys")
    op.drop_table("members")
