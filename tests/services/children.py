"""Child processes that never outlive the test run: started here, signalled here, reaped here."""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services.nursery import Forked, Nursery
from tests.services.parting import die_with_parent


class Child:
    """One process of ours, its output in a file. Start it from a thread that lives as long as it should.

    Linux sends `farewell` to it when the thread that started it ends, so that a killed test run leaves nothing behind.
    A `nursery` forks `python -m marketplace …` instead of starting it.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        account: pwd.struct_passwd | None = None,
        folder: Path | None = None,
        farewell: signal.Signals = signal.SIGTERM,
        own_group: bool = False,
        nursery: Nursery | None = None,
    ) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | Forked
        atexit.register(self.end, farewell)
        if nursery is not None:
            assert environment is not None
            assert folder is not None
            assert own_group, "each that is forked has one"
            self.process = nursery.fork(arguments[3:], log=log, environment=environment, folder=folder)
            return
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # a list, no shell
                [str(argument) for argument in arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=folder,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                process_group=0 if own_group else None,
                preexec_fn=lambda: die_with_parent(farewell),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal. A process that is already gone is no error."""
        if self.is_running:
            self.process.send_signal(number)

    def send_to_group(self, number: signal.Signals) -> None:
        """Send a signal to it and its own children. It must have been started with `own_group`."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self, number: signal.Signals = signal.SIGTERM, *, timeout_seconds: float = 30) -> int:
        """Send a signal and wait for the end, with SIGKILL when patience ends. Returns the exit code."""
        self.send(number)
        if number is not signal.SIGKILL:
            self.send(signal.SIGCONT)  # a stopped process would never hear of it
        try:
            code = self.process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        atexit.unregister(self.end)
        return code

    def read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def free_port() -> int:
    """Return a loopback port that nobody listens on right now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
