"""Where tests keep their files: in memory, where the machine has a folder for that with room enough.

Making a database takes ten times as long on a disk. Nothing that a test can see is lost: a process that is killed
leaves its files as they are in either place, and no test takes the power away.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path

ENOUGH_BYTES = 3 * 2**30
"""For the databases of two test processes several times over."""

_IN_MEMORY = Path("/dev/shm")


@functools.cache
def folder() -> Path:
    """Return the folder to make others in: a short path, since a Unix socket's may be about 100 characters long."""
    if _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free >= ENOUGH_BYTES:
        return _IN_MEMORY
    return Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())


def use() -> None:
    """Have this process, and those that it starts, make their temporary files there, unless TMPDIR says where."""
    if "TMPDIR" not in os.environ and folder() == _IN_MEMORY:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder())
