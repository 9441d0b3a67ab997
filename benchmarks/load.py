"""Loads over HTTP, the mix of orders or another one, for a while, and what came of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from benchmarks import callers, machine

WARM_UP_SECONDS = 2.0

_seeds = itertools.count(1)


@dataclass(frozen=True)
class Run:
    """One measured load. Times in milliseconds; processor time in microseconds an order, by what used it."""

    orders: int
    seconds: float
    p50: float
    p99: float
    refused: int = 0
    broken: int = 0
    retries: int = 0
    cpu: Mapping[str, float] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        return self.refused + self.broken

    @property
    def rate(self) -> float:
        return self.orders / self.seconds


AnyRun = TypeVar("AnyRun", bound=Run)


def alternate(sides: Mapping[str, Callable[[], AnyRun]], *, runs: int) -> dict[str, list[AnyRun]]:
    """Run the sides in turns, A B A B …, and return what each gave."""
    results: dict[str, list[AnyRun]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, load in sides.items():
            results[name].append(load())
    return results


def median(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    return statistics.median(of(run) for run in runs)


def ratios(above: Sequence[Run], below: Sequence[Run]) -> list[float]:
    """Return the ratio of rates of each pair of runs that stood beside each other."""
    return [one.rate / other.rate for one, other in zip(above, below, strict=True)]


class Source(NamedTuple):
    """What a load sends: as a script of wrk, and as a function for where there is none."""

    script: Path
    requests: callers.Source


ORDERS = Source(Path(__file__).with_name("orders.lua"), callers.orders)
TRANSFERS = Source(Path(__file__).with_name("transfers.lua"), callers.transfers)
BIDS = Source(Path(__file__).with_name("bids.lua"), callers.bids)
ALLOCATIONS = Source(Path(__file__).with_name("allocations.lua"), callers.allocations)

Processes = Mapping[str, Sequence[int]]
"""Process ids by the name that the report gives them; their children count as they do."""


def cpu_times(processes: Processes) -> dict[str, float]:
    return {name: machine.cpu_seconds(pids) for name, pids in processes.items()}


def cpu_since(before: Mapping[str, float], processes: Processes, orders: int) -> dict[str, float]:
    """Return the microseconds that each of the orders took of the processes since `before`."""
    after = cpu_times(processes)
    return {name: (after[name] - before[name]) / max(orders, 1) * 1e6 for name in processes}


def metered(load: Callable[[], Run], processes: Processes) -> Run:
    """Run a load and note the processor time of the given processes."""
    before = cpu_times(processes)
    run = load()
    return replace(run, cpu=cpu_since(before, processes, run.orders))


def http(urls: Sequence[str], *, connections: int, seconds: float, prefix: str = "/", source: Source = ORDERS) -> Run:
    """Send the mix, or another source, to each of the servers at once, the connections divided among them."""
    share = connections // len(urls)
    if shutil.which("wrk"):
        children = [_start_wrk(source.script, url, share, seconds, prefix) for url in urls]
        parts = [_read_wrk(*child.communicate(), code=child.returncode) for child in children]
    else:
        send = callers.mix(
            urls, connections=share, seconds=seconds, prefix=prefix, seed=next(_seeds), source=source.requests
        )
        parts = [asyncio.run(send)]
    run = _together(parts)
    if not run.orders:
        raise RuntimeError(f"no request of {run.errors} was answered with success")
    return run


def _start_wrk(script: Path, url: str, connections: int, seconds: float, prefix: str) -> subprocess.Popen[str]:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s", "-s", str(script)]
    return subprocess.Popen(
        [*command, url, "--", prefix, str(next(_seeds))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _read_wrk(output: str, errors: str, *, code: int) -> dict[str, Any]:
    if code:
        raise RuntimeError(f"wrk failed:\n{output}{errors}")
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def _together(parts: Sequence[Mapping[str, Any]]) -> Run:
    """Add loads that ran at once; the percentile of several is the worst of theirs, which flatters nobody."""
    return Run(
        orders=sum(part["requests"] - part["refused"] for part in parts),
        seconds=max(part["seconds"] for part in parts),
        p50=max(part["p50"] for part in parts),
        p99=max(part["p99"] for part in parts),
        refused=sum(part["refused"] for part in parts),
        broken=sum(part["broken"] for part in parts),
    )


def warm_up(*loads: Callable[[float], Run]) -> None:
    for load in loads:
        load(WARM_UP_SECONDS)
