"""Keep the books of the lanes: commits, events and answers, each split by lane on Postgres."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BOOKS = ("commits", "events", "answers")
BY_LANE: dict[str, Any] = {"postgresql_partition_by": "LIST (lane)", "sqlite_with_rowid": False}


def upgrade() -> None:
    op.create_table(
        "commits",
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("last_seq", sa.BigInteger, primary_key=True, comment="the lane's last seq after this transaction"),
        sa.Column("at", sa.BigInteger, primary_key=True, comment="instant; never goes back within a lane"),
        sa.Column(
            "token", sa.Text, primary_key=True, comment="made up by the writer: finds a COMMIT whose answer was lost"
        ),
        sa.Column(
            "count", sa.Integer, nullable=False, comment="commands accepted: they are last_seq - count + 1 … last_seq"
        ),
        sa.CheckConstraint("count >= 0", name=op.f("commits_count_not_negative")),
        sa.CheckConstraint("last_seq >= count", name=op.f("commits_seqs_begin_at_one")),
        sa.PrimaryKeyConstraint("lane", "last_seq", "at", "token", name=op.f("commits_pkey")),
        comment="one row a transaction of a lane",
        **BY_LANE,
    )
    op.create_table(
        "events",
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False, comment="instant of the transaction"),
        sa.Column("topic", sa.Text, nullable=False, comment="the module"),
        sa.Column("kind", sa.Text, nullable=False, comment="what happened, as bid_placed"),
        sa.Column("subject", sa.Text, nullable=False, comment="what it happened to, as default/17"),
        sa.Column("member", sa.Text, nullable=True, comment="whose it is; null where nobody's"),
        sa.Column("data", sa.Text, nullable=False, comment="JSON: enough to replay the command"),
        sa.CheckConstraint("seq >= 1", name=op.f("events_seq_positive")),
        sa.PrimaryKeyConstraint("lane", "seq", name=op.f("events_pkey")),
        comment="the log: one row an accepted command",
        **BY_LANE,
    )
    op.create_table(
        "answers",
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True, comment="the Idempotency-Key"),
        sa.Column("fingerprint", sa.Text, nullable=False, comment="hash of the request, to refuse another one"),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False, comment="the answer, byte for byte"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="instant; kept for 72 h from then"),
        sa.PrimaryKeyConstraint("lane", "caller", "key", name=op.f("answers_pkey")),
        comment="what a caller was told, so that a second copy of a request is told the same",
        **BY_LANE,
    )
    op.create_index("answers_by_age", "answers", ["lane", "at"])
    if op.get_context().dialect.name == "postgresql":
        for book in BOOKS:
            op.execute(f"CREATE TABLE {book}_hours PARTITION OF {book} FOR VALUES IN ('hours')")


def downgrade() -> None:
    for book in reversed(BOOKS):
        op.drop_table(book)
