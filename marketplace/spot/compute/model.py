"""The words of a backend: what to run, what was seen running, what a node can hold.

A `Spec` that exists is within every bound below: its makers check, so a backend need not.
Instants are microseconds since the epoch, by the backend's own clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from marketplace.foundation.clock import Instant

OWNER = re.compile(r"[a-z0-9]{1,26}")
LEASE_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,34}[a-z0-9])?")
"""Joined by a hyphen they are at most 63 characters: a DNS label, hence a container's, a pod's and a host's name."""
OWNER_LABEL = "marketplace.owner"
LEASE_LABEL = "marketplace.lease"
NOBODY = 65_534
"""The user and the group that every container runs as."""

_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?"
_PATH = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_PATH}(?:/{_PATH})*(?::[A-Za-z0-9_][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?", re.ASCII
)
"""The reference grammar of registries: [host[:port]/]path[:tag][@digest]."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

MAX_IMAGE = 255
MAX_WORDS = 256
"""Words of a command."""
MAX_VARIABLES = 256
MAX_TEXT_BYTES = 32_768
"""All words of a command together, and all variables together, in UTF-8."""
CPU_MILLIS = range(10, 256_000 + 1)
MEMORY_MIB = range(16, 4_194_304 + 1)
GRACE_SECONDS = range(3_600 + 1)

MAX_LOG_LINES = 1_000
MAX_LOG_BYTES = 65_536
MAX_REASON = 300

State = Literal["starting", "running", "exited", "failed"]
"""`failed` never ran and never will; `exited` ran. What is being stopped runs until it has stopped."""


class Spec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One container of one lease. Raises ValueError with a sentence where a field is out of its bounds.

    `command` is the whole argument vector, never read by a shell; empty, the image's own is run. The first of
    `environment`'s rules is that names are C identifiers. `grace_seconds` is how long the container may at most be
    given between being asked to stop and being killed.
    """

    lease_id: str
    image: str
    cpu_millis: int
    memory_mib: int
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = MappingProxyType({})
    grace_seconds: int = 120

    def __post_init__(self) -> None:
        _check(LEASE_ID.fullmatch(self.lease_id), "a lease id is up to 36 of a-z, 0-9 and hyphens inside")
        _check(len(self.image) <= MAX_IMAGE and IMAGE.fullmatch(self.image), "image must be [host/]path[:tag][@digest]")
        _check(self.cpu_millis in CPU_MILLIS, f"cpu_millis must be {_bounds(CPU_MILLIS)}")
        _check(self.memory_mib in MEMORY_MIB, f"memory_mib must be {_bounds(MEMORY_MIB)}")
        _check(self.grace_seconds in GRACE_SECONDS, f"grace_seconds must be {_bounds(GRACE_SECONDS)}")
        _check(len(self.command) <= MAX_WORDS, f"a command has at most {MAX_WORDS} words")
        _check(not self.command or self.command[0], "a command begins with a program")
        _check(len(self.environment) <= MAX_VARIABLES, f"at most {MAX_VARIABLES} variables")
        _check(
            all(map(VARIABLE.fullmatch, self.environment)), "a variable is named by up to 128 of A-Z, a-z, 0-9 and _"
        )
        _check_text("command", self.command)
        _check_text("environment", [*self.environment, *self.environment.values()])


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend saw. `reference` is the backend's own name for it.

    `started_at` is null until it runs, `finished_at` (never earlier) and `exit_code` until it has ended; a signal's
    exit code is 128 and its number. `out_of_memory` tells the kernel's kill at the memory limit from an exit.
    `reason` is for people.
    """

    lease_id: str
    reference: str
    state: State
    started_at: Instant | None = None
    finished_at: Instant | None = None
    exit_code: int | None = None
    out_of_memory: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if self.started_at is not None and self.finished_at is not None and self.finished_at < self.started_at:
            # A Docker Engine notes the end of a container that ends at once before it notes its start.
            msgspec.structs.force_setattr(self, "finished_at", self.started_at)
        if len(self.reason) > MAX_REASON:
            msgspec.structs.force_setattr(self, "reason", self.reason[: MAX_REASON - 1] + "…")


class Capacity(msgspec.Struct, frozen=True):
    """What all containers of a node may have together."""

    cpu_millis: int
    memory_mib: int


def name_of(owner: str, lease_id: str) -> str:
    """Return the name of a lease's container: two owners may share an engine and count their leases alike."""
    return f"{owner}-{lease_id}"


def tail(text: str, lines: int) -> str:
    """Return the end of a log: at most `lines` lines, MAX_LOG_LINES and MAX_LOG_BYTES, without half characters."""
    kept = "".join(text.splitlines(keepends=True)[-min(max(lines, 1), MAX_LOG_LINES) :])
    return kept.encode(errors="replace")[-MAX_LOG_BYTES:].decode(errors="ignore")


def _check(is_met: object, sentence: str) -> None:
    if not is_met:
        raise ValueError(sentence)


def _check_text(field: str, texts: Iterable[str]) -> None:
    joined = "".join(texts)
    _check("\0" not in joined, f"{field} must not contain the character NUL")
    try:
        size = len(joined.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{field} must be text that UTF-8 can write") from None
    _check(size <= MAX_TEXT_BYTES, f"{field} may have at most {MAX_TEXT_BYTES} bytes")


def _bounds(allowed: range) -> str:
    return f"{allowed.start} to {allowed.stop - 1}"
