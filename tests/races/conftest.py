from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.races.town import Town

if TYPE_CHECKING:
    from tests.conftest import StartServer


@pytest.fixture
def town(engine: str, database_url: str, start_server: StartServer) -> Town:
    """Two server processes and one of jobs on one Postgres; on SQLite one process that does all of it."""
    # Patient: on a machine that is busy with other tests nobody is to be sent away for that.
    flags = ("--max-waiting-seconds", "60", "--no-access-log")
    servers = [start_server(database_url, *flags) for _ in range(2 if engine == "postgres" else 1)]
    if engine == "postgres":
        start_server(database_url, command="work")
    return Town(database_url, servers)
