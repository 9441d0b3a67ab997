"""How long requests took and what they ended in."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table

from marketplace.cli import terminal


@dataclass(slots=True)
class Measures:
    """Seconds by kind of request, tries of the client included, and error codes with their counts."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    wall_seconds: float = 0.0

    def note(self, kind: str, seconds: float, *, orders: int = 1) -> None:
        self.seconds[kind].append(seconds)
        self.orders += orders


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of them do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def show(measured: Measures) -> RenderableType:
    """Show rates, latencies and errors."""
    wall = measured.wall_seconds or 1.0
    requests = sum(map(len, measured.seconds.values()))
    rates = f"{requests / wall:.0f} requests/s, {measured.orders / wall:.0f} orders/s during {wall:.1f} s"
    return Group(rates, "", _latencies(measured), "", *_errors(measured))


def _latencies(measured: Measures) -> Table:
    columns = ("requests", "p50 ms", "p90 ms", "p99 ms", "max ms")
    shown = terminal.table("kind", *columns, right=columns)
    kinds = dict(sorted(measured.seconds.items()))
    for kind, seconds in {**kinds, "all": [each for several in kinds.values() for each in several]}.items():
        if not seconds:
            continue
        ordered = sorted(seconds)
        marks = [f"{1000 * percentile(ordered, share):.1f}" for share in (0.5, 0.9, 0.99, 1.0)]
        terminal.add_row(shown, kind, len(ordered), *marks)
    return shown


def _errors(measured: Measures) -> list[RenderableType]:
    if not measured.errors:
        return ["No errors."]
    shown = terminal.table("refused or failed with", "times", right=("times",))
    for code, times in measured.errors.most_common():
        terminal.add_row(shown, code, times)
    return [shown, ""]
