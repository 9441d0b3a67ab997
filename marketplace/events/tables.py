"""The data dictionary of events: who follows the logs. Only the lane `money` writes these tables.

The logs themselves belong to the lanes (database/log.py). Instants (`*_at`) are microseconds since
1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.database.metadata import metadata

consumers = sa.Table(
    "consumers",
    metadata,
    sa.Column("consumer", sa.Text, primary_key=True, comment="the job that follows, as webhooks"),
    sa.Column("lane", sa.Text, primary_key=True, comment="whose log it follows"),
    sa.Column("seq", sa.BigInteger, nullable=False, comment="the last entry that it has dealt with; 0: none yet"),
    sa.Column("moved_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("seq >= 0", name="seq_not_negative"),
    comment="how far those who must miss nothing have come; the logs are kept for them",
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column(
        "webhook_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="seq of the command that made it"
    ),
    sa.Column("member", sa.Text, nullable=False, comment="whose it is"),
    sa.Column("url", sa.Text, nullable=False, comment="where it is sent to; checked when given and at each connection"),
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
    sa.CheckConstraint("sees IN ('own', 'all')", name="sees_known"),
    sa.CheckConstraint("state IN ('enabled', 'disabled', 'deleted')", name="state_known"),
    sa.CheckConstraint("(previous_secret IS NULL) = (previous_until IS NULL)", name="previous_secret_ends"),
    sa.Index("webhooks_by_member", "member", "webhook_id"),
    comment="where members want to be told of events",
)

is_pending = sa.text("state = 'pending'")
is_over = sa.text("state <> 'pending'")

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("webhook_id", sa.BigInteger, sa.ForeignKey("webhooks.webhook_id"), primary_key=True),
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
    sa.CheckConstraint("state IN ('pending', 'delivered', 'failed', 'dropped')", name="state_known"),
    sa.CheckConstraint("attempts >= attempts_before AND attempts_before >= 0", name="attempts_counted"),
    sa.CheckConstraint("(state = 'pending') = (next_attempt_at IS NOT NULL)", name="pending_is_due_some_time"),
    sa.CheckConstraint("(state = 'pending') = (finished_at IS NULL)", name="finished_at_its_end"),
    # What is due, the longest first.
    sa.Index(
        "deliveries_due",
        "next_attempt_at",
        "webhook_id",
        "lane",
        "seq",
        postgresql_where=is_pending,
        sqlite_where=is_pending,
    ),
    # Up to where a log is needed.
    sa.Index("deliveries_waiting", "lane", "seq", postgresql_where=is_pending, sqlite_where=is_pending),
    # What can be forgotten.
    sa.Index("deliveries_over", "finished_at", postgresql_where=is_over, sqlite_where=is_over),
    comment="entries of the logs on their way to webhooks, and those that have been",
)

delivery_attempts = sa.Table(
    "delivery_attempts",
    metadata,
    sa.Column("webhook_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("lane", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False, comment="counted from 1"),
    sa.Column("at", sa.BigInteger, nullable=False, comment="instant of its beginning"),
    sa.Column("duration_micros", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Integer, nullable=True, comment="of the receiver's answer; null: there was none"),
    sa.Column("error", sa.Text, nullable=True, comment="why there was none; null: there was one"),
    sa.CheckConstraint("attempt >= 1 AND duration_micros >= 0", name="attempt_counted"),
    sa.CheckConstraint("(status IS NULL) = (error IS NOT NULL)", name="status_or_error"),
    sa.ForeignKeyConstraint(
        ["webhook_id", "lane", "seq"], ["deliveries.webhook_id", "deliveries.lane", "deliveries.seq"]
    ),
    comment="every try to deliver whose outcome is known",
)
