"""Fixtures that every test may ask for: a database on each engine, a clock, a running lane."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

from tests.services import postgres, scratch
from tests.services.clock import SettableClock
from tests.services.nursery import Nursery
from tests.services.relay import Relay
from tests.services.server import Server

if TYPE_CHECKING:
    from marketplace.database import Database, Lane

FOLDERS_AS_MARKERS = ("races", "crashes")

hypothesis.settings.register_profile("usual", deadline=None, print_blob=True)
hypothesis.settings.register_profile("long", parent=hypothesis.settings.get_profile("usual"), max_examples=5_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long forms: tests marked soak, and more examples")


def pytest_configure(config: pytest.Config) -> None:
    scratch.use()
    hypothesis.settings.load_profile("long" if config.getoption("--soak") else "usual")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for name in FOLDERS_AS_MARKERS:
            if name in item.path.parts:
                item.add_marker(name)
        if "soak" in item.keywords and not config.getoption("--soak"):
            item.add_marker(pytest.mark.skip(reason="a long run: give --soak"))


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": False}


@pytest.fixture(scope="session")
def is_soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long form of a test was asked for."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


# ── databases ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """A server for ordinary tests, one a test process: quick, and lost if it crashes."""
    with _cluster(durable=False) as cluster:
        yield cluster


@pytest.fixture
def durable_cluster() -> Iterator[postgres.Cluster]:
    """A server of the test's own, with fsync: to crash, freeze, restart and replicate."""
    with _cluster(durable=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_databases(request: pytest.FixtureRequest) -> Iterator[postgres.Databases]:
    """Databases on the server for ordinary tests, or on the one that the environment names."""
    url = os.environ.get(postgres.OVERRIDE) or request.getfixturevalue("postgres_cluster").url()
    databases = postgres.Databases(url)
    yield databases
    databases.close()


@pytest.fixture
def postgres_url(postgres_databases: postgres.Databases) -> Iterator[str]:
    """A migrated Postgres database of the test's own."""
    name = postgres_databases.create_migrated()
    yield postgres_databases.url(name)
    postgres_databases.drop(name)


@pytest.fixture
def empty_postgres_url(postgres_databases: postgres.Databases) -> Iterator[str]:
    """A Postgres database without any table."""
    name = postgres_databases.create()
    yield postgres_databases.url(name)
    postgres_databases.drop(name)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from marketplace.database import schema

    file = tmp_path_factory.mktemp("template") / "marketplace.db"
    schema.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite file of the test's own."""
    return _copy_sqlite(_sqlite_template, tmp_path)


@pytest.fixture(scope="module")
def module_sqlite_url(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same for all tests of a file."""
    return _copy_sqlite(_sqlite_template, tmp_path_factory.mktemp("module"))


def _copy_sqlite(template: Path, folder: Path) -> str:
    for part in template.parent.glob(f"{template.name}*"):
        if not part.name.endswith(".lock"):
            shutil.copy(part, folder / part.name)
    return f"sqlite:///{folder / template.name}"


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'empty.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """Which engine a test runs on; who asks for it, or for anything built on it, runs on both."""
    name: str = request.param
    return name


@pytest.fixture
def database_url(request: pytest.FixtureRequest, engine: str) -> str:
    """A migrated database of the test's own, on each engine in turn."""
    url: str = request.getfixturevalue(f"{engine}_url")
    return url


@pytest.fixture
def empty_database_url(request: pytest.FixtureRequest, engine: str) -> str:
    """A database without any table, on each engine in turn."""
    url: str = request.getfixturevalue(f"empty_{engine}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    from marketplace.database import open_database

    opened = open_database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def hours_lane(database: Database, clock: Callable[[], int]) -> AsyncIterator[Lane]:
    """The started lane of the hours market, on the settable clock."""
    from marketplace import hours
    from marketplace.database import Lane, Limits

    # Patient: on a machine that is busy with other tests a transaction may take seconds.
    lane = Lane(hours.LANE, database, hours.handlers(), limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    yield lane
    await lane.drain()


@pytest.fixture
async def addresses_lane(database: Database, clock: Callable[[], int]) -> AsyncIterator[Lane]:
    """The started lane of the address pool, on the settable clock, its random addresses the same every time."""
    from marketplace import addresses
    from marketplace.database import Lane, Limits

    handlers = addresses.handlers(random.Random(7))
    lane = Lane(addresses.LANE, database, handlers, limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    yield lane
    await lane.drain()


@pytest.fixture
async def money_lane(database: Database, clock: Callable[[], int]) -> AsyncIterator[Lane]:
    """The started lane of all modules of money on the settable clock, with a made-up one that holds money."""
    from marketplace import auctions, events, ledger, spot
    from marketplace.database import Lane, Limits, money
    from tests.ledger import house

    handlers = {
        **events.handlers(),
        **ledger.handlers(),
        **spot.handlers(),
        **auctions.handlers(),
        **house.handlers(),
    }
    lane = Lane(money.LANE, database, handlers, limits=Limits(max_waiting_seconds=60), clock=clock)
    await lane.start()
    yield lane
    await lane.drain()


# ── processes ────────────────────────────────────────────────────────────────────────────────────────────────────────


class StartServer(Protocol):
    """Starts `marketplace serve` (or another command) and returns it ready; the fixture ends it."""

    def __call__(
        self, database_url: str, *flags: str, environment: Mapping[str, str] | None = None, command: str = "serve"
    ) -> Server: ...


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery | None]:
    """Where servers are forked; none where it is measured which lines they run."""
    if any(name.startswith("COVERAGE_") for name in os.environ):
        yield None
        return
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture
def start_server(tmp_path: Path, nursery: Nursery | None) -> Iterator[StartServer]:
    """Start as many server processes as a test wants: `server = start_server(database_url, "--workers", "2")`."""
    with contextlib.ExitStack() as servers:

        def start(
            database_url: str, *flags: str, environment: Mapping[str, str] | None = None, command: str = "serve"
        ) -> Server:
            # What starts processes of its own starts as it does at the command line.
            of = None if "--workers" in flags else nursery
            server = Server(tmp_path, database_url, *flags, environment=environment, command=command, nursery=of)
            servers.callback(server.close)
            server.start()
            return server

        yield start


@pytest.fixture
def start_relay() -> Iterator[Callable[[int], Relay]]:
    """Put a TCP relay before a port: `relay = start_relay(cluster.port)`, then `cluster.url(port=relay.port)`."""
    with contextlib.ExitStack() as relays:
        yield lambda target_port: relays.enter_context(Relay(target_port))


@contextlib.contextmanager
def _cluster(*, durable: bool) -> Iterator[postgres.Cluster]:
    try:
        with postgres.running(durable=durable) as cluster:
            yield cluster
    except postgres.NoBinaries as missing:
        postgres.unavailable(str(missing))
