"""What a database failure means for the work that met it."""

from __future__ import annotations

import contextlib
import enum
import sqlite3
from collections.abc import Iterator

import asyncpg
import sqlalchemy as sa

from marketplace.foundation import errors


class Cause(enum.Enum):
    """Why a transaction ended before its COMMIT, which decides what comes next."""

    COLLISION = "collision"
    """40001, 40P01: another transaction was first; the same work may succeed at once."""
    LOST = "lost"
    """The connection is gone, or its server stopped or became read only: reconnect and run again."""
    UNAVAILABLE = "unavailable"
    """A lock or statement timeout, no room: nothing happened, and at once it would not go better."""
    BUG = "bug"
    """Anything else, integrity and data errors among it: refusals were decided before."""


_COLLISIONS = frozenset({"40001", "40P01"})
_UNAVAILABLE_STATES = frozenset({"55P03", "57014"})
_UNAVAILABLE_CLASSES = frozenset({"53", "58"})
# 25006: the server turned into a standby; 25P0x: it ended our transaction, idle or too long; 57P0x: it stops or starts.
_LOST_STATES = frozenset({"25006", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05"})
# asyncpg's own DataError is an InterfaceError too, but a ValueError as well: that one is a bug.
_LOST = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.TargetServerAttributeNotMatched,  # of several hosts none is the one that writes: a failover
    OSError,
    TimeoutError,
    sa.exc.TimeoutError,
)
_SQLITE_UNAVAILABLE = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
)


def cause_of(error: BaseException) -> Cause:
    """Say why `error` ended a transaction that had not begun to commit."""
    state = sqlstate(error)
    if state in _COLLISIONS:
        return Cause.COLLISION
    if state in _UNAVAILABLE_STATES or (state and state[:2] in _UNAVAILABLE_CLASSES) or _is_sqlite_unavailable(error):
        return Cause.UNAVAILABLE
    if state in _LOST_STATES or (state and state[:2] == "08") or _is_lost(error):
        return Cause.LOST
    return Cause.BUG


def is_certain_abort(error: BaseException) -> bool:
    """Tell whether an error in COMMIT proves that nothing was committed; any other leaves the outcome open."""
    state = sqlstate(error)
    return state is not None and (state in _COLLISIONS or state[:2] == "23")


def sqlstate(error: BaseException) -> str | None:
    """Return the five characters by which Postgres names the error, None where it was not Postgres that spoke."""
    for each in _chain(error):
        state = getattr(each, "sqlstate", None)
        if isinstance(state, str):
            return state
    return None


@contextlib.contextmanager
def reads_as_refusals() -> Iterator[None]:
    """Turn a database that is away or too slow into Busy; let bugs through."""
    try:
        yield
    except errors.Refusal:
        raise
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, *_LOST) as error:
        if cause_of(error) is Cause.BUG:
            raise
        raise errors.Busy("The database does not answer right now; try again in a moment.") from error


def _is_lost(error: BaseException) -> bool:
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    return any(isinstance(each, _LOST) and not isinstance(each, ValueError | TypeError) for each in _chain(error))


def _is_sqlite_unavailable(error: BaseException) -> bool:
    codes = (getattr(each, "sqlite_errorcode", None) for each in _chain(error))
    return any(code is not None and (code & 0xFF) in _SQLITE_UNAVAILABLE for code in codes)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk through the wrappings of an error, outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = getattr(error, "orig", None) or error.__cause__
