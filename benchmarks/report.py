"""Rows of the table, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.load import Run, median


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, what it gave, what it should give."""

    what: str
    measured: str
    target: str
    is_met: bool | None
    """None for a row that has no target."""
    notes: Sequence[str] = field(default_factory=list)


def ratio_row(what: str, values: Sequence[float], target: float, notes: Sequence[str], *, extra: bool = True) -> Row:
    """Make the row of a ratio that is to be at least `target`; `extra` is what else must hold."""
    value = statistics.median(values)
    measured = f"{value:.2f} × ({min(values):.2f} – {max(values):.2f})"
    return Row(what, measured, f"≥ {target:g} ×", value >= target and extra, notes)


def sides(results: Mapping[str, Sequence[Run]], *, unit: str = "order") -> list[str]:
    """Describe each side by its medians; `unit` is what its runs count."""
    width = max(map(len, results))
    return [f"{name:{width}}  {_side(runs, unit)}" for name, runs in results.items()]


def _side(runs: Sequence[Run], unit: str) -> str:
    cpu = " · ".join(f"{name} {median(runs, lambda run, n=name: run.cpu[n]):.0f}" for name in runs[0].cpu)  # type: ignore[misc]
    text = (
        f"{median(runs, lambda run: run.rate):8,.0f} {unit}s/s  p50 {median(runs, lambda run: run.p50):6.1f} ms  "
        f"p99 {median(runs, lambda run: run.p99):6.1f} ms"
    )
    text += f"  CPU µs per {unit}: {cpu}" if cpu else ""
    retries, errors = (sum(getattr(run, name) for run in runs) for name in ("retries", "errors"))
    text += f"  {retries / sum(run.orders for run in runs):.1f} retries per {unit}" if retries else ""
    return text + (f"  ERRORS {errors}" if errors else "")


def print_row(row: Row) -> None:
    """Print one row at once, so that a long run shows what it has."""
    mark = {True: "met", False: "MISSED", None: "–"}[row.is_met]
    print(f"\n{row.what}\n  {row.measured}   target {row.target}: {mark}", flush=True)
    for note in row.notes:
        print(f"    {note}", flush=True)


def print_table(rows: Sequence[Row], hardware: Sequence[str]) -> None:
    print("\n| what | measured | target | met |\n|---|---|---|---|")
    for row in rows:
        mark = {True: "yes", False: "no", None: "–"}[row.is_met]
        print(f"| {row.what} | {row.measured} | {row.target} | {mark} |")
    print()
    for line in hardware:
        print(line)
