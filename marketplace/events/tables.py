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
