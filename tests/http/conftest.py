"""Applications in this process, each on an embedded database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from marketplace.app import create_app
from marketplace.foundation.settings import Settings

Client = TestClient[Any]
Serve = Callable[..., AbstractContextManager[Client]]

ORIGIN = "http://127.0.0.1:8080"


@contextmanager
def serving(file: Path, *, extra_handlers: tuple[Any, ...] = (), **settings: Any) -> Iterator[Client]:
    app = create_app(Settings(database_url=f"sqlite:///{file}", **settings), extra_handlers=extra_handlers)
    with TestClient(app, base_url=ORIGIN, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One application for all tests that do not mind each other."""
    with serving(tmp_path_factory.mktemp("http") / "shared.db") as client:
        yield client


@pytest.fixture
def serve(sqlite_url: str) -> Serve:
    """Start an application with settings, or handlers, of the test's own: `with serve(cors_origins=(…,)) as client`."""
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    return lambda **options: serving(file, **options)


@pytest.fixture
def pool(serve: Serve) -> Iterator[Client]:
    """An application of the test's own, whose addresses nobody else asks for."""
    with serve() as client:
        yield client
