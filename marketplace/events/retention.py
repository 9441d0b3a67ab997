"""Cutting the old end off a lane's log, archived first where the operator wants it."""

from __future__ import annotations

import asyncio
import gzip
import os
import tempfile
from pathlib import Path

from marketplace.database import Database, Lane
from marketplace.database.upkeep import Cut
from marketplace.events import lookups
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

CHUNK = 1000


async def cut_log(database: Database, lane: Lane, *, before: Instant, archive: Path | None) -> int:
    """Cut off what is older than an instant and needed by nobody, a chunk a transaction; return how many entries.

    A chunk is in the archive, on the disk, before it is deleted. A process that dies in between writes it again, so
    files may overlap: the seqs in their names tell.
    """
    count = 0
    while span := await database.read(lookups.read_removable, lane.name, before=before, limit=CHUNK):
        first, last = span
        if archive is not None:
            entries = await database.read_one(lookups.read_entries, lane.name, first=first, last=last)
            lines = b"".join(entry.json + b"\n" for entry in entries)
            await asyncio.to_thread(write_durably, archive / f"{lane.name}-{first:019}-{last:019}.jsonl.gz", lines)
        count += await lane.run(Cut(through=last, limit=CHUNK))
    return count


def days_ago(days: int) -> Instant:
    return clock.now() - days * clock.DAY


def write_durably(file: Path, content: bytes) -> None:
    """Write a compressed file as a whole or not at all, and return once it is on the disk."""
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as unfinished:
        unfinished.write(gzip.compress(content, mtime=0))
        unfinished.flush()
        os.fsync(unfinished.fileno())
    Path(unfinished.name).replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
