from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from marketplace.client import NEVER_AGAIN, Client
from tests.services.server import Server

if TYPE_CHECKING:
    from tests.conftest import StartServer


@pytest.fixture
def server(engine: str, database_url: str, start_server: StartServer) -> Server:
    """A running marketplace, jobs included, on each engine in turn."""
    if engine == "postgres":
        start_server(database_url, command="work")
    return start_server(database_url, "--max-waiting-seconds", "60")


@pytest.fixture
def market(server: Server) -> Iterator[Client]:
    """The SDK, pointed at it. It tells every failure, and tries nothing again."""
    with Client(server.url, retry=NEVER_AGAIN) as client:
        yield client


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """Plain HTTP, for those who need no SDK."""
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client
