"""How commands read a database directly, without a server."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from marketplace.cli.terminal import Stop

if TYPE_CHECKING:
    from marketplace.database import Database
    from marketplace.foundation.settings import Settings


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database for reading. One that is not there ends the command with a sentence."""
    from marketplace.database import open_database
    from marketplace.foundation import errors

    require_file(settings)
    database = open_database(settings.database_url, pooler=settings.database_pooler, read_connections=1)
    try:
        yield database
    except errors.Refusal as refusal:
        raise Stop(refusal.detail) from None
    finally:
        await database.close()


def require_file(settings: Settings) -> None:
    """Refuse an SQLite file that does not exist: opening it would create an empty one."""
    from marketplace.database import engine

    if settings.embedded and not engine.sqlite_file(settings.database_url).is_file():
        raise Stop(f"There is no database at {settings.database_url}; `marketplace serve` creates one.")
