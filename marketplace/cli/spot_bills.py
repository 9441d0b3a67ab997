"""`spot`: what leases cost."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from marketplace.cli import quantities, terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect
from marketplace.cli.spot import Json, Username, lease_of, moment

PAGE = 1000


def bill(number: int, *, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show what a lease cost, a line for each price that a unit had meanwhile.

    Parameters
    ----------
    number
        A lease, or a bid: then its newest lease.
    """
    with connect(url, key) as client:
        found = client.spot_bill(lease_of(client, number), limit=PAGE)
        lines, following = list(found.lines), found.next
        while following is not None:
            page = client.spot_bill(found.lease_id, after=following, limit=PAGE)
            lines, following = [*lines, *page.lines], page.next
    if json:
        terminal.print_json(*lines)
        return
    shape = f"{quantities.written_cpu(found.cpu_millis)} cpu, {quantities.written_memory(found.memory_mib)}"
    until = f"until {moment(found.ended_at)}" if found.ended_at else "and still does"
    out = terminal.output()
    out.print(
        f"Lease {found.lease_id} of {found.username}, {shape}, ran on {found.pool} from {moment(found.started_at)} "
        f"{until}.",
        soft_wrap=True,
    )
    numbers = ("seconds", "unit price", "charged")
    shown = terminal.table("from", "to", *numbers, right=numbers)
    for line in lines:
        seconds = f"{(line.to_at - line.from_at).total_seconds():.3f}"
        terminal.add_row(
            shown, moment(line.from_at), moment(line.to_at), seconds, line.unit_price_per_hour, line.charged
        )
    out.print(shown)
    out.print(f"In all {found.charged}, of which {found.paid} are paid.")


def bills(
    *,
    username: Username = None,
    month: Annotated[str | None, Parameter(help="As 2026-11, in UTC; this one where none is named.")] = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Show what a member's leases cost in a month."""
    with connect(url, key) as client:
        found = client.spot_month(month, username=username, limit=PAGE)
        lines, following = list(found.items), found.next
        while following is not None:
            page = client.spot_month(found.month, username=username, after=following, limit=PAGE)
            lines, following = [*lines, *page.items], page.next
    if json:
        terminal.print_json(*lines)
        return
    out = terminal.output()
    out.print(
        f"{found.username}, {found.month}: {found.charged} for {found.ran_seconds} s in {found.leases} leases.",
        soft_wrap=True,
    )
    numbers = ("lease", "bid", "seconds", "charged")
    shown = terminal.table("lease", "bid", "pool", "started", "ended", "seconds", "charged", right=numbers)
    for one in lines:
        when = (moment(one.started_at), moment(one.ended_at))
        terminal.add_row(shown, one.lease_id, one.bid_id, one.pool, *when, one.ran_seconds, one.charged)
    if lines:
        out.print(shown)
