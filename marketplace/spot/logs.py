"""What containers wrote, read from the backend where they run: any process may ask, and nothing of it is stored."""

from __future__ import annotations

import structlog

from marketplace.database import Database
from marketplace.foundation import errors
from marketplace.spot import connections, duties
from marketplace.spot.compute import BadSettings, Unavailable

log = structlog.get_logger(__name__)


async def read_log(database: Database, *, lease_id: int, lines: int = 100) -> str | None:
    """Return the end of what a lease's container wrote; None where there is no container, not yet or not any more.

    Raises Busy where its backend does not answer. Whose lease it is, the caller has checked.
    """
    place = await database.read_one(duties.find_place, lease_id)
    if place is None:
        return None
    try:
        backend = await connections.connect(place.backend, place.owner, place.settings, database_url=database.url)
        try:
            return await backend.logs(connections.name_of(lease_id), lines=lines)
        finally:
            await backend.close()
    except (BadSettings, Unavailable) as error:
        log.warning("log_not_read", lease_id=lease_id, error=str(error))
        raise errors.Busy("The lease's node does not answer right now; try again in a few seconds.") from error
