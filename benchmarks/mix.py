"""Rows on the mix of single orders over HTTP: against a handler that does nothing, and other set-ups of ours."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence

from benchmarks import load, report, stage
from benchmarks.load import Run
from benchmarks.report import Row
from benchmarks.stage import BenchmarkServer, Stage

NOOP = "/noop"


def over_http(
    servers: Sequence[BenchmarkServer],
    place: Stage,
    seconds: float,
    *,
    connections: int,
    prefix: str = "/",
    source: load.Source = load.ORDERS,
) -> Run:
    """Load servers with the mix, or another source, and meter them and Postgres."""
    processes = {"server": [server.pid for server in servers], "Postgres": [place.postgres_pid]}
    urls = [server.url for server in servers]
    run = functools.partial(load.http, urls, connections=connections, seconds=seconds, prefix=prefix, source=source)
    return load.metered(run, processes)


def durable_orders(place: Stage, *, seconds: float, runs: int) -> Row:
    with place.database() as url, place.server(url) as server:
        results = against_noop(place, server, connections=128, seconds=seconds, runs=runs)
        return noop_row("durable `/buy`, 128 connections, Postgres, against no-op", results, 0.65, stage.audit(url))


def embedded_orders(place: Stage, *, seconds: float, runs: int) -> Row:
    with place.sqlite() as url:
        with place.server(url) as server:
            results = against_noop(place, server, connections=64, seconds=seconds, runs=runs)
        # Its server is gone by now: the file has one process at a time.
        books = stage.audit(url)
    return noop_row("SQLite, 64 connections, against no-op", results, 0.6, books)


def one_at_a_time(place: Stage, *, seconds: float, runs: int) -> Row:
    with contextlib.ExitStack() as stack:
        server, slow = (
            stack.enter_context(place.server(stack.enter_context(place.database()), *flags))
            for flags in ((), ("--max-batch", "1"))
        )
        sides = {
            "lane": functools.partial(over_http, [server], place, connections=128),
            "max_batch 1": functools.partial(over_http, [slow], place, connections=128),
        }
        results = alternate(sides, seconds=seconds, runs=runs)
    values = load.ratios(*results.values())
    return report.ratio_row("the same against `max_batch = 1`", values, 4.0, report.sides(results))


def two_processes(place: Stage, *, seconds: float, runs: int) -> Row:
    """Compare two servers on one market, 64 connections each, with one of them that has all 128."""
    with place.database() as url, place.server(url) as one, place.server(url) as other:
        sides = {
            "two processes": functools.partial(over_http, [one, other], place, connections=128),
            "one process": functools.partial(over_http, [one], place, connections=128),
        }
        results = alternate(sides, seconds=seconds, runs=runs)
        notes = [*report.sides(results), stage.audit(url)]
    return report.ratio_row("two processes on one market against one", load.ratios(*results.values()), 0.7, notes)


def alternate(sides: Mapping[str, Callable[[float], Run]], *, seconds: float, runs: int) -> dict[str, list[Run]]:
    load.warm_up(*sides.values())
    return load.alternate({name: functools.partial(side, seconds) for name, side in sides.items()}, runs=runs)


def against_noop(
    place: Stage,
    server: BenchmarkServer,
    *,
    connections: int,
    seconds: float,
    runs: int,
    source: load.Source = load.ORDERS,
) -> dict[str, list[Run]]:
    orders = functools.partial(over_http, [server], place, connections=connections, source=source)
    noop = functools.partial(orders, prefix=NOOP)
    return alternate({"orders": orders, "no-op": noop}, seconds=seconds, runs=runs)


def noop_row(what: str, results: Mapping[str, Sequence[Run]], target: float, books: str) -> Row:
    orders, noop = results["orders"], results["no-op"]
    total = {side: load.median(runs, lambda run: sum(run.cpu.values())) for side, runs in results.items()}
    server = {side: load.median(runs, lambda run: run.cpu["server"]) for side, runs in results.items()}
    added = total["orders"] - total["no-op"], server["orders"] - server["no-op"]
    alone = server["no-op"] / server["orders"]
    notes = [
        *report.sides(results),
        f"an order adds {added[0]:.0f} µs of CPU, {added[1]:.0f} of them in the server's process",
        f"by the CPU of the server's process alone, which other loads hardly disturb: {alone:.2f} ×",
        books,
    ]
    values = load.ratios(orders, noop)
    return report.ratio_row(what, values, target, notes, extra=not any(run.errors for run in orders))
