"""The worlds that a conformance test runs in, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from marketplace.spot.compute import Backend, connect
from tests.services import docker, postgres
from tests.services.clock import SettableClock
from tests.spot.compute.worlds import RealWorld, SimulatedWorld, Watcher, World


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[docker.Engine]:
    """A real Docker Engine, one a test process."""
    try:
        with docker.running() as engine:
            yield engine
    except docker.NoEngine as missing:
        postgres.unavailable(str(missing))


@pytest.fixture
def docker_world(docker_engine: docker.Engine) -> Iterator[World]:
    settings = {"url": docker_engine.url, "network": "none", "pull": False}
    world = RealWorld(lambda owner: connect("docker", owner, settings), image=docker.IMAGE, close=docker_engine.tidy)
    yield world
    world.close()


@pytest.fixture
def simulated_world(tmp_path: Path, clock: SettableClock) -> World:
    return SimulatedWorld(str(tmp_path / "world.db"), clock)


@pytest.fixture(params=["simulated", pytest.param("docker", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest) -> World:
    """Somewhere for containers to run; who asks for it runs in each."""
    found: World = request.getfixturevalue(f"{request.param}_world")
    return found


@pytest.fixture
async def backend(world: World) -> AsyncIterator[Backend]:
    connected = await world.connect()
    yield connected
    await connected.close()


@pytest.fixture
def watch(world: World, backend: Backend) -> Watcher:
    return Watcher(world, backend)
