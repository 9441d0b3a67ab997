"""A durable server for a file of tests, and lanes of the counters on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from marketplace.database import Database, open_database
from tests.database import counters
from tests.database.lanes import Lanes
from tests.services import postgres
from tests.services.clock import SettableClock


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[EventDict]]:
    """What was logged: kept, not written, since a written stack takes longer than the test."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    """A server with fsync, for the tests of one file. Each leaves it running, with its usual settings."""
    try:
        with postgres.running(durable=True) as running:
            yield running
    except postgres.NoBinaries as missing:
        postgres.unavailable(str(missing))


@pytest.fixture(scope="module")
def cluster_databases(cluster: postgres.Cluster) -> Iterator[postgres.Databases]:
    databases = postgres.Databases(cluster.url())
    yield databases
    databases.close()


@pytest.fixture
def database_name(cluster_databases: postgres.Databases) -> Iterator[str]:
    """A migrated database of the test's own on that server."""
    name = cluster_databases.create_migrated()
    yield name
    cluster_databases.drop(name)


@pytest.fixture
async def database(cluster: postgres.Cluster, database_name: str) -> AsyncIterator[Database]:
    opened = open_database(cluster.url(database_name))
    yield opened
    await opened.close()


@pytest.fixture
async def lanes(database: Database, clock: SettableClock) -> AsyncIterator[Lanes]:
    """Starts lanes of the counters on the test's database; drains them at the end."""
    await counters.create_tables(database)
    opened = Lanes(database, clock)
    yield opened
    await opened.drain()


@pytest.fixture
def books(database: Database, lanes: Lanes) -> counters.Books:
    return counters.Books(database)
