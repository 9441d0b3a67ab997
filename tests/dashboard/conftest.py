from __future__ import annotations

from collections.abc import Iterator

import pytest
from litestar.testing import TestClient

from marketplace.app import create_app
from marketplace.foundation.settings import Settings
from tests.dashboard.browsing import Browser
from tests.http.conftest import ORIGIN, Client
from tests.http.keyed import Keyed, keyed


@pytest.fixture
def market(sqlite_url: str) -> Iterator[Client]:
    """A market that is open to everybody, and its API."""
    app = create_app(Settings(database_url=sqlite_url, jobs=False))
    with TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def browser(market: Client) -> Browser:
    """A visitor of that market."""
    return Browser(market)


@pytest.fixture
def server(database_url: str) -> Iterator[Keyed]:
    """A market of members with keys, on each engine in turn."""
    with keyed(database_url) as server:
        yield server
