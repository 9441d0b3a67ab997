"""What a failure means: run again, reconnect, give up politely, or a bug."""

from __future__ import annotations

import sqlite3
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from marketplace.database import failures
from marketplace.database.failures import Cause
from marketplace.foundation import errors


def postgres_error(state: str) -> Exception:
    error: Exception = asyncpg.PostgresError.new({"C": state, "M": "as if", "S": "ERROR"})
    return error


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("40001", Cause.COLLISION),
        ("40P01", Cause.COLLISION),
        ("55P03", Cause.UNAVAILABLE),  # lock_timeout
        ("57014", Cause.UNAVAILABLE),  # statement_timeout
        ("53100", Cause.UNAVAILABLE),  # disk full
        ("53300", Cause.UNAVAILABLE),  # too many connections
        ("58030", Cause.UNAVAILABLE),  # io_error
        ("25006", Cause.LOST),  # the server became a standby
        ("25P03", Cause.LOST),  # idle in transaction for too long
        ("25P04", Cause.LOST),  # the transaction took too long for the operator
        ("57P01", Cause.LOST),  # shut down
        ("57P02", Cause.LOST),  # crashed
        ("57P03", Cause.LOST),  # starting up
        ("08006", Cause.LOST),
        ("23505", Cause.BUG),
        ("23514", Cause.BUG),
        ("22003", Cause.BUG),
        ("42P01", Cause.BUG),
    ],
)
def test_the_state_that_postgres_names_decides(state: str, cause: Cause) -> None:
    error = postgres_error(state)
    assert failures.cause_of(error) is cause
    assert failures.cause_of(wrapped(error)) is cause


def wrapped(error: Exception, *, invalidated: bool = False) -> sa.exc.DBAPIError:
    return sa.exc.DBAPIError("SELECT 1", {}, error, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (asyncpg.ConnectionDoesNotExistError("gone"), Cause.LOST),
        (asyncpg.InterfaceError("connection is closed"), Cause.LOST),
        (asyncpg.exceptions.ClientConfigurationError("bad"), Cause.BUG),
        (ConnectionRefusedError(), Cause.LOST),
        (FileNotFoundError("no socket"), Cause.LOST),
        (TimeoutError(), Cause.LOST),
        (sa.exc.TimeoutError(), Cause.LOST),
        (wrapped(Exception("x"), invalidated=True), Cause.LOST),
        # No host of several is the one that writes: the moment of a failover.
        (asyncpg.TargetServerAttributeNotMatched("none is read-write"), Cause.LOST),
        (asyncpg.DataError("value out of int64 range"), Cause.BUG),
        (ZeroDivisionError(), Cause.BUG),
        (KeyError("x"), Cause.BUG),
        (sa.exc.InvalidRequestError("x"), Cause.BUG),
    ],
    ids=lambda value: value.name if isinstance(value, Cause) else type(value).__name__,
)
def test_an_error_without_a_state_is_known_by_its_kind(error: Exception, cause: Cause) -> None:
    assert failures.cause_of(error) is cause


def test_a_value_that_the_driver_cannot_send_is_a_bug() -> None:
    as_asyncpg_makes_it = type("DataError", (asyncpg.InterfaceError, ValueError), {})
    assert failures.cause_of(wrapped(as_asyncpg_makes_it("int8"))) is Cause.BUG


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (sqlite3.SQLITE_BUSY, Cause.UNAVAILABLE),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Cause.UNAVAILABLE),
        (sqlite3.SQLITE_FULL, Cause.UNAVAILABLE),
        (sqlite3.SQLITE_IOERR_FSYNC, Cause.UNAVAILABLE),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, Cause.BUG),
        (sqlite3.SQLITE_ERROR, Cause.BUG),
    ],
)
def test_the_code_that_sqlite_names_decides(code: int, cause: Cause) -> None:
    error: Any = sqlite3.OperationalError("as if")
    error.sqlite_errorcode = code
    assert failures.cause_of(wrapped(error)) is cause


@pytest.mark.parametrize("state", ["40001", "40P01", "23505", "23514"])
def test_only_some_errors_in_commit_prove_that_nothing_was_committed(state: str) -> None:
    assert failures.is_certain_abort(wrapped(postgres_error(state)))


@pytest.mark.parametrize("state", ["57P01", "57014", "08006", "XX000"])
def test_any_other_error_in_commit_proves_nothing(state: str) -> None:
    assert not failures.is_certain_abort(wrapped(postgres_error(state)))
    assert not failures.is_certain_abort(OSError())


def test_a_read_that_the_database_cannot_answer_now_is_busy() -> None:
    with pytest.raises(errors.Busy), failures.reads_as_refusals():
        raise wrapped(postgres_error("57014"))
    with pytest.raises(errors.Busy), failures.reads_as_refusals():
        raise ConnectionRefusedError
    with pytest.raises(errors.Busy), failures.reads_as_refusals():
        raise asyncpg.TargetServerAttributeNotMatched("none")


def test_a_read_that_meets_a_bug_or_a_refusal_says_so() -> None:
    with pytest.raises(sa.exc.DBAPIError), failures.reads_as_refusals():
        raise wrapped(postgres_error("42P01"))
    with pytest.raises(errors.NotFound), failures.reads_as_refusals():
        raise errors.NotFound("no such thing")
