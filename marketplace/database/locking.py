"""The lock file beside an embedded database: one long-running process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from marketplace.database import engine


class AlreadyServed(RuntimeError):
    """Another process runs on this file; the message is one sentence for the operator."""


@contextlib.contextmanager
def hold_file(url: str) -> Iterator[None]:
    """Hold `FILE.lock` while the body runs; on Postgres do nothing. Raises AlreadyServed where somebody has it.

    The kernel gives the lock back however the process ends.
    """
    if not url.startswith("sqlite:"):
        yield
        return
    database = engine.sqlite_file(url).absolute()
    path = Path(f"{database}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyServed(
                f"The database {database} is in use by another process (see {path.name} beside it): "
                "stop that one, or give this one another database."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
