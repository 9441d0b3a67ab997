"""Worlds for the conformance suite: the same containers on every backend, and time that passes in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import anyio
import pytest

from marketplace.foundation.clock import SECOND
from marketplace.spot.compute import Backend, Container, Spec, Unavailable, simulated
from tests.services.clock import SettableClock

Behaviour = Literal["runs", "stubborn", "ends", "eats", "counts", "no image", "no program"]
"""What a container does: runs until asked to stop, does not listen, writes two lines and ends with 7, eats memory until
it is killed, writes the numbers to 5 000, has an image or a program that is not there."""

PATIENCE_SECONDS = 30.0

SCRIPTS = {
    "runs": "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done",
    "stubborn": "trap '' TERM; echo up; while :; do sleep 0.05; done",
    "ends": "echo first; echo last; exit 7",
    "eats": "tail /dev/zero",
    "counts": "seq 1 5000",
}
FATES = {
    "runs": ("print=up",),
    "stubborn": ("print=up", "hangs=true"),
    "ends": ("print=first\nlast", "run=0", "exit=7"),
    "eats": ("run=1", "out_of_memory=true"),
    "counts": ("run=0", "count=5000"),
    "no image": ("fails=no such image",),
    "no program": ("fails=no such program",),
}


class World(Protocol):
    """Somewhere to run containers; `connect` as often as servers would."""

    keeps_logs: bool
    """Whether a log can still be read after an end that was asked for."""

    async def connect(self, owner: str = "town") -> Backend: ...

    def spec(self, lease_id: str, behaviour: Behaviour, **changes: Any) -> Spec: ...

    async def wait(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class SimulatedWorld:
    """The file is the world; every connection is a new server's."""

    keeps_logs = True

    def __init__(self, file: str, clock: SettableClock) -> None:
        self._settings = simulated.Settings(file=file)
        self._clock = clock

    async def connect(self, owner: str = "town") -> Backend:
        return simulated.Simulated(owner, self._settings, self._clock)

    def spec(self, lease_id: str, behaviour: Behaviour, **changes: Any) -> Spec:
        command = ("simulate", *FATES[behaviour])
        return make_spec({"lease_id": lease_id, "image": "anything", "command": command} | changes)

    async def wait(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def close(self) -> None:
        """Nothing runs."""


class RealWorld:
    """A backend whose containers are processes."""

    def __init__(
        self, connect: Callable[[str], Any], *, image: str, close: Callable[[], None], keeps_logs: bool = True
    ) -> None:
        self._connect = connect
        self._image = image
        self.close = close
        self.keeps_logs = keeps_logs

    async def connect(self, owner: str = "town") -> Backend:
        backend: Backend = await self._connect(owner)
        return backend

    def spec(self, lease_id: str, behaviour: Behaviour, **changes: Any) -> Spec:
        image = "localhost:1/nobody/has-this:1" if behaviour == "no image" else self._image
        command = ("sh", "-c", SCRIPTS[behaviour]) if behaviour in SCRIPTS else ("/no/such/program",)
        return make_spec({"lease_id": lease_id, "image": image, "command": command} | changes)

    async def wait(self, seconds: float) -> None:
        await anyio.sleep(seconds)


def make_spec(fields: Mapping[str, Any]) -> Spec:
    return Spec(**{"cpu_millis": 100, "memory_mib": 16, **fields})


async def expect_unavailable(backend: Backend) -> None:
    """Every call says that the backend does not answer, and says so soon."""
    spec = make_spec({"lease_id": "lease-1", "image": "any"})
    for call in (
        backend.start(spec),
        backend.stop("lease-1", grace_seconds=1),
        backend.remove("lease-1"),
        backend.inspect("lease-1"),
        backend.containers(),
        backend.logs("lease-1"),
        backend.capacity(),
    ):
        with anyio.fail_after(5), pytest.raises(Unavailable):
            await call


class Watcher:
    """Looks at one lease until what is waited for has come about."""

    def __init__(self, world: World, backend: Backend) -> None:
        self.world, self.backend = world, backend

    async def until(self, lease_id: str, *states: str) -> Container:
        """Return the container once it is in one of these states."""
        found = await self.look(lease_id, lambda seen: seen is not None and seen.state in states)
        assert found is not None
        return found

    async def until_gone(self, lease_id: str) -> None:
        await self.look(lease_id, lambda seen: seen is None)

    async def until_written(self, lease_id: str, text: str) -> None:
        """Wait for a line in the log: a container that runs may not have come far."""
        for _ in range(round(PATIENCE_SECONDS / 0.05)):
            if text in (await self.backend.logs(lease_id) or ""):
                return
            await self.world.wait(0.05)
        raise AssertionError(f"{lease_id} never wrote {text!r}")

    async def look(self, lease_id: str, is_met: Callable[[Container | None], bool]) -> Container | None:
        seen: Container | None = None
        for _ in range(round(PATIENCE_SECONDS / 0.05)):
            seen = await self.backend.inspect(lease_id)
            if is_met(seen):
                return seen
            await self.world.wait(0.05)
        raise AssertionError(f"still {seen}")


def seconds_between(earlier: int | None, later: int | None) -> float:
    assert earlier is not None
    assert later is not None
    return (later - earlier) / SECOND
