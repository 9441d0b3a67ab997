"""The worlds that a conformance test runs in, one after the other."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from marketplace.spot.compute import Backend, connect
from tests.services import docker, kubernetes, postgres
from tests.services.clock import SettableClock
from tests.spot.compute.worlds import RealWorld, SimulatedWorld, Watcher, World


@pytest.fixture
def docker_world(docker_engine: docker.Engine) -> Iterator[World]:
    settings = {"url": docker_engine.url, "network": "none", "pull": False}
    connect_to = functools.partial(connect, "docker", settings=settings)
    world = RealWorld(connect_to, image=docker.IMAGE, close=docker_engine.tidy)
    yield world
    world.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[kubernetes.Cluster]:
    """A Kubernetes API of our own, one a test process."""
    if sys.platform != "linux":
        postgres.unavailable("the kubelet of the Kubernetes stand-in reads /proc")
    with kubernetes.running() as running:
        yield running


@pytest.fixture
def kubernetes_world(cluster: kubernetes.Cluster) -> Iterator[World]:
    settings = {"kubeconfig": str(cluster.write_kubeconfig())}
    connect_to = functools.partial(connect, "kubernetes", settings=settings)
    world = RealWorld(connect_to, image=kubernetes.IMAGE, close=cluster.tidy, keeps_logs=False)
    yield world
    world.close()


@pytest.fixture
def simulated_world(tmp_path: Path, clock: SettableClock) -> World:
    return SimulatedWorld(str(tmp_path / "world.db"), clock)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("docker", "kubernetes")]


@pytest.fixture(params=["simulated", *SLOW])
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
