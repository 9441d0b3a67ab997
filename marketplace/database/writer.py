"""How a lane's transaction reaches the database: one sync function over a connection, run from start to end.

On Postgres it runs in a greenlet on the event loop, and each statement waits for the network. SQLite has no network to
wait for: there the whole function runs in one thread, which costs two hand-overs a transaction and not two a statement.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from marketplace.database import failures
from marketplace.database.failures import Cause

T = TypeVar("T")
Work = Callable[[sa.Connection], T]


class Transaction(Protocol):
    """A transaction that has begun; it ends once, in one of two ways."""

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class Writer(Protocol):
    """Runs work that begins and ends its own transaction. A connection whose state is in doubt is thrown away."""

    sync_engine: sa.Engine
    works_beside: bool
    """Whether the event loop goes on at full speed while the database works."""

    async def run(self, work: Work[T]) -> T:
        """Run work on a connection."""

    def turn(self, tx: sa.Connection, lane: str) -> AbstractContextManager[Transaction]:
        """From within work: begin a serializable transaction that has the lane's turn; undone unless it is ended.

        The lock freezes no snapshot, so what the turn before committed is seen.
        """

    def on_loop(self, call: Callable[[], T]) -> T:
        """From within work: call something that belongs to the event loop's thread."""

    async def dispose(self) -> None: ...


class LoopWriter:
    """On the event loop: as many at once as the engine has connections."""

    works_beside = True

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.sync_engine = engine.sync_engine

    async def run(self, work: Work[T]) -> T:
        connection = await self._engine.connect()
        try:
            return await connection.run_sync(work)
        except BaseException as error:
            if _is_in_doubt(error):
                await connection.invalidate()
            raise
        finally:
            await connection.close()

    @contextlib.contextmanager
    def turn(self, tx: sa.Connection, lane: str) -> Iterator[Transaction]:
        transaction = PostgresTransaction(tx.connection.dbapi_connection)
        try:
            # One message to the server and not two: SQLAlchemy, which knows of no transaction here, would send BEGIN
            # by itself.
            transaction.send(f"BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE lane_{lane} IN EXCLUSIVE MODE")
            yield transaction
        except BaseException as error:
            if not _is_in_doubt(error):  # if it is, the connection goes, and the transaction with it
                transaction.rollback()
            raise

    def on_loop(self, call: Callable[[], T]) -> T:
        return call()

    async def dispose(self) -> None:
        await self._engine.dispose()


class PostgresTransaction:
    """A transaction that we begin and end ourselves, on the driver's own connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, statements: str) -> None:
        self._connection.run_async(lambda driver: driver.execute(statements))

    def commit(self) -> None:
        self.send("COMMIT")

    def rollback(self) -> None:
        self.send("ROLLBACK")


class ThreadWriter:
    """In a thread of its own: one at a time, first come, first served.

    The interpreter's lock lets only one of thread and event loop go on at a time, so neither gains by overlapping.
    """

    works_beside = False

    def __init__(self, engine: sa.Engine) -> None:
        self.sync_engine = engine
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, work: Work[T]) -> T:
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(self._thread, self._run, work)

    def _run(self, work: Work[T]) -> T:
        with self.sync_engine.connect() as connection:
            try:
                return work(connection)
            except BaseException as error:
                if _is_in_doubt(error):
                    connection.invalidate()
                raise

    def turn(self, tx: sa.Connection, lane: str) -> AbstractContextManager[Transaction]:  # noqa: ARG002
        """One at a time is the turn of all lanes."""
        return tx.begin()

    def on_loop(self, call: Callable[[], T]) -> T:
        async def called() -> T:
            return call()

        assert self._loop
        return asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    async def dispose(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
        self.sync_engine.dispose()


def _is_in_doubt(error: BaseException) -> bool:
    return not isinstance(error, Exception) or failures.cause_of(error) is Cause.LOST
