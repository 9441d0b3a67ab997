"""Two engines, one meaning: SQLite embedded, Postgres in production.

Writers and readers have engines of their own. A writer runs SERIALIZABLE transactions (SQLite: BEGIN IMMEDIATE, since
a deferred BEGIN loses updates); a reader's transactions are READ ONLY and see one snapshot. Postgres is reached by
asyncpg from the URL as it stands, so that several hosts, `target_session_attrs` and Unix sockets mean what libpq says.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from marketplace.database import failures
from marketplace.database.writer import LoopWriter, ThreadWriter, Writer
from marketplace.foundation import errors

P = ParamSpec("P")
T = TypeVar("T")

Connector = Callable[[], Awaitable[asyncpg.Connection]]

CONNECT_SECONDS = 5
LOCK_SECONDS = 15
"""How long a writer waits for its lane: longer than the longest batch, and than the idle limit that frees a lane."""
IDLE_IN_TRANSACTION_SECONDS = 10
STATEMENT_SECONDS = 30
READ_SECONDS = 5
REPORT_SECONDS = 60


class Database:
    """One database and its three engines: `writer` for lanes, `snapshots` and `statements` for reads."""

    def __init__(self, url: str, *, writer: Writer, snapshots: AsyncEngine, statements: AsyncEngine) -> None:
        self.url = url
        self.writer = writer
        # Two engines, since changing the isolation level of a connection costs more than a short read.
        self.snapshots = snapshots
        self.statements = statements
        self.is_postgres = writer.sync_engine.dialect.name == "postgresql"

    async def read(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(tx, …)` in one read-only snapshot, never waiting for a writer. Raises Busy where it is away."""
        return await _read(self.snapshots, lambda tx: fn(tx, *args, **kwargs))

    async def read_one(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a `fn` of a single statement, which is a snapshot by itself and needs no transaction around it."""
        return await _read(self.statements, lambda tx: fn(tx, *args, **kwargs))

    async def report(self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do as `read` does, for reports and audits: a statement may take a minute."""

        def patiently(tx: sa.Connection) -> T:
            if self.is_postgres:
                tx.exec_driver_sql(f"SET LOCAL statement_timeout = '{REPORT_SECONDS}s'")
            return fn(tx, *args, **kwargs)

        return await _read(self.snapshots, patiently)

    async def close(self) -> None:
        await self.writer.dispose()
        await self.snapshots.dispose()
        await self.statements.dispose()


async def _read(engine: AsyncEngine, fn: Callable[[sa.Connection], T]) -> T:
    with failures.reads_as_refusals():
        try:
            return await _read_once(engine, fn)
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # The server was restarted while the connection was idle, say. That ends all of the pool; the next is a new one.
        return await _read_once(engine, fn)


async def _read_once(engine: AsyncEngine, fn: Callable[[sa.Connection], T]) -> T:
    async with engine.connect() as connection:
        return await connection.run_sync(fn)


def open_database(url: str, *, pooler: bool = False, read_connections: int = 8, lanes: int = 3) -> Database:
    """Open the engines for `url`. Nothing connects before the first use."""
    if url.startswith("sqlite:"):
        return _open_sqlite(url, read_connections=read_connections)
    return _open_postgres(url, pooler=pooler, read_connections=read_connections, lanes=lanes)


def sqlite_file(url: str) -> Path:
    """Return the file of an embedded database's URL."""
    name = url.removeprefix("sqlite:///")
    if not name or name == ":memory:":
        raise errors.Invalid(
            "The embedded database needs a file, as in sqlite:///marketplace.db.", field="database_url"
        )
    return Path(name)


WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # 40 MB of log between checkpoints: each page that many commits change is copied once, not once a megabyte.
    "wal_autocheckpoint=10000",
)


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _open_sqlite(url: str, *, read_connections: int) -> Database:
    file = sqlite_file(url)
    # isolation_level None: the driver begins nothing by itself, we say BEGIN.
    connect_args = {"isolation_level": None}
    writer = sa.create_engine(f"sqlite:///{file}", pool_size=1, max_overflow=0, connect_args=connect_args)
    snapshots, statements = (
        create_async_engine(
            f"sqlite+aiosqlite:///{file}",
            poolclass=AsyncAdaptedQueuePool,
            pool_size=read_connections,
            max_overflow=0,
            connect_args=connect_args,
        )
        for _ in range(2)
    )
    _on_sqlite(writer, begin="BEGIN IMMEDIATE", pragmas=WRITER_PRAGMAS)
    _on_sqlite(snapshots.sync_engine, begin="BEGIN", pragmas=("query_only=ON",))
    _on_sqlite(statements.sync_engine, begin=None, pragmas=("query_only=ON",))
    return Database(url, writer=ThreadWriter(writer), snapshots=snapshots, statements=statements)


def _on_sqlite(engine: sa.Engine, *, begin: str | None, pragmas: tuple[str, ...]) -> None:
    def set_up(dbapi_connection: Any, _record: object) -> None:
        cursor = dbapi_connection.cursor()
        for pragma in ("busy_timeout=5000", "cache_size=-65536", "temp_store=MEMORY", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    sa.event.listen(engine, "connect", set_up)
    if begin:
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))


# ── Postgres ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _open_postgres(url: str, *, pooler: bool, read_connections: int, lanes: int) -> Database:
    # To asyncpg a session that is read only by its own setting is no read-write one: readers ask for the primary.
    readers_url = url.replace("target_session_attrs=read-write", "target_session_attrs=primary")

    def engine(of_url: str, role_settings: dict[str, str], *, isolation_level: Any, pool_size: int) -> AsyncEngine:
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=_connector(of_url, pooler=pooler, settings=role_settings),
            isolation_level=isolation_level,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=READ_SECONDS,
        )

    return Database(
        url,
        writer=LoopWriter(engine(url, _writer_settings(), isolation_level="AUTOCOMMIT", pool_size=lanes)),
        snapshots=engine(
            readers_url, _reader_settings(), isolation_level="REPEATABLE READ", pool_size=read_connections
        ),
        statements=engine(readers_url, _reader_settings(), isolation_level="AUTOCOMMIT", pool_size=read_connections),
    )


def _connector(url: str, *, pooler: bool, settings: dict[str, str]) -> Connector:
    dsn = url.replace("postgres://", "postgresql://", 1)

    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_SECONDS,
            # A pooler hands the next transaction to another session: nothing may be kept in this one.
            statement_cache_size=0 if pooler else 100,
            server_settings=None if pooler else settings,
        )
        _notice_a_vanished_server(connection)
        return connection

    return connect


def _notice_a_vanished_server(connection: asyncpg.Connection) -> None:
    """Let the kernel end a connection whose other side says nothing for 10 s: a COMMIT is never timed out by us."""
    transport = getattr(connection, "_transport", None)
    peer = transport.get_extra_info("socket") if transport else None
    if peer is None or peer.family == socket.AF_UNIX:
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10_000)):
        if hasattr(socket, option):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _writer_settings() -> dict[str, str]:
    return {
        "application_name": "marketplace writer",
        "lock_timeout": f"{LOCK_SECONDS}s",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10000",
        "jit": "off",
    }


def _reader_settings() -> dict[str, str]:
    return {
        "application_name": "marketplace reader",
        "default_transaction_read_only": "on",
        "statement_timeout": f"{READ_SECONDS}s",
        "jit": "off",
    }
