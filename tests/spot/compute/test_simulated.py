"""The simulated node: a fate is decided once, by the seed, and what is seen of it is a function of the time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation.clock import SECOND
from marketplace.spot.compute import BadSettings, Container, connect, simulated
from marketplace.spot.compute.simulated import Fate, Settings, Simulated, draw, observe
from tests.services.clock import SettableClock
from tests.services.server import clean_environment
from tests.spot.compute.worlds import make_spec

ORDER = {"starting": 0, "running": 1, "failed": 2, "exited": 2}

seconds = st.integers(0, 100).map(float)
fates = st.builds(
    Fate,
    fails=st.sampled_from(["", "", "no room"]),
    start=seconds,
    run=st.none() | seconds,
    exit=st.integers(0, 255),
    out_of_memory=st.booleans(),
    hangs=st.booleans(),
)


def keep(fate: Fate, stop: float | None = None, kill: float | None = None) -> simulated.Kept:
    """Return a container that was started at 0, asked to stop and to be killed at these seconds."""
    return simulated.Kept("lease-1", fate, 0, instant_of(stop), instant_of(kill))


def look(kept: simulated.Kept, second: float) -> Container:
    return observe("town", kept, round(second * SECOND))


def instant_of(second: float | None) -> int | None:
    return None if second is None else round(second * SECOND)


# ── what is seen ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fate", "stop", "kill", "states", "end"),
    [
        (Fate(start=2), None, None, "0 starting, 2 running, 999 running", None),
        (Fate(start=2, run=3, exit=4), None, None, "4 running, 5 exited", 4),
        (Fate(run=3, out_of_memory=True), None, None, "2 running, 3 exited", 137),
        (Fate(start=2, fails="no room"), None, None, "1 starting, 2 failed", None),
        (Fate(start=2), 1, 100, "0 starting, 1 failed, 2 failed, 100 failed", None),
        (Fate(), 5, 100, "4 running, 5 exited", 143),
        (Fate(hangs=True), 5, 100, "5 running, 99 running, 100 exited", 137),
        (Fate(hangs=True, run=50), 5, 100, "49 running, 50 exited", 0),
        (Fate(run=50), 60, 100, "50 exited, 60 exited", 0),
    ],
)
def test_a_fate_is_seen_as_time_goes_by(
    fate: Fate, stop: float | None, kill: float | None, states: str, end: int | None
) -> None:
    kept = keep(fate, stop, kill)
    for part in states.split(", "):
        second, state = part.split()
        assert look(kept, float(second)).state == state, part
    last = look(kept, 1_000)
    assert (last.exit_code, last.out_of_memory) == (end, fate.out_of_memory)


@pytest.mark.property
@given(fates, st.none() | seconds, seconds, st.lists(seconds, min_size=2, max_size=2).map(sorted))
def test_a_container_never_goes_back(fate: Fate, stop: float | None, grace: float, moments: list[float]) -> None:
    kept = keep(fate, stop, None if stop is None else stop + grace)
    earlier, later = (look(kept, moment) for moment in moments)
    assert ORDER[earlier.state] <= ORDER[later.state]
    if earlier.state in ("exited", "failed"):
        assert earlier == later
    if stop is not None:
        assert look(kept, stop + grace).state in ("exited", "failed"), "nothing outlives its kill"


@pytest.mark.property
@given(fates, st.none() | seconds, seconds, seconds)
def test_what_is_seen_is_consistent(fate: Fate, stop: float | None, grace: float, moment: float) -> None:
    seen = look(keep(fate, stop, None if stop is None else stop + grace), moment)
    assert (seen.started_at is not None) == (seen.state in ("running", "exited"))
    assert (seen.finished_at is not None) == (seen.exit_code is not None) == (seen.state == "exited")
    assert bool(seen.reason) == (seen.state == "failed")
    if seen.finished_at is not None:
        assert seen.started_at is not None
        assert seen.started_at <= seen.finished_at <= moment * SECOND


# ── fates ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_lives_the_same_day_twice() -> None:
    leases = [f"lease-{number}" for number in range(200)]
    days = [
        [draw(Settings(seed=seed), owner, lease) for lease in leases]
        for seed, owner in [(1, "a"), (1, "a"), (2, "a"), (1, "b")]
    ]
    assert days[0] == days[1]
    assert days[0] != days[2]
    assert days[0] != days[3]


def test_fates_are_drawn_as_often_as_the_settings_say() -> None:
    settings = Settings(fails_percent=10, hangs_percent=20, exits_percent=50, crashes_percent=40)
    drawn = [draw(settings, "town", f"lease-{number}") for number in range(10_000)]
    started = [fate for fate in drawn if not fate.fails]
    ending = [fate for fate in started if fate.run is not None]
    shares = Counter(
        fails=len(drawn) - len(started),
        hangs=sum(fate.hangs for fate in started),
        ends=len(ending),
        bad=sum(fate.exit for fate in ending),
    )
    assert shares["fails"] / 10_000 == pytest.approx(0.10, abs=0.02)
    assert shares["hangs"] / len(started) == pytest.approx(0.20, abs=0.02)
    assert shares["ends"] / len(started) == pytest.approx(0.50, abs=0.02)
    assert shares["bad"] / len(ending) == pytest.approx(0.40, abs=0.03)
    assert all(0 <= fate.start <= 1 for fate in drawn)
    assert all(60 <= fate.run <= 3_600 for fate in ending if fate.run is not None)


@pytest.mark.parametrize("words", [("run",), ("run=soon",), ("explode=yes",), ("exit=256",)])
async def test_a_fate_that_makes_no_sense_is_a_program_that_cannot_run(words: tuple[str, ...]) -> None:
    node = await connect("simulated", "town", {})
    failed = await node.start(make_spec({"lease_id": "lease-1", "image": "any", "command": ("simulate", *words)}))
    assert (failed.state, failed.reason[:10]) == ("failed", "not a fate")
    await node.close()


# ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────────

START_AND_DIE = """
import asyncio, os, sys
from marketplace.spot import compute
async def main():
    node = await compute.connect("simulated", "town", {"file": sys.argv[1]})
    for number in range(20):
        fields = {"lease_id": f"lease-{number}", "image": "any", "cpu_millis": 10, "memory_mib": 16}
        await node.start(compute.Spec(**fields, command=("simulate",)))
        print(number, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


@pytest.mark.crashes
async def test_what_a_killed_server_started_goes_on(tmp_path: Path) -> None:
    file = str(tmp_path / "world.db")
    command = [sys.executable, "-c", START_AND_DIE, file]
    died = await asyncio.to_thread(subprocess.run, command, env=clean_environment(), capture_output=True, check=False)
    assert died.returncode == -9, died.stderr
    node = await connect("simulated", "town", {"file": file})
    assert Counter(seen.state for seen in await node.containers()) == {"running": 20}
    await node.close()


async def test_without_a_file_every_server_has_a_world_of_its_own() -> None:
    first, second = [await connect("simulated", "town", {}) for _ in range(2)]
    await first.start(make_spec({"lease_id": "lease-1", "image": "any"}))
    assert (len(await first.containers()), await second.containers()) == (1, [])
    await first.close()
    await second.close()


async def test_a_clock_that_steps_back_shows_nothing_worse_than_less(clock: SettableClock) -> None:
    node = Simulated("town", Settings(), clock)
    await node.start(make_spec({"lease_id": "lease-1", "image": "any", "command": ("simulate", "run=1")}))
    clock.advance(-10)
    assert (await node.containers())[0].state == "starting"
    clock.advance(20)
    assert (await node.containers())[0].state == "exited"
    await node.close()


@pytest.mark.parametrize(
    "wrong", [{"file": "/no/such/folder/world.db"}, {"fails_percent": 101}, {"start_seconds": [-1, 1]}, {"speed": 2}]
)
async def test_settings_that_cannot_be_used_are_refused_with_a_sentence(wrong: dict[str, object]) -> None:
    with pytest.raises(BadSettings, match=r"\.$"):
        await connect("simulated", "town", wrong)
