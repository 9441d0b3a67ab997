"""Follow the log and cut it: the cursors of those who must miss nothing, and where the logs begin."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cuts",
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("last_seq", sa.BigInteger, nullable=False, comment="the last entry that was taken away"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="instant"),
        sa.CheckConstraint("last_seq >= 1", name=op.f("cuts_last_seq_positive")),
        sa.PrimaryKeyConstraint("lane", name=op.f("cuts_pkey")),
        comment="where a lane's log was cut off at its old end; no row: it is whole",
    )
    op.create_table(
        "consumers",
        sa.Column("consumer", sa.Text, primary_key=True, comment="the job that follows, as webhooks"),
        sa.Column("lane", sa.Text, primary_key=True, comment="whose log it follows"),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="the last entry that it has dealt with; 0: none yet"),
        sa.Column("moved_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("seq >= 0", name=op.f("consumers_seq_not_negative")),
        sa.PrimaryKeyConstraint("consumer", "lane", name=op.f("consumers_pkey")),
        comment="how far those who must miss nothing have come; the logs are kept for them",
    )


def downgrade() -> None:
    op.drop_table("consumers")
    op.drop_table("cuts")
