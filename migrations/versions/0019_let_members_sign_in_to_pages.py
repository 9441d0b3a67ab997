"""Let members sign in to pages: who has, by which key, and until when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("session_hash", sa.Text, primary_key=True, comment="SHA-256 of its id, hexadecimal"),
        sa.Column("key_id", sa.Text, nullable=False, comment="what it was signed in by"),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False, comment="of no use from then on"),
        sa.CheckConstraint(
            "length(session_hash) = 64 AND ltrim(session_hash, '0123456789abcdef') = ''",
            name=op.f("sessions_session_hash_is_hexadecimal"),
        ),
        sa.CheckConstraint("expires_at > opened_at", name=op.f("sessions_expires_after_opened")),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.key_id"], name=op.f("sessions_key_id_fkey")),
        sa.PrimaryKeyConstraint("session_hash", name=op.f("sessions_pkey")),
        comment="who has signed in to the dashboard; a session is deleted when it is closed or over",
    )
    op.create_index("sessions_by_expiry", "sessions", ["expires_at"])


def downgrade() -> None:
    op.drop_table("sessions")
