"""The services that tests stand on do what they claim: a crash is a crash, a replica follows."""

from __future__ import annotations

import asyncpg
import pytest

from tests.services import postgres


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
