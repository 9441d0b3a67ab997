"""Open the lane that wallets, members and webhooks share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BOOKS = ("commits", "events", "answers")


def upgrade() -> None:
    op.create_table(
        "lane_money",
        sa.Column("turn", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.PrimaryKeyConstraint("turn", name=op.f("lane_money_pkey")),
        comment="always empty: LOCK TABLE lane_money is the turn to write in the lane money",
    )
    if op.get_context().dialect.name == "postgresql":
        for book in BOOKS:
            op.execute(f"CREATE TABLE {book}_money PARTITION OF {book} FOR VALUES IN ('money')")


def downgrade() -> None:
    op.drop_table("lane_money")
    for book in BOOKS:
        if op.get_context().dialect.name == "postgresql":
            op.execute(f"DROP TABLE {book}_money")
        else:
            op.execute(f"DELETE FROM {book} WHERE lane = 'money'")  # noqa: S608 (three words of ours)
