"""What a row runs against: one durable PostgreSQL, databases on it, and server processes; all ended with the stage."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.server import PROFILE
from marketplace.database import schema
from tests.services import postgres
from tests.services.server import ROOT, Server, clean_environment

# Memory as an operator gives it, and room for the log of writes so that checkpoints come by time. Nothing unsafe.
POSTGRES = {"shared_buffers": "2GB", "max_wal_size": "8GB", "max_connections": "300"}


class BenchmarkServer(Server):
    """A server process that has the handlers that do nothing as well."""

    def __init__(self, folder: Path, database_url: str, *flags: str, environment: Mapping[str, str]) -> None:
        super().__init__(folder, database_url, *flags, environment=environment)
        self._arguments[self._arguments.index("marketplace")] = "benchmarks.server"

    @property
    def pid(self) -> int:
        return self._running().pid


class Stage:
    """One cluster and one folder for a whole run of the program."""

    def __init__(self, cluster: postgres.Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self._databases = postgres.Databases(cluster.url())
        self._files = 0

    @property
    def postgres_pid(self) -> int:
        assert self.cluster.server
        return self.cluster.server.pid

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of a new, migrated database on Postgres."""
        name = self._databases.create_migrated()
        try:
            yield self._databases.url(name)
        finally:
            self._databases.drop(name)

    @contextlib.contextmanager
    def sqlite(self) -> Iterator[str]:
        """Yield the URL of a new embedded database, on the same disk."""
        self._files += 1
        file = self.folder / f"market-{self._files}.db"
        schema.upgrade(f"sqlite:///{file}")
        try:
            yield f"sqlite:///{file}"
        finally:
            for part in self.folder.glob(f"{file.name}*"):
                part.unlink()

    @contextlib.contextmanager
    def server(self, database_url: str, *flags: str, profile: Path | None = None) -> Iterator[BenchmarkServer]:
        """Yield a running server process."""
        environment = {PROFILE: str(profile)} if profile else {}
        server = BenchmarkServer(self.folder, database_url, *flags, environment=environment)
        server.start()
        try:
            yield server
        finally:
            server.stop()
            server.log.unlink(missing_ok=True)


@contextlib.contextmanager
def running() -> Iterator[Stage]:
    with postgres.running(durable=True, settings=POSTGRES) as cluster, _folder() as folder:
        yield Stage(cluster, folder)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield Path(name)


def audit(database_url: str) -> str:
    """Prove the books after a load, with the product's own command. Raises RuntimeError where they are wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "marketplace", "db", "audit", "--database-url", database_url],
        env=os.environ | clean_environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the books are wrong after the load:\n{done.stdout}{done.stderr}")
    return done.stdout.strip().splitlines()[-1]
