"""`simulate spot`: the command, and how what came of it is printed."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from marketplace.cli import terminal
from marketplace.cli.simulation import verdict
from marketplace.cli.temporary import serving, temporary_place

if TYPE_CHECKING:
    from rich.table import Table

    from marketplace.cli.simulation.containers import Fleet


def simulate_spot(
    *,
    url: Annotated[str | None, Parameter(env_var="MARKETPLACE_URL")] = None,
    bids: Annotated[int, Parameter(name=["--bids", "-n"], validator=Number(gte=1, lte=100_000))] = 400,
    nodes: Annotated[int, Parameter(validator=Number(gte=1, lte=100))] = 4,
    users: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000))] = 40,
    clients: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 16,
    seconds: Annotated[float, Parameter(validator=Number(gt=0, lte=3600))] = 10,
    seed: int | None = None,
) -> int:
    """Let many bids contend for little capacity; print evictions, price, utilisation and value, and check the books.

    They meet in a pool of their own, on nodes that only simulate containers. Exit code 1 where something is wrong: a
    node was overfilled, somebody was displaced by who pays no more, or a bill is not the sum of its leases.

    Parameters
    ----------
    url
        A running server. Left out, one is started on a temporary file, and its database is audited too.
    bids
        How many, drawn by the seed: 0.25 to 4 units each, most of them for about 1 credit an hour and unit.
    nodes
        How many machines of 8 vCPU and 16 GiB.
    users
        Among how many usernames the bids are spread.
    clients
        How many send bids at the same time.
    seconds
        The longest that a container runs, and how long all are given after the last bid.
    seed
        The same seed draws the same bids again.
    """
    from marketplace.cli.simulation.containers import Fleet

    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    fleet = Fleet(bids=bids, nodes=nodes, users=users, clients=clients, seconds=seconds, seed=seed)
    if url:
        return verdict.conclude(_run(fleet, url))
    with temporary_place() as place:
        with serving(place):
            faults = _run(fleet, place.url)
        return verdict.conclude(faults + verdict.audit_database(place))


def _run(fleet: Fleet, url: str) -> list[str]:
    import asyncio

    from marketplace.cli.connection import errors_as_sentences
    from marketplace.cli.simulation import containers

    console = terminal.output()
    console.print(
        f"{fleet.bids} bids for {fleet.nodes * containers.NODE_UNITS} units on {fleet.nodes} nodes, "
        f"sent to {url}, seed {fleet.seed}.",
        soft_wrap=True,
    )
    with errors_as_sentences(url):
        asyncio.run(fleet.run(url))
    console.print(_show(fleet))
    return list(containers.find_faults(fleet))


def _show(fleet: Fleet) -> Table:
    from marketplace.cli.simulation import containers, measures

    shown = terminal.table("", "value")
    terminal.add_row(shown, "bids placed a second", f"{len(fleet.ended) / (fleet.placed_in_seconds or 1):.0f}")
    terminal.add_row(shown, "refused", _counted(fleet.errors))
    terminal.add_row(shown, "bids ended", _counted(Counter(one.state for one in fleet.ended)))
    terminal.add_row(shown, "leases ended", _counted(Counter(one.cause for one in fleet.leases if one.cause)))
    terminal.add_row(shown, "evictions", sum(one.evictions for one in fleet.ended))
    starts = containers.start_seconds(fleet)
    if starts:
        marks = [f"{measures.percentile(starts, share):.2f}" for share in (0.5, 0.95, 1.0)]
        terminal.add_row(shown, "bid to running, p50 / p95 / max", f"{' / '.join(marks)} s")
    terminal.add_row(shown, "unit price, low / p20 / p50 / p80 / high", _prices(fleet))
    used = [Decimal(one.used_percent) for one in fleet.samples] or [Decimal(0)]
    terminal.add_row(shown, "utilisation, mean", f"{sum(used) / len(used):.1f} %")
    value = sum(Decimal(one.value_per_hour) for one in fleet.samples)
    ideal = sum(Decimal(one.ideal_value_per_hour) for one in fleet.samples)
    terminal.add_row(shown, "value realised, of the ideal", f"{100 * value / ideal:.1f} %" if ideal else None)
    terminal.add_row(shown, "charged", str(sum((Decimal(one.charged) for one in fleet.ended), Decimal(0))))
    return shown


def _prices(fleet: Fleet) -> str | None:
    if fleet.prices is None or not fleet.candles:
        return None
    low = min(Decimal(one.low) for one in fleet.candles)
    high = max(Decimal(one.high) for one in fleet.candles)
    return " / ".join(map(str, (low, fleet.prices.p20, fleet.prices.p50, fleet.prices.p80, high)))


def _counted(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counted.most_common()) or "none"
