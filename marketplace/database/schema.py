"""Migrations: the only way that a schema comes to be."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from marketplace.database.engine import Database


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to a revision. Run it from one process at a time; on Postgres a second one waits."""
    command.upgrade(configuration(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to a revision, losing what the later ones added."""
    command.downgrade(configuration(url), revision)


def head() -> str:
    """Return the newest revision that this program knows."""
    revision = ScriptDirectory.from_config(configuration("")).get_current_head()
    assert revision
    return revision


async def current(database: Database) -> str | None:
    """Return the revision that the database is at, None before the first migration."""
    return await database.read(_revision)


def configuration(url: str) -> Config:
    """Return Alembic's configuration: the scripts of this program, the database at `url`."""
    config = Config()
    config.set_main_option("script_location", str(_scripts()))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url
    return config


def _scripts() -> Path:
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def _revision(tx: sa.Connection) -> str | None:
    return MigrationContext.configure(tx).get_current_revision()
