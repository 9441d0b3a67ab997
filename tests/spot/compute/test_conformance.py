"""What every backend promises, proved on each: simulated, a real Docker Engine, a Kubernetes API."""

from __future__ import annotations

import asyncio
import time

import pytest

from marketplace.spot.compute import MAX_LOG_LINES, Backend
from marketplace.spot.compute.model import MAX_LOG_BYTES
from tests.spot.compute.worlds import Watcher, World, seconds_between

KILLED = 137

# ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_started_container_runs_and_is_listed(world: World, backend: Backend, watch: Watcher) -> None:
    started = await backend.start(world.spec("lease-1", "runs"))
    assert (started.lease_id, started.state in ("starting", "running")) == ("lease-1", True)
    running = await watch.until("lease-1", "running")
    assert running.started_at is not None
    assert (running.finished_at, running.exit_code, running.reference) == (None, None, started.reference)
    assert await backend.containers() == [running]


async def test_a_lease_has_one_container_however_often_it_is_started(world: World, backend: Backend) -> None:
    spec = world.spec("lease-1", "runs")
    started = await asyncio.gather(*(backend.start(spec) for _ in range(8)))
    assert len({container.reference for container in started}) == 1
    assert len(await backend.containers()) == 1


async def test_two_servers_that_start_one_lease_start_one_container(world: World, backend: Backend) -> None:
    other = await world.connect()
    spec = world.spec("lease-1", "runs")
    first, second = await asyncio.gather(backend.start(spec), other.start(spec))
    assert first.reference == second.reference
    await other.close()


async def test_a_lease_that_has_ended_does_not_run_again(world: World, backend: Backend, watch: Watcher) -> None:
    spec = world.spec("lease-1", "ends")
    await backend.start(spec)
    ended = await watch.until("lease-1", "exited")
    assert await backend.start(spec) == ended
    assert await backend.logs("lease-1") == "first\nlast\n"


async def test_an_image_that_is_not_there_is_a_failure_with_a_reason(
    world: World, backend: Backend, watch: Watcher
) -> None:
    await backend.start(world.spec("lease-1", "runs"))
    failed = await backend.start(world.spec("lease-2", "no image"))
    if failed.state != "failed":
        failed = await watch.until("lease-2", "failed")
    assert (failed.started_at, failed.exit_code) == (None, None)
    assert "image" in failed.reason.lower()
    await backend.remove("lease-2")
    await watch.until_gone("lease-2")
    assert [container.lease_id for container in await backend.containers()] == ["lease-1"]


async def test_a_program_that_is_not_there_ends_at_once_and_says_so(
    world: World, backend: Backend, watch: Watcher
) -> None:
    ended = await backend.start(world.spec("lease-1", "no program"))
    if ended.state != "failed":  # where an init process of the container's own starts the program, it has run
        ended = await watch.until("lease-1", "failed", "exited")
    said = ended.reason if ended.state == "failed" else await backend.logs("lease-1") or ""
    assert "no such" in said.lower()
    assert ended.exit_code in (None, 127)
    await backend.remove("lease-1")
    await watch.until_gone("lease-1")


# ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_exit_code_and_both_instants_are_told(world: World, backend: Backend, watch: Watcher) -> None:
    await backend.start(world.spec("lease-1", "ends"))
    ended = await watch.until("lease-1", "exited")
    assert (ended.exit_code, ended.out_of_memory) == (7, False)
    assert 0 <= seconds_between(ended.started_at, ended.finished_at) < 20


async def test_running_out_of_memory_is_told_apart_from_an_exit(world: World, backend: Backend, watch: Watcher) -> None:
    await backend.start(world.spec("lease-1", "eats"))
    ended = await watch.until("lease-1", "exited")
    assert (ended.exit_code, ended.out_of_memory) == (KILLED, True)


async def test_a_container_that_listens_ends_before_it_would_be_killed(
    world: World, backend: Backend, watch: Watcher
) -> None:
    await backend.start(world.spec("lease-1", "runs"))
    await watch.until_written("lease-1", "up")
    began = time.monotonic()
    await backend.stop("lease-1", grace_seconds=100)
    ended = await watch.until("lease-1", "exited")
    assert time.monotonic() - began < 20
    assert ended.exit_code not in (KILLED, None)
    assert not ended.out_of_memory


async def test_a_container_that_does_not_listen_is_killed_after_the_grace_and_not_before(
    world: World, backend: Backend, watch: Watcher
) -> None:
    await backend.start(world.spec("lease-1", "stubborn"))
    await watch.until_written("lease-1", "up")
    began = time.monotonic()
    await backend.stop("lease-1", grace_seconds=3)
    assert time.monotonic() - began < 2.5, "stopping returns at once"
    running = await backend.inspect("lease-1")
    assert running is not None
    assert running.state == "running"
    ended = await watch.until("lease-1", "exited")
    assert (ended.exit_code, ended.out_of_memory) == (KILLED, False)


async def test_the_end_comes_even_when_the_server_that_asked_is_gone(world: World, watch: Watcher) -> None:
    server = await world.connect()
    await server.start(world.spec("lease-1", "stubborn"))
    await watch.until_written("lease-1", "up")
    await server.stop("lease-1", grace_seconds=2)
    await server.close()
    ended = await watch.until("lease-1", "exited")
    assert ended.exit_code == KILLED


@pytest.mark.parametrize("graces", [(1000, 1), (1, 1000)])
async def test_of_two_ends_the_earlier_one_holds(
    graces: tuple[int, int], world: World, backend: Backend, watch: Watcher
) -> None:
    await backend.start(world.spec("lease-1", "stubborn", grace_seconds=1000))
    await watch.until_written("lease-1", "up")
    for grace_seconds in graces:
        await backend.stop("lease-1", grace_seconds=grace_seconds)
    assert (await watch.until("lease-1", "exited")).exit_code == KILLED


async def test_a_container_without_any_grace_is_killed(world: World, backend: Backend, watch: Watcher) -> None:
    await backend.start(world.spec("lease-1", "stubborn"))
    await watch.until_written("lease-1", "up")
    await backend.stop("lease-1", grace_seconds=0)
    assert (await watch.until("lease-1", "exited")).exit_code == KILLED


async def test_an_end_and_a_log_can_be_read_until_they_are_removed(
    world: World, backend: Backend, watch: Watcher
) -> None:
    await backend.start(world.spec("lease-1", "runs"))
    await watch.until_written("lease-1", "up")
    await backend.stop("lease-1", grace_seconds=100)
    ended = await watch.until("lease-1", "exited")
    again = await world.connect()
    assert await again.inspect("lease-1") == ended
    assert ("up\n" in (await again.logs("lease-1") or "")) == world.keeps_logs
    await again.remove("lease-1")
    await watch.until_gone("lease-1")
    assert await again.containers() == []
    await again.close()


async def test_removing_what_runs_ends_it(world: World, backend: Backend, watch: Watcher) -> None:
    await backend.start(world.spec("lease-1", "stubborn"))
    await watch.until_written("lease-1", "up")
    await backend.remove("lease-1")
    await watch.until_gone("lease-1")
    assert await backend.containers() == []


async def test_what_is_not_there_can_be_stopped_and_removed_and_looked_at(backend: Backend) -> None:
    await backend.stop("lease-1", grace_seconds=1)
    await backend.remove("lease-1")
    assert await backend.inspect("lease-1") is None
    assert await backend.logs("lease-1") is None
    assert await backend.containers() == []


async def test_what_has_ended_can_be_stopped_again(world: World, backend: Backend, watch: Watcher) -> None:
    await backend.start(world.spec("lease-1", "ends"))
    ended = await watch.until("lease-1", "exited")
    await backend.stop("lease-1", grace_seconds=1)
    assert await backend.inspect("lease-1") == ended


# ── what a container gets and writes ─────────────────────────────────────────────────────────────────────────────────


async def test_a_log_is_read_from_its_end_and_is_bounded(world: World, backend: Backend, watch: Watcher) -> None:
    await backend.start(world.spec("lease-1", "counts"))
    await watch.until("lease-1", "exited")
    await watch.until_written("lease-1", "\n5000\n")
    assert await backend.logs("lease-1", lines=2) == "4999\n5000\n"
    most = await backend.logs("lease-1", lines=1_000_000)
    assert most is not None
    assert most.splitlines()[0] == str(5000 - MAX_LOG_LINES + 1)
    assert len(most.encode()) <= MAX_LOG_BYTES


# ── owners and servers ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_owner_is_neither_seen_nor_touched(world: World, backend: Backend, watch: Watcher) -> None:
    await backend.start(world.spec("lease-1", "runs"))
    neighbour = await world.connect("village")
    assert await neighbour.containers() == []
    assert await neighbour.inspect("lease-1") is None
    await neighbour.stop("lease-1", grace_seconds=0)
    await neighbour.remove("lease-1")
    await watch.until("lease-1", "running")
    theirs = await neighbour.start(world.spec("lease-1", "runs"))
    (ours,) = await backend.containers()
    assert theirs.reference != ours.reference
    await neighbour.close()


async def test_a_new_server_finds_everything_that_runs(world: World, backend: Backend) -> None:
    for number in (2, 3, 1):
        await backend.start(world.spec(f"lease-{number}", "runs"))
    restarted = await world.connect()
    assert [container.lease_id for container in await restarted.containers()] == ["lease-1", "lease-2", "lease-3"]
    await restarted.close()


async def test_a_node_tells_what_it_can_hold(backend: Backend) -> None:
    capacity = await backend.capacity()
    assert capacity.cpu_millis >= 1_000
    assert capacity.memory_mib >= 256
