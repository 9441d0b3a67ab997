"""A node without containers: they start, run, exit, fail and hang by seeded rules.

The rule: the moment that a lease is started decides its whole fate, drawn from (seed, owner, lease id), so the same day
can be lived twice. What is seen later is a pure function of that fate, of when it was asked to stop, and of the time:

    starting ── start_seconds ──> running ── run_seconds, or asked to stop, or killed ──> exited
        └── `fails`, or asked to stop before it ran ──> failed

A command whose first word is `simulate` says its own fate, for demonstrations and tests:
`simulate start=2 run=60 exit=1 print=hello`; the words are the fields of `Fate`.

Fates are kept in a file, so that a server that was killed finds "what really runs", and several processes see one
world; without a file they are this backend's alone.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from marketplace.foundation import clock
from marketplace.foundation.clock import SECOND, Instant
from marketplace.spot.compute.errors import BadSettings, Unavailable
from marketplace.spot.compute.model import Capacity, Container, Spec, name_of, tail

SIGKILLED = 137
SIGTERMED = 143

Percent = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]

_TABLE = """
CREATE TABLE IF NOT EXISTS containers (
  owner TEXT NOT NULL, lease_id TEXT NOT NULL, fate BLOB NOT NULL,
  created_at INTEGER NOT NULL, stop_at INTEGER, kill_at INTEGER,
  PRIMARY KEY (owner, lease_id)
) WITHOUT ROWID
"""
_START = "INSERT INTO containers (owner, lease_id, fate, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_STOP = """
UPDATE containers SET stop_at = coalesce(stop_at, :now), kill_at = min(coalesce(kill_at, :kill_at), :kill_at)
WHERE owner = :owner AND lease_id = :lease_id
"""
_REMOVE = "DELETE FROM containers WHERE owner = ? AND lease_id = ?"
_FIND = "SELECT lease_id, fate, created_at, stop_at, kill_at FROM containers WHERE owner = ? AND lease_id = ?"
_LIST = "SELECT lease_id, fate, created_at, stop_at, kill_at FROM containers WHERE owner = ? ORDER BY lease_id"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rules, and what the node pretends to have. Percentages are of all containers."""

    file: str | None = None
    cpu_millis: Annotated[int, Meta(ge=0, le=10**9)] = 8_000
    memory_mib: Annotated[int, Meta(ge=0, le=10**9)] = 16_384
    seed: int = 0
    start_seconds: tuple[Seconds, Seconds] = (0.0, 1.0)
    fails_percent: Percent = 1
    """Never start."""
    hangs_percent: Percent = 2
    """Do not end when asked, and have to be killed."""
    exits_percent: Percent = 20
    """End by themselves after `run_seconds`; the others run until they are stopped."""
    run_seconds: tuple[Seconds, Seconds] = (60.0, 3_600.0)
    crashes_percent: Percent = 10
    """Of those that end by themselves: with an error, or out of memory."""


class Fate(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What becomes of one container. Durations are in seconds; `run` is null where it runs until it is stopped."""

    fails: str = ""
    start: Seconds = 0
    run: Seconds | None = None
    exit: Annotated[int, Meta(ge=0, le=255)] = 0
    out_of_memory: bool = False
    hangs: bool = False
    print: str = ""
    count: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Lines with the numbers from 1, after what is printed."""


class Kept(msgspec.Struct, frozen=True):
    """A row of the file."""

    lease_id: str
    fate: Fate
    created_at: Instant
    stop_at: Instant | None
    kill_at: Instant | None


async def connect(owner: str, settings: Mapping[str, Any]) -> Simulated:
    """Return a simulated node on the wall clock."""
    return Simulated(owner, msgspec.convert(settings, Settings), clock.now)


class Simulated:
    """See Backend. Its file is asked directly, not in a thread: a statement takes well under a millisecond."""

    def __init__(self, owner: str, settings: Settings, now: Callable[[], Instant]) -> None:
        self._owner = owner
        self._settings = settings
        self._now = now
        self._world = _open(settings.file)

    async def start(self, spec: Spec) -> Container:
        fate = _said(spec) or draw(self._settings, self._owner, spec.lease_id)
        self._ask(_START, (self._owner, spec.lease_id, msgspec.json.encode(fate), self._now()))
        kept = self._find(spec.lease_id)
        if kept is None:
            raise Unavailable(f"{spec.lease_id} was removed while it was started")
        return observe(self._owner, kept, self._now())

    async def stop(self, lease_id: str, *, grace_seconds: int) -> None:
        now = self._now()
        kill_at = now + grace_seconds * SECOND
        self._ask(_STOP, {"owner": self._owner, "lease_id": lease_id, "now": now, "kill_at": kill_at})

    async def remove(self, lease_id: str) -> None:
        self._ask(_REMOVE, (self._owner, lease_id))

    async def inspect(self, lease_id: str) -> Container | None:
        kept = self._find(lease_id)
        return observe(self._owner, kept, self._now()) if kept else None

    async def containers(self) -> list[Container]:
        now = self._now()
        return [observe(self._owner, _kept(row), now) for row in self._ask(_LIST, (self._owner,))]

    async def logs(self, lease_id: str, *, lines: int = 100) -> str | None:
        kept = self._find(lease_id)
        if kept is None:
            return None
        if observe(self._owner, kept, self._now()).started_at is None:
            return ""
        printed = f"{kept.fate.print}\n" if kept.fate.print else ""
        return tail(printed + "".join(f"{number}\n" for number in range(1, kept.fate.count + 1)), lines)

    async def capacity(self) -> Capacity:
        return Capacity(self._settings.cpu_millis, self._settings.memory_mib)

    async def close(self) -> None:
        self._world.close()

    def _find(self, lease_id: str) -> Kept | None:
        rows = self._ask(_FIND, (self._owner, lease_id))
        return _kept(rows[0]) if rows else None

    def _ask(self, statement: str, values: tuple[object, ...] | dict[str, object]) -> list[tuple[Any, ...]]:
        try:
            return self._world.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"the simulated world: {error}") from error


def observe(owner: str, kept: Kept, now: Instant) -> Container:
    """Return what there is to be seen at `now`. Pure."""
    fate, began = kept.fate, kept.created_at + round(kept.fate.start * SECOND)
    seen = Container(lease_id=kept.lease_id, reference=f"simulated:{name_of(owner, kept.lease_id)}", state="starting")
    if kept.stop_at is not None and kept.stop_at < began and kept.stop_at <= now:
        return _failed(seen, "stopped before it ran")
    if now < began:
        return seen
    if fate.fails:
        return _failed(seen, fate.fails)
    ends: list[tuple[Instant, int, bool]] = []
    if fate.run is not None:
        ends.append(
            (began + round(fate.run * SECOND), SIGKILLED if fate.out_of_memory else fate.exit, fate.out_of_memory)
        )
    if kept.stop_at is not None and not fate.hangs:
        ends.append((kept.stop_at, SIGTERMED, False))
    if kept.kill_at is not None:
        ends.append((kept.kill_at, SIGKILLED, False))
    ended_at, exit_code, out_of_memory = min(ends, default=(now + 1, 0, False))
    if now < ended_at:
        return msgspec.structs.replace(seen, state="running", started_at=began)
    return msgspec.structs.replace(
        seen, state="exited", started_at=began, finished_at=ended_at, exit_code=exit_code, out_of_memory=out_of_memory
    )


def draw(settings: Settings, owner: str, lease_id: str) -> Fate:
    """Return a lease's fate: always the same for the same settings, owner and lease."""
    dice = random.Random(f"{settings.seed}/{owner}/{lease_id}")  # noqa: S311 (a simulation, not a secret)

    def happens(percent: float) -> bool:
        return dice.random() * 100 < percent

    start = dice.uniform(*settings.start_seconds)
    if happens(settings.fails_percent):
        return Fate(fails="the simulated node could not start it", start=start)
    run = dice.uniform(*settings.run_seconds) if happens(settings.exits_percent) else None
    crashes = run is not None and happens(settings.crashes_percent)
    return Fate(
        start=start,
        run=run,
        exit=1 if crashes else 0,
        out_of_memory=crashes and happens(50),
        hangs=happens(settings.hangs_percent),
        print=f"simulated container of lease {lease_id}",
    )


def _said(spec: Spec) -> Fate | None:
    """Return the fate that a command says itself. One that makes no sense is a program that cannot be run."""
    if spec.command[:1] != ("simulate",):
        return None
    try:
        fields = dict(word.split("=", 1) for word in spec.command[1:])
        return msgspec.convert(fields, Fate, strict=False)
    except ValueError as wrong:  # msgspec's refusal is one too
        return Fate(fails=f"not a fate: {wrong}")


def _failed(seen: Container, reason: str) -> Container:
    return msgspec.structs.replace(seen, state="failed", reason=reason)


def _kept(row: tuple[Any, ...]) -> Kept:
    lease_id, fate, created_at, stop_at, kill_at = row
    return Kept(lease_id, msgspec.json.decode(fate, type=Fate), created_at, stop_at, kill_at)


def _open(file: str | None) -> sqlite3.Connection:
    """Open the world. It outlives a killed process; a power cut ends it, as it ends containers."""
    try:
        world = sqlite3.connect(Path(file) if file else ":memory:", isolation_level=None, timeout=5)
        world.execute("PRAGMA journal_mode = PERSIST")
        world.execute("PRAGMA synchronous = OFF")
        world.execute(_TABLE)
    except sqlite3.Error as error:
        raise BadSettings(f"The simulated world {file} cannot be opened: {error}.") from error
    return world
