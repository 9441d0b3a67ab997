"""A real server of our own on a temporary file and a free port, for as long as a command needs it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from marketplace.cli.terminal import Stop

START_SECONDS = 30
STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the temporary server and its files are."""

    url: str
    database_url: str
    log: Path

    def read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def temporary_place() -> Iterator[Place]:
    """Choose a free port and a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="marketplace-") as folder:
        file = Path(folder) / "marketplace.db"
        yield Place(f"http://127.0.0.1:{_free_port()}", f"sqlite:///{file}", Path(folder) / "server.log")


@contextlib.contextmanager
def serving(place: Place) -> Iterator[None]:
    """Run the server there while the body runs; it is stopped gently, however the body ends."""
    port = place.url.rpartition(":")[2]
    command = [sys.executable, "-m", "marketplace", "serve", "--port", port, "--database-url", place.database_url]
    with place.log.open("wb") as log, _sigterm_as_exit():
        server = subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--log-format", "json", "--no-access-log"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_without_settings(os.environ),
        )
        try:
            _wait_until_ready(server, place)
            yield
        finally:
            _stop(server)


def _wait_until_ready(server: subprocess.Popen[bytes], place: Place) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Stop(f"The server did not start:\n{place.read_log()[-2000:]}")
        if _is_ready(f"{place.url}/readyz"):
            return
        time.sleep(0.05)
    raise Stop(f"The server was not ready within {START_SECONDS} s:\n{place.read_log()[-2000:]}")


def _is_ready(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2):
            return True
    except OSError:
        return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Let SIGTERM unwind us, so that the server is stopped and its files are deleted."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("MARKETPLACE_")}


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
