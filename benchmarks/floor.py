"""The database's own floor: pgbench runs for each order what the product does, one SERIALIZABLE transaction each.

Two ways: optimistic (run beside each other, run again where they collided), and behind the product's own lock (one
after the other, no collision). The product is compared with the better one.
"""

from __future__ import annotations

import functools
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import callers, load, mix, report, stage
from benchmarks.load import Run
from benchmarks.report import Row
from benchmarks.stage import Stage
from tests.services import postgres

TARGET = 2.5
BEGIN = "BEGIN ISOLATION LEVEL SERIALIZABLE;\n"
LOCK = "LOCK TABLE lane_hours IN EXCLUSIVE MODE;\n"


def against_pgbench(place: Stage, *, seconds: float, runs: int) -> Row:
    with place.database() as url, place.server(url) as server, place.database() as floor_url:
        postgres.execute(floor_url, "CREATE SEQUENCE benchmark_seq")
        sides = {
            "lane, 128": functools.partial(mix.over_http, [server], place, connections=128),
            "pgbench, 16": functools.partial(pgbench, place, floor_url, clients=16),
            "pgbench, 128": functools.partial(pgbench, place, floor_url, clients=128),
            "lane, 16": functools.partial(mix.over_http, [server], place, connections=16),
            "pgbench behind the lock, 16": functools.partial(pgbench, place, floor_url, clients=16, is_locked=True),
        }
        results = mix.alternate(sides, seconds=seconds, runs=runs)
        notes = [*report.sides(results), stage.audit(url)]
    return _row(results, notes)


def _row(results: Mapping[str, Sequence[Run]], notes: Sequence[str]) -> Row:
    rate = {name: load.median(runs, lambda run: run.rate) for name, runs in results.items()}
    p99 = {name: load.median(runs, lambda run: run.p99) for name, runs in results.items()}
    best = max((name for name in results if name.startswith("pgbench")), key=rate.__getitem__)
    same = {clients: f"pgbench, {clients}" for clients in (16, 128)}
    is_quicker = all(p99[f"lane, {clients}"] < p99[name] for clients, name in same.items())
    texts = [
        f"against the best of them ({best}); p99 at 16 and at 128 clients {'lower' if is_quicker else 'NOT lower'}",
        *(
            f"at {clients} clients: {rate[f'lane, {clients}'] / rate[name]:.2f} × the orders/s, "
            f"p99 {p99[f'lane, {clients}']:.0f} ms against {p99[name]:.0f} ms"
            for clients, name in same.items()
        ),
        *notes,
    ]
    values = load.ratios(results["lane, 128"], results[best])
    what = "the same mix against pgbench, one SERIALIZABLE transaction an order"
    return report.ratio_row(what, values, TARGET, texts, extra=is_quicker)


def pgbench(place: Stage, url: str, seconds: float, *, clients: int, is_locked: bool = False) -> Run:
    """Run the mix with pgbench, each order until it is committed."""
    with tempfile.TemporaryDirectory(prefix="pgbench-") as name:
        folder = Path(name)
        scripts = _scripts(folder, is_locked=is_locked)
        run = functools.partial(run_pgbench, place, url, folder, scripts, seconds=seconds, clients=clients)
        return load.metered(run, {"Postgres": [place.postgres_pid]})


def _scripts(folder: Path, *, is_locked: bool) -> list[str]:
    flags = []
    for name, weight in (("buy", 9), ("sell", 1)):
        text = Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8")
        if is_locked:
            text = text.replace(BEGIN, BEGIN + LOCK)
        file = folder / f"{name}.sql"
        file.write_text(text, encoding="utf-8")
        flags += ["-f", f"{file}@{weight}"]
    return flags


def run_pgbench(place: Stage, url: str, folder: Path, scripts: Sequence[str], *, seconds: float, clients: int) -> Run:
    """Run pgbench with the flags that name its scripts; `folder` takes its logs."""
    flags = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(round(seconds)), "--max-tries", "0"]
    log = ["--log", "--log-prefix", str(folder / "log")]
    command = [str(place.cluster.programs / "pgbench"), *flags, *log, *scripts, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"pgbench failed:\n{done.stdout}{done.stderr}")
    rate = float(re.findall(r"^tps = ([\d.]+)", done.stdout, re.MULTILINE)[0])
    times, retries = _read_logs(folder)
    return Run(
        orders=len(times),
        seconds=len(times) / rate,
        p50=callers.percentile(times, 50) / 1000,
        p99=callers.percentile(times, 99) / 1000,
        retries=retries,
    )


def _read_logs(folder: Path) -> tuple[list[float], int]:
    """Return the sorted microseconds of all transactions, from first try to commit, and how many tries failed."""
    times, retries = [], 0
    for file in folder.glob("log*"):
        for line in file.read_text(encoding="ascii").splitlines():
            fields = line.split()
            times.append(float(fields[2]))
            retries += int(fields[6])
    return sorted(times), retries
