from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from litestar.testing import TestClient

from marketplace.app import create_app
from marketplace.foundation.settings import Settings
from tests.dashboard.browsing import Browser
from tests.dashboard.screen import WIDE, Screen
from tests.http.conftest import ORIGIN, Client
from tests.http.keyed import Keyed, keyed
from tests.services import chromium

if TYPE_CHECKING:
    import playwright.sync_api


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


# ── a real browser ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def chrome() -> Iterator[playwright.sync_api.Browser]:
    """One browser for the stories of a file. Not for all: it keeps a loop running, and asynchronous tests mind that."""
    with chromium.running() as browser:
        yield browser


@pytest.fixture
def screen(chrome: playwright.sync_api.Browser, tmp_path: Path) -> Iterator[Callable[..., Screen]]:
    """Open browsers of several visitors. No console may have complained, and no page have asked another host."""
    opened: list[Screen] = []

    def open_screen(url: str, size: tuple[int, int] = WIDE, **more: Any) -> Screen:
        context = chrome.new_context(viewport={"width": size[0], "height": size[1]}, **more)
        opened.append(Screen(context, url, tmp_path))
        return opened[-1]

    yield open_screen
    for one in opened:
        one.context.close()
        assert one.complaints == []
        assert one.strangers == []
