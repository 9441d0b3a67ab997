"""Runs rows of the table and prints them: `python -m benchmarks [NAME …] [--seconds S] [--runs N]`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

from benchmarks import bare, bulk, depth, floor, machine, mix, profiles, report, stage
from benchmarks.report import Row

ROWS: Mapping[str, Callable[..., Row]] = {
    "noop": mix.durable_orders,
    "pgbench": floor.against_pgbench,
    "max-batch": mix.one_at_a_time,
    "two": mix.two_processes,
    "batch": bulk.batches,
    "sweep": bulk.sweeps,
    "depth": depth.open_bids,
    "sqlite": mix.embedded_orders,
    "lane": bare.lane_alone,
}


def main() -> None:
    options = _parse()
    with stage.running() as place:
        hardware = machine.describe(place.cluster)
        print("\n".join(hardware), flush=True)
        rows = []
        for name in options.names or ROWS:
            started = time.monotonic()
            rows.append(ROWS[name](place, seconds=options.seconds, runs=options.runs))
            report.print_row(rows[-1])
            print(f"    ({name}: {time.monotonic() - started:.0f} s)", flush=True)
        if options.profile:
            profiles.show(place, seconds=options.seconds)
        report.print_table(rows, hardware)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *ROWS], help=", ".join(ROWS))
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run loads (5)")
    parser.add_argument("--runs", type=int, default=5, help="how often each side runs, in turns (5)")
    parser.add_argument("--profile", action="store_true", help="show where the time of the server and of the lane goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
