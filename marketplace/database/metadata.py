"""The one MetaData: every module's tables hang on it, and constraint names are the same on both engines."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s",
    }
)

BY_TRIGGER = {"postgresql": "by trigger"}
"""The `info` of a foreign key that on Postgres is no constraint: triggers of the same name hold it there."""


def lane_table(lane: str) -> sa.Table:
    """Declare the empty table whose lock is the lane's turn on Postgres.

    A table of its own, since a lock on one with rows would stop its vacuum, or be stopped by it.
    """
    return sa.Table(
        f"lane_{lane}",
        metadata,
        sa.Column("turn", sa.SmallInteger, primary_key=True, autoincrement=False),
        comment=f"always empty: LOCK TABLE lane_{lane} is the turn to write in the lane {lane}",
    )
