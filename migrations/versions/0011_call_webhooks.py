"""Call webhooks: who wants to be told, what is on its way to them, and how each try ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_webhooks()
    create_deliveries()
    create_attempts()


def create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column(
            "webhook_id",
            sa.BigInteger,
            primary_key=True,
            autoincrement=False,
            comment="seq of the command that made it",
        ),
        sa.Column("member", sa.Text, nullable=False, comment="whose it is"),
        sa.Column(
            "url", sa.Text, nullable=False, comment="where it is sent to; checked when given and at each connection"
        ),
        sa.Column("sees", sa.Text, nullable=False, comment="own: what its member may see; all: everything"),
        sa.Column("topics", sa.Text, nullable=False, comment="JSON array; an empty one is all topics"),
        sa.Column("kinds", sa.Text, nullable=False, comment="JSON array; an empty one is all kinds"),
        sa.Column("state", sa.Text, nullable=False, comment="enabled, disabled or deleted"),
        sa.Column("reason", sa.Text, nullable=True, comment="why it is disabled; null where its owner wanted it so"),
        sa.Column("secret", sa.Text, nullable=False, comment="what signs; empty once deleted"),
        sa.Column("previous_secret", sa.Text, nullable=True, comment="the one before, which signs as well for a day"),
        sa.Column("previous_until", sa.BigInteger, nullable=True, comment="until when it does"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("enabled_at", sa.BigInteger, nullable=False, comment="entries from this instant on are sent"),
        sa.CheckConstraint("sees IN ('own', 'all')", name=op.f("webhooks_sees_known")),
        sa.CheckConstraint("state IN ('enabled', 'disabled', 'deleted')", name=op.f("webhooks_state_known")),
        sa.CheckConstraint(
            "(previous_secret IS NULL) = (previous_until IS NULL)", name=op.f("webhooks_previous_secret_ends")
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("webhooks_pkey")),
        comment="where members want to be told of events",
    )
    op.create_index("webhooks_by_member", "webhooks", ["member", "webhook_id"])


def create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("webhook_id", sa.BigInteger, primary_key=True),
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="of the entry"),
        sa.Column("state", sa.Text, nullable=False, comment="pending, delivered, failed or dropped"),
        sa.Column("attempts", sa.Integer, nullable=False, comment="begun so far"),
        sa.Column("attempts_before", sa.Integer, nullable=False, comment="those before the last replay"),
        sa.Column(
            "next_attempt_at",
            sa.BigInteger,
            nullable=True,
            comment="when it is due, or the end of the lease while somebody tries; null: it is over",
        ),
        sa.Column("token", sa.Text, nullable=True, comment="whose lease it is; null: nobody's"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger, nullable=True, comment="null: it is pending"),
        sa.CheckConstraint(
            "state IN ('pending', 'delivered', 'failed', 'dropped')", name=op.f("deliveries_state_known")
        ),
        sa.CheckConstraint(
            "attempts >= attempts_before AND attempts_before >= 0", name=op.f("deliveries_attempts_counted")
        ),
        sa.CheckConstraint(
            "(state = 'pending') = (next_attempt_at IS NOT NULL)", name=op.f("deliveries_pending_is_due_some_time")
        ),
        sa.CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name=op.f("deliveries_finished_at_its_end")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.webhook_id"], name=op.f("deliveries_webhook_id_fkey")),
        sa.PrimaryKeyConstraint("webhook_id", "lane", "seq", name=op.f("deliveries_pkey")),
        comment="entries of the logs on their way to webhooks, and those that have been",
    )
    is_pending, is_over = sa.text("state = 'pending'"), sa.text("state <> 'pending'")
    for name, columns, where in (
        ("deliveries_due", ["next_attempt_at", "webhook_id", "lane", "seq"], is_pending),
        ("deliveries_waiting", ["lane", "seq"], is_pending),
        ("deliveries_over", ["finished_at"], is_over),
    ):
        op.create_index(name, "deliveries", columns, postgresql_where=where, sqlite_where=where)


def create_attempts() -> None:
    op.create_table(
        "delivery_attempts",
        sa.Column("webhook_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("lane", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False, comment="counted from 1"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="instant of its beginning"),
        sa.Column("duration_micros", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=True, comment="of the receiver's answer; null: there was none"),
        sa.Column("error", sa.Text, nullable=True, comment="why there was none; null: there was one"),
        sa.CheckConstraint("attempt >= 1 AND duration_micros >= 0", name=op.f("delivery_attempts_attempt_counted")),
        sa.CheckConstraint("(status IS NULL) = (error IS NOT NULL)", name=op.f("delivery_attempts_status_or_error")),
        sa.ForeignKeyConstraint(
            ["webhook_id", "lane", "seq"],
            ["deliveries.webhook_id", "deliveries.lane", "deliveries.seq"],
            name=op.f("delivery_attempts_webhook_id_lane_seq_fkey"),
        ),
        sa.PrimaryKeyConstraint("webhook_id", "lane", "seq", "attempt", name=op.f("delivery_attempts_pkey")),
        comment="every try to deliver whose outcome is known",
    )


def downgrade() -> None:
    for table in ("delivery_attempts", "deliveries", "webhooks"):
        op.drop_table(table)
