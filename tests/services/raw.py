"""Writing past the lane, as somebody with a database shell would."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from marketplace.database import Database

T = TypeVar("T")


async def write(database: Database, work: Callable[[sa.Connection], T]) -> T:
    """Run `work` in a transaction of its own on the writer's connection."""

    def run(connection: sa.Connection) -> T:
        with connection.begin():
            return work(connection)

    return await database.writer.run(run)


async def execute(database: Database, *statements: str) -> None:
    """Run statements in one transaction."""

    def run(tx: sa.Connection) -> None:
        for statement in statements:
            tx.exec_driver_sql(statement)

    await write(database, run)
