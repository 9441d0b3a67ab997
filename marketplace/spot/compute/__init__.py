"""Where containers run: one Protocol, and backends that are found by name.

    simulated   no containers at all: they start, run, exit, fail and hang by seeded rules
    docker      a Docker Engine, on this machine or a remote one with TLS
    kubernetes  a pod a lease

A backend is level-triggered: whoever asks says what should be, looks at what is, and asks again. Nothing is remembered
here; what runs is what the backend itself says, so a server that was killed finds everything again.

    connected = await compute.connect("docker", "town", {"url": "unix:///var/run/docker.sock"})
    await connected.start(spec)                                 # again and again, if in doubt: one container a lease
    await connected.stop("lease-7", grace_seconds=90)           # asked to end now, killed after 90 s
    await connected.inspect("lease-7")                          # Container(state="exited", exit_code=0, …)
    await connected.remove("lease-7")                           # until then its end and its log can be read

Others add theirs as an entry point of the group `marketplace.spot.backends` that names a `Connect`.
"""

from __future__ import annotations

import importlib.metadata
import pkgutil
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from marketplace.spot.compute.errors import BackendError, BadSettings, Unavailable
from marketplace.spot.compute.model import MAX_LOG_LINES, OWNER, Capacity, Container, Spec, State

__all__ = [
    "MAX_LOG_LINES",
    "Backend",
    "BackendError",
    "BadSettings",
    "Capacity",
    "Connect",
    "Container",
    "Spec",
    "State",
    "Unavailable",
    "connect",
    "names",
]

GROUP = "marketplace.spot.backends"
BUILT_IN = {
    "simulated": "marketplace.spot.compute.simulated:connect",
    "docker": "marketplace.spot.compute.docker:connect",
    "kubernetes": "marketplace.spot.compute.kubernetes:connect",
}
"""What pyproject.toml declares in that group: a checkout that was never installed has no entry points."""


class Backend(Protocol):
    """The containers of one node. Every call is bounded in time and may raise Unavailable; none is undone by being
    cancelled. Containers of other owners, and whatever else runs there, are neither seen nor touched.
    """

    async def start(self, spec: Spec) -> Container:
        """See to it that this lease has its one container, and return it.

        A container that is there already, even one that has ended, is returned as it is: a lease runs once. One that
        cannot be started is returned as `failed` with the reason. May take as long as the image takes to arrive.
        """
        ...

    async def stop(self, lease_id: str, *, grace_seconds: int) -> None:
        """Ask a container to end (SIGTERM) and let the backend, by its own clock, kill it after `grace_seconds`.

        Returns soon, not at the end. Asked again, the earlier end holds. Nothing to stop is no error.
        """
        ...

    async def remove(self, lease_id: str) -> None:
        """Forget a container with its log, and kill it first where it runs. Nothing to remove is no error."""
        ...

    async def inspect(self, lease_id: str) -> Container | None:
        """Return a lease's container, or None where there is none."""
        ...

    async def containers(self) -> list[Container]:
        """Return every container of this owner that was not removed, whoever started it, by lease id."""
        ...

    async def logs(self, lease_id: str, *, lines: int = 100) -> str | None:
        """Return the end of what a container wrote: at most so many lines, MAX_LOG_LINES of them and 64 KiB.

        None where there is no container; empty where a backend keeps no log after an end that was asked for.
        """
        ...

    async def capacity(self) -> Capacity:
        """Return what the node offers; that it answers at all is its sign of life."""
        ...

    async def close(self) -> None:
        """Let go of connections. Containers go on."""
        ...


class Connect(Protocol):
    """What an entry point names. `owner` marks the containers: give each node of each installation its own."""

    async def __call__(self, owner: str, settings: Mapping[str, Any]) -> Backend: ...


def names() -> list[str]:
    """Return the names that `connect` knows."""
    return sorted({*BUILT_IN, *importlib.metadata.entry_points(group=GROUP).names})


async def connect(name: str, owner: str, settings: Mapping[str, Any]) -> Backend:
    """Return the backend of that name for one node. It need not be reachable yet. Raises BadSettings."""
    if not OWNER.fullmatch(owner):
        raise BadSettings(f"An owner is up to 26 of a-z and 0-9, and {owner!r} is not.")
    try:
        return await _find(name)(owner, settings)
    except msgspec.ValidationError as wrong:
        raise BadSettings(f"The settings of the backend {name} cannot be used: {wrong}.") from None


def _find(name: str) -> Connect:
    """Load a backend: an installed one before ours of the same name, so that it can be replaced."""
    installed = {found.value for found in importlib.metadata.entry_points(group=GROUP, name=name)}
    places = sorted(installed - {BUILT_IN.get(name)}) or [BUILT_IN[name]] if name in BUILT_IN else sorted(installed)
    if not places:
        raise BadSettings(f"No backend is called {name!r}; there are {', '.join(names())}.")
    if len(places) > 1:
        raise BadSettings(f"More than one backend is called {name!r}: {', '.join(places)}.")
    try:
        found: Connect = pkgutil.resolve_name(places[0])
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("marketplace"):
            raise
        raise BadSettings(f"The backend {name} needs {missing.name}: pip install 'marketplace[{name}]'.") from None
    return found
