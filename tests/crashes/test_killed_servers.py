"""Server processes and databases killed, frozen and stopped under load: what was acknowledged is there."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.crashes.crowd import Crowd, check
from tests.crashes.holding import held_lane
from tests.services import postgres
from tests.services.server import Server

if TYPE_CHECKING:
    from tests.conftest import StartServer

MORE = 60
"""Orders acknowledged between two crashes."""


@pytest.fixture
def url(request: pytest.FixtureRequest, engine: str) -> str:
    """A migrated database of the test's own, on each engine in turn; on Postgres with fsync."""
    if engine == "sqlite":
        file: str = request.getfixturevalue("sqlite_url")
        return file
    cluster: postgres.Cluster = request.getfixturevalue("cluster")
    return cluster.url(request.getfixturevalue("database_name"))


@pytest.fixture
def postgres_url(cluster: postgres.Cluster, database_name: str) -> str:
    return cluster.url(database_name)


# ── killed ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_killed_server_loses_nothing_that_it_acknowledged(url: str, start_server: StartServer) -> None:
    kill_servers(url, start_server, rounds=2)


@pytest.mark.soak
def test_a_server_killed_many_times_loses_nothing_that_it_acknowledged(url: str, start_server: StartServer) -> None:
    kill_servers(url, start_server, rounds=40)


def kill_servers(url: str, start_server: StartServer, *, rounds: int) -> None:
    server = start_server(url)
    with Crowd(server.port) as crowd:
        for _ in range(rounds):
            crowd.wait_for_more(MORE)
            server.kill()
            server.restart()
        crowd.wait_for_more(MORE)
    check(url, crowd)


def test_a_crashed_database_loses_nothing_that_was_acknowledged(
    cluster: postgres.Cluster, postgres_url: str, start_server: StartServer
) -> None:
    crash_databases(cluster, postgres_url, start_server, rounds=3)


@pytest.mark.soak
def test_a_database_crashed_many_times_loses_nothing_that_was_acknowledged(
    cluster: postgres.Cluster, postgres_url: str, start_server: StartServer
) -> None:
    crash_databases(cluster, postgres_url, start_server, rounds=60)


def crash_databases(cluster: postgres.Cluster, url: str, start_server: StartServer, *, rounds: int) -> None:
    server = start_server(url)
    with Crowd(server.port) as crowd:
        for _ in range(rounds):
            crowd.wait_for_more(MORE)
            cluster.restart("immediate")
        crowd.wait_for_more(MORE)
    check(url, crowd)


# ── frozen with the lane in its hand ─────────────────────────────────────────────────────────────────────────────────


HOLDERS = """
SELECT a.state
  FROM pg_locks AS l
  JOIN pg_stat_activity AS a USING (pid)
 WHERE l.relation = 'lane_hours'::regclass AND l.mode = 'ExclusiveLock' AND l.granted
"""


def test_a_server_frozen_with_the_lane_is_passed_by_and_does_no_harm_when_it_wakes(
    postgres_url: str, start_server: StartServer
) -> None:
    freeze_holders(postgres_url, start_server, rounds=1)


@pytest.mark.soak
def test_a_server_frozen_again_and_again_does_no_harm(postgres_url: str, start_server: StartServer) -> None:
    freeze_holders(postgres_url, start_server, rounds=10)


def freeze_holders(url: str, start_server: StartServer, *, rounds: int) -> None:
    frozen, other = start_server(url), start_server(url)
    crowds = []
    for _ in range(rounds):
        with Crowd(frozen.port) as theirs:
            theirs.wait_for_more(MORE)
            freeze_with_the_lane(url, frozen)
            with Crowd(other.port) as ours:
                assert ours.wait_for_more(1, within_seconds=60) > 1, "it was not the lane that was frozen"
                ours.wait_for_more(MORE)
                frozen.thaw()
                theirs.wait_for_more(MORE)
        crowds += [theirs, ours]
    check(url, *crowds)


def freeze_with_the_lane(url: str, server: Server) -> None:
    """Freeze a server, which alone is under load, until that happens between two statements of a transaction."""
    for _ in range(200):
        server.freeze()
        if has_stopped_in_its_turn(url):
            return
        server.thaw()
        time.sleep(0.01)
    raise AssertionError("200 times it did not have the lane")


def has_stopped_in_its_turn(url: str) -> bool:
    """Tell whether the lane's holder waits for its frozen client: a statement under way is let come to its end."""
    while True:
        states = [row["state"] for row in postgres.execute(url, HOLDERS)]
        if states != ["active"]:
            return states == ["idle in transaction"]


# ── stopped ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("engine", "workers"), [("sqlite", 1), ("postgres", 1), ("postgres", 2)])
def test_a_stopped_server_has_answered_everything_that_it_accepted(
    workers: int, url: str, start_server: StartServer
) -> None:
    server = start_server(url, "--workers", str(workers))
    assert server.child is not None
    with Crowd(server.port) as crowd:
        crowd.wait_for_more(MORE)
        with held_lane(url):
            wait_for_waiting_orders(server, 12)
            before = len(crowd.told.done)
            server.child.send(signal.SIGTERM)
            time.sleep(1.0)  # longer than it gives to those that are nearly done, and than a parent takes to pass it on
        assert server.stop() == 0, server.read_log()
    assert len(crowd.told.done) >= before + 12
    check(url, crowd, unheard_may_have_happened=False)


def wait_for_waiting_orders(server: Server, count: int) -> None:
    """Wait until so many orders are before the lane, in all processes of the server together."""
    line = f'marketplace_lane_waiting_orders{{lane="hours"}} {float(count)}'
    deadline = time.monotonic() + 60
    while line not in httpx.get(f"{server.url}/metrics").text:
        assert time.monotonic() < deadline, "they do not all wait"
        time.sleep(0.005)
