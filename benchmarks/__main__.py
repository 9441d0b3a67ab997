"""Runs rows of the table and prints them: `python -m benchmarks [NAME …] [--seconds S] [--runs N] [--profile]`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Mapping

from benchmarks import (
    addresses,
    auctions,
    bare,
    bulk,
    depth,
    floor,
    machine,
    mix,
    placement,
    pools,
    profiles,
    readers,
    report,
    settling,
    spot,
    stage,
    tailing,
    transfers,
)
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
    "tailing": tailing.commit_to_reader,
    "readers": readers.beside_readers,
    "lane": bare.lane_alone,
    "allocate": addresses.allocations,
    "allocate-sqlite": addresses.embedded_allocations,
    "allocate-million": addresses.with_a_million,
    "find-address": pools.finding,
    "network-sizes": pools.sizes,
    "transfers": transfers.among_many,
    "transfers-hot": transfers.between_two,
    "settle": settling.leases,
    "bids": auctions.bids,
    "select": auctions.selection,
    "select-sqlite": auctions.embedded_selection,
    "commit-wait": auctions.waiting,
    "plan": placement.scratch,
    "plan-growth": placement.growth,
    "plan-bid": placement.one_bid,
    "spot-running": spot.bids_to_running,
    "spot-matched": spot.request_to_matched,
}


def main() -> int:
    """Run what was asked for; exit code 1 where a row could not be measured (a missed target is no error)."""
    options = _parse()
    names = options.names or list(ROWS)
    with stage.running() as place:
        hardware = machine.describe(place.cluster)
        print("\n".join(hardware), flush=True)
        rows = [row for name in names if (row := _run(name, place, options))]
        if options.profile:
            profiles.show(place, seconds=options.seconds)
    report.print_table(rows, hardware)
    return 0 if len(rows) == len(names) else 1


def _run(name: str, place: stage.Stage, options: argparse.Namespace) -> Row | None:
    """Run one row; one that breaks is shown with its stack, and the others go on."""
    started = time.monotonic()
    try:
        row = ROWS[name](place, seconds=options.seconds, runs=options.runs)
    except Exception:
        print(f"\n{name} could not be measured:", flush=True)
        traceback.print_exc()
        return None
    report.print_row(row)
    print(f"    ({name}: {time.monotonic() - started:.0f} s)", flush=True)
    return row


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *ROWS], help=", ".join(ROWS))
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run loads (5)")
    parser.add_argument("--runs", type=int, default=5, help="how often each side runs, in turns (5)")
    parser.add_argument("--profile", action="store_true", help="show where the time of server and lane goes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
