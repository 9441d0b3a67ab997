"""Servers that start at once: forked from a process that has loaded the program already.

What runs is `marketplace serve` all the same, with its own arguments, variables, folder, log and process group. Only
loading its modules is spared, which takes ten times as long as everything else that a start does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tests.services.parting import die_with_parent


class Nursery:
    """The process that forks. Start it from a thread that lives as long as what it forks should."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
            text=True,
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),
        )

    def fork(
        self, arguments: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], folder: Path
    ) -> Forked:
        """Run `marketplace` with arguments, in a process group of its own."""
        told = {"arguments": [str(each) for each in arguments], "environment": dict(environment)}
        return Forked(self, self.ask(told | {"log": str(log), "folder": str(folder)}))

    def ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


class Forked:
    """A process of the nursery's, with the names that `subprocess.Popen` has for the same."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a forked server", timeout or 0.0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


# ── in the process that forks ────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Fork for whoever asks, and say how those ended; end when nobody can ask any more."""
    _load()
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    for line in requests:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif answer := os.fork():
            os.setpgid(answer, answer)
        else:
            requests.close()
            answers.close()
            _become(request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _load() -> None:
    for name in (
        "marketplace.app",
        "marketplace.cli.root",
        "marketplace.cli.serving",
        "uvicorn.lifespan.on",
        "uvicorn.loops.uvloop",
        "uvicorn.protocols.http.httptools_impl",
    ):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _become(request: dict[str, Any]) -> NoReturn:
    from marketplace.cli import main

    os.setpgid(0, 0)
    die_with_parent(signal.SIGTERM)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, standard in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(ours, standard)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.argv = ["marketplace", *request["arguments"]]
    main()
    sys.exit()


if __name__ == "__main__":
    main()
