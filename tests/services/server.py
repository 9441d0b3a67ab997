"""`marketplace serve` as a child process: started, frozen, killed, read and reaped by a test."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.services.children import Child, free_port
from tests.services.nursery import Nursery

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """One server on a loopback port of its own. `start` returns when /readyz says yes."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        command: str = "serve",
        nursery: Nursery | None = None,
    ) -> None:
        self.folder = folder
        self._nursery = nursery
        self.port = free_port()
        self.log = folder / f"{command}-{self.port}.log"
        self.environment = clean_environment() | dict(environment or {})
        self._arguments = [sys.executable, "-m", "marketplace", command, "--database-url", database_url, *flags]
        self._listens = command == "serve"
        if self._listens:
            self._arguments += ["--port", str(self.port)]
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, wait_seconds: float = 30) -> None:
        """Start it and, where it listens, wait until it is ready. Raises RuntimeError with its log when it is not."""
        self.child = Child(
            self._arguments,
            log=self.log,
            environment=self.environment,
            folder=self.folder,
            own_group=True,
            nursery=self._nursery,
        )
        deadline = time.monotonic() + wait_seconds
        while self._listens and not self.is_ready():
            if not self.child.is_running or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not get ready:\n{self.read_log()[-4000:]}")
            time.sleep(0.05)

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self, *, timeout_seconds: float = 30) -> int:
        """SIGTERM: it drains and ends. Returns its exit code, which is -9 if it had to be killed."""
        return self._running().end(signal.SIGTERM, timeout_seconds=timeout_seconds)

    def kill(self) -> None:
        """SIGKILL to it and all its workers, now."""
        self._running().send_to_group(signal.SIGKILL)
        self._running().end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same port after `stop` or `kill`."""
        self.start()

    def freeze(self) -> None:
        """SIGSTOP to it and all its workers: connections stay open, nothing moves."""
        self._running().send_to_group(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_to_group(signal.SIGCONT)

    def read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """End it however it stands, and leave its log among what pytest shows of a failed test."""
        if self.child is not None and self.child.is_running:
            self.thaw()
            self.stop(timeout_seconds=15)
            self.child.send_to_group(signal.SIGKILL)
        print(f"── {self.log.name} ──\n{self.read_log()[-4000:]}")

    def _running(self) -> Child:
        assert self.child is not None, "start it first"
        return self.child


def clean_environment() -> dict[str, str]:
    """Return our environment with this tree importable from anywhere, and without settings of the developer's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETPLACE_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
