"""The way to a node's backend, the same for whoever looks after it and for whoever reads a log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marketplace.spot import compute
from marketplace.spot.compute import Backend, BadSettings
from marketplace.spot.errors import BadNodeSettings

PREFIX = "l"
"""Of a lease's id, where a backend is told of it."""


def name_of(lease_id: int) -> str:
    """Return what backends call a lease."""
    return f"{PREFIX}{lease_id}"


def lease_of(name: str) -> int | None:
    """Return the lease that a backend calls so, None for a name that none of ours has."""
    digits = name.removeprefix(PREFIX)
    return int(digits) if name.startswith(PREFIX) and digits.isdecimal() else None


async def connect(backend: str, owner: str, settings: Mapping[str, Any], *, database_url: str) -> Backend:
    """Connect to a node's backend; whoever asks closes it. Raises BadSettings.

    A simulated node for which no file is named has one beside the embedded database, so that its containers are there
    again after a restart. Beside a Postgres there is no such place: its containers are its process's alone.
    """
    if backend == "simulated" and database_url.startswith("sqlite:"):
        file = Path(database_url.removeprefix("sqlite:///"))
        settings = {"file": f"{file}-simulated"} | dict(settings)
    return await compute.connect(backend, owner, settings)


async def check(backend: str, owner: str, settings: Mapping[str, Any], *, database_url: str) -> None:
    """See that a backend can use the settings of a node, which need not answer yet. Raises BadNodeSettings."""
    try:
        connected = await connect(backend, owner, settings, database_url=database_url)
    except BadSettings as wrong:
        raise BadNodeSettings(str(wrong), field="settings") from wrong
    await connected.close()
