"""The services that tests stand on do what they claim: a crash is a crash, a replica follows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import asyncpg
import pytest

from marketplace import __version__
from tests.services import postgres
from tests.services.children import Child
from tests.services.nursery import Nursery
from tests.services.relay import Relay
from tests.services.server import clean_environment


def test_each_test_gets_a_database_of_its_own(postgres_databases: postgres.Databases) -> None:
    first, second = postgres_databases.create(), postgres_databases.create()
    postgres.execute(postgres_databases.url(first), "CREATE TABLE here (id int)")
    with pytest.raises(asyncpg.UndefinedTableError):
        postgres.execute(postgres_databases.url(second), "SELECT id FROM here")
    postgres_databases.drop(first)
    postgres_databases.drop(second)


@pytest.mark.crashes
def test_a_durable_cluster_keeps_what_was_committed_before_a_crash(durable_cluster: postgres.Cluster) -> None:
    assert durable_cluster.execute("SHOW fsync")[0][0] == "on"
    durable_cluster.execute("CREATE TABLE kept (id int)")
    durable_cluster.restart("immediate")
    durable_cluster.kill()
    durable_cluster.start()
    assert durable_cluster.execute("SELECT count(*) FROM kept")[0][0] == 0


@pytest.mark.crashes
def test_a_replica_follows_its_primary(durable_cluster: postgres.Cluster) -> None:
    with durable_cluster.replica("follower") as replica:
        durable_cluster.execute("ALTER SYSTEM SET synchronous_standby_names = 'follower'")
        durable_cluster.execute("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
        durable_cluster.execute("SELECT pg_reload_conf()")
        durable_cluster.execute("CREATE TABLE copied (id int)")
        assert replica.execute("SELECT count(*) FROM copied")[0][0] == 0


@pytest.mark.parametrize(("arguments", "code", "says"), [("--version", 0, __version__), ("serve --port 0", 2, "port")])
def test_what_is_forked_runs_with_arguments_a_log_and_an_end_of_its_own(
    tmp_path: Path, nursery: Nursery | None, arguments: str, code: int, says: str
) -> None:
    command: list[str | Path] = [sys.executable, "-m", "marketplace", *arguments.split()]
    environment, log = clean_environment(), tmp_path / "log"
    child = Child(command, log=log, environment=environment, folder=tmp_path, own_group=True, nursery=nursery)
    assert child.process.wait(60) == code
    assert says in child.read_log()
    assert not child.is_running


# ── the relay, before a real server ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def relay(postgres_cluster: postgres.Cluster, start_relay: Callable[[int], Relay]) -> Relay:
    return start_relay(postgres_cluster.port)


async def insert_in_a_transaction(url: str, number: int) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        async with connection.transaction():
            await connection.execute("INSERT INTO effects VALUES ($1)", number)
    finally:
        connection.terminate()


def count_effects(url: str) -> int:
    count: int = postgres.execute(url, "SELECT count(*) FROM effects")[0][0]
    return count


@pytest.mark.crashes
@pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
async def test_the_relay_cuts_before_or_after_a_commit(
    when: str, effects: int, relay: Relay, postgres_cluster: postgres.Cluster, empty_postgres_url: str
) -> None:
    name = empty_postgres_url.partition("?")[0].rpartition("/")[2]
    url = postgres_cluster.url(name, port=relay.port)
    postgres.execute(url, "CREATE TABLE effects (number int)")
    relay.cut("before" if when == "before" else "after")
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await insert_in_a_transaction(url, 1)
    assert (relay.cuts, count_effects(url)) == (1, effects)
    await insert_in_a_transaction(url, 2)
    assert count_effects(url) == effects + 1


@pytest.mark.crashes
async def test_the_relay_holds_what_it_swallows_until_it_passes_again(
    relay: Relay, postgres_cluster: postgres.Cluster
) -> None:
    connection = await asyncpg.connect(postgres_cluster.url(port=relay.port))
    relay.blackhole()
    with anyio.move_on_after(0.2) as patience:
        await asyncio.shield(answer := asyncio.ensure_future(connection.fetchval("SELECT 42")))
    assert patience.cancelled_caught
    relay.pass_on()
    assert await answer == 42
    relay.reset()
    with pytest.raises((OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        await connection.fetchval("SELECT 1")
    relay.refuse()
    with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
        await asyncpg.connect(postgres_cluster.url(port=relay.port))
    connection.terminate()
