"""What docs/operations.md tells an operator to do works."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import uuid
from pathlib import Path

from marketplace import hours
from marketplace.database import Lane, open_database, schema
from tests.conftest import StartServer
from tests.reports import documents
from tests.services import postgres
from tests.services.children import free_port

NAME = "docs/operations.md"


async def test_a_url_of_several_hosts_writes_and_reads_on_the_one_that_takes_writes(
    postgres_cluster: postgres.Cluster,
) -> None:
    (written,) = re.findall(r"postgresql://marketplace@(db1\S+)", documents.text(NAME))
    name = f"hosts_{uuid.uuid4().hex[:8]}"
    postgres_cluster.execute(f"CREATE DATABASE {name}")
    hosts = f"127.0.0.1:{free_port()},127.0.0.1:{postgres_cluster.port}"
    url = "postgresql://postgres@" + re.sub(r"^[^/]+/marketplace", f"{hosts}/{name}", written)
    assert url.endswith(f"/{name}?target_session_attrs=read-write")
    await asyncio.to_thread(schema.upgrade, url)
    database = open_database(url)
    lane = Lane(hours.LANE, database, hours.handlers())
    await lane.start()
    await lane.run(hours.PlaceBid("default", "u1", 1, 1))
    assert await database.read_one(hours.total_allocated, "default", "u1") == 0
    assert (await database.read(hours.find_market, "default")).state == "open"
    await lane.drain()
    await database.close()


def test_a_copy_of_a_file_that_is_being_served_is_whole(
    sqlite_url: str, start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(sqlite_url)
    (statement,) = re.findall(r'marketplace\.db "(VACUUM INTO .*?)"$', documents.text(NAME), re.MULTILINE)
    copy = tmp_path / "copy.db"
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute(statement.replace("copy.db", str(copy)))
    connection.close()
    assert server.is_ready()
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT market FROM markets").fetchall() == [("default",)]
    connection.close()
