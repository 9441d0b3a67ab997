"""What the numbers were measured on, and what processes took of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from tests.services.postgres import Cluster

_TICKS = os.sysconf("SC_CLK_TCK")


def describe(cluster: Cluster) -> list[str]:
    """Return the lines that belong under every table of results."""
    version = cluster.execute("SHOW server_version")[0][0]
    settings = ", ".join(
        f"{name} {cluster.execute(f'SHOW {name}')[0][0]}" for name in ("fsync", "synchronous_commit", "shared_buffers")
    )
    today = date.today().isoformat()  # noqa: DTZ011 - the day where the machine stands
    return [
        f"{today}, {os.cpu_count()} cores ({_cpu_name()}), {_memory_gib():.0f} GiB, Linux {platform.release()}",
        f"Python {platform.python_version()}, PostgreSQL {version} ({settings})",
    ]


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return the processor time of processes and all their descendants, those that ended included."""
    stats = _all_stats()
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(int(fields[1]), []).append(pid)
    ticks, waiting = 0, list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            # utime and stime are its own; cutime and cstime those of children that it has reaped.
            ticks += sum(int(stats[pid][field]) for field in (11, 12, 13, 14))
            waiting += children.get(pid, [])
    return ticks / _TICKS


def _all_stats() -> dict[int, list[str]]:
    """Return what /proc/PID/stat says after the name, for every process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # it has just ended
            found[int(folder.name)] = text.rpartition(")")[2].split()
    return found


def peak_mebibytes(pid: int) -> float:
    """Return the most memory that a process has had since `forget_peak`."""
    return _status_kib(pid, "VmHWM") / 1024


def resident_mebibytes(pid: int) -> float:
    return _status_kib(pid, "VmRSS") / 1024


def forget_peak(pid: int) -> None:
    """Begin to count the peak anew. Linux lets one do so with one's own children."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(name)
