"""Alembic's entry: both engines, the application's own connections, one migration run at a time."""

from __future__ import annotations

import asyncio
import re

import sqlalchemy as sa
from alembic import context

import marketplace.addresses.tables
import marketplace.database.log
import marketplace.database.money
import marketplace.events.tables
import marketplace.hours.tables
import marketplace.identity.tables
import marketplace.ledger.tables
import marketplace.spot.tables  # noqa: F401  (they declare their tables)
from marketplace.database.engine import open_database
from marketplace.database.metadata import BY_TRIGGER, metadata

# Any number will do, as long as nobody else takes it: two deployments must not migrate at once.
MIGRATION_LOCK = 5_713_204_881

# The partitions by lane of Postgres: created by migrations, known to no table of ours.
PARTITION = re.compile(r"^(commits|events|answers)_[a-z]+$")


def include_name(name: str | None, type_: str, _parents: object) -> bool:
    return not (type_ == "table" and name and PARTITION.match(name))


def include_object(item: sa.schema.SchemaItem, *_: object) -> bool:
    return item.info != BY_TRIGGER or context.get_context().dialect.name != "postgresql"


def configure(**options: object) -> None:
    context.configure(
        target_metadata=metadata,
        include_name=include_name,
        include_object=include_object,
        compare_type=True,
        render_as_batch=False,
        transaction_per_migration=True,
        **options,  # type: ignore[arg-type]
    )


def run(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({MIGRATION_LOCK})")
        connection.exec_driver_sql("SET lock_timeout = '5s'")
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.commit()
    configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def run_online(url: str) -> None:
    database = open_database(url)
    try:
        await database.writer.run(run)
    finally:
        await database.close()


if context.is_offline_mode():
    configure(dialect_name=context.config.attributes.get("dialect", "postgresql"), literal_binds=True)
    with context.begin_transaction():
        context.execute("SET lock_timeout = '5s'")
        context.run_migrations()
else:
    asyncio.run(run_online(context.config.attributes["url"]))
