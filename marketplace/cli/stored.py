"""How commands reach a database directly, without a server, and what they say when they cannot."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from marketplace.cli.terminal import Stop

if TYPE_CHECKING:
    from marketplace.database import Database
    from marketplace.foundation.settings import Settings


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database for reading. One that is not there, or fails, ends the command with a sentence."""
    from marketplace.database import engine, open_database

    if settings.embedded and not engine.sqlite_file(settings.database_url).is_file():
        # Opening it would create an empty one.
        raise Stop(f"There is no database at {settings.database_url}; `marketplace serve` creates one.")
    with failures_as_sentences(settings):
        database = open_database(settings.database_url, pooler=settings.database_pooler, read_connections=1)
        try:
            yield database
        finally:
            await database.close()


async def require_schema(database: Database) -> str:
    """Return the schema's revision if it is the one that this version needs, else end the command."""
    from marketplace.database import schema

    found, needed = await schema.current(database), schema.head()
    if found != needed:
        raise Stop(
            f"The database's schema is at revision {found or 'none'}, and this version needs {needed}: "
            "run `marketplace db upgrade`."
        )
    return needed


@contextlib.contextmanager
def failures_as_sentences(settings: Settings) -> Iterator[None]:
    """End the command with a sentence where a database is in use, away, or refuses us. No password is printed."""
    import asyncpg
    import sqlalchemy as sa

    from marketplace.database import locking
    from marketplace.foundation import errors

    try:
        yield
    except locking.AlreadyServed as error:
        raise Stop(str(error)) from None
    except errors.Refusal as refusal:
        raise Stop(f"{_name(settings)}: {refusal.detail}") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Stop(f"{_name(settings)} cannot be used: {error}.") from None
    except sa.exc.DBAPIError as error:
        raise Stop(f"{_name(settings)} cannot be used: {error.orig}.") from None


def _name(settings: Settings) -> str:
    if settings.embedded:
        return f"The database {settings.database_url}"
    place = urlsplit(settings.database_url)
    return f"The database {place.path.lstrip('/')} at {place.netloc.rpartition('@')[2] or 'the default server'}"
