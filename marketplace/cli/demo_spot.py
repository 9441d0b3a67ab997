"""`demo spot`: a day of the spot market in half a minute, against a real server: bids, an eviction, a bill."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from marketplace.cli import spot, terminal
from marketplace.cli.connection import connect
from marketplace.cli.temporary import serving, temporary_place

if TYPE_CHECKING:
    from marketplace.client import Client

CPU_MILLIS, MEMORY_MIB = 1_000, 2_048
"""Of a unit."""
NOTICE_SECONDS = 3
LONGEST_WAIT_SECONDS = 30


def demo_spot() -> None:
    """Play a day of the spot market: containers come, one has to go for a dearer one, and each is billed.

    The server runs on a temporary file and a free port, its node only simulates containers; nothing is left behind.
    """
    console = terminal.output()
    console.print("Starting a server on a temporary file …", style="dim")
    with temporary_place() as place, serving(place), connect(place.url) as client:
        _open(client, console)
        ann, bob = _morning(client, console)
        cy = _noon(client, console, ann)
        _evening(client, console, [ann, bob, cy])
    console.print("The server is stopped and its file deleted.", style="dim")


def _open(client: Client, console: Console) -> None:
    # A day is short here: nobody is protected for a minute, and a notice is not two.
    client.set_spot_pool("default", minimum_runtime_seconds=1, notice_seconds=NOTICE_SECONDS)
    client.add_spot_node(
        "machine-1",
        backend="simulated",
        cpu_millis=2 * CPU_MILLIS,
        memory_mib=2 * MEMORY_MIB,
        settings={"start_seconds": [0, 0], "fails_percent": 0, "hangs_percent": 0, "exits_percent": 0},
    )
    step(console, "an operator brings in machine-1", "2 vCPU and 4 GiB, room for two units")


def _morning(client: Client, console: Console) -> tuple[int, int]:
    console.print("\nMorning: there is room for both.", style="bold")
    ann = _bid(client, console, "ann", "3")
    bob = _bid(client, console, "bob", "6")
    for bid_id in (ann, bob):
        _wait(lambda bid_id=bid_id: client.spot_bid(bid_id).state == "running")  # type: ignore[misc]
    price = client.spot_price()
    step(console, "both run", f"a unit costs {price.unit_price_per_hour} an hour: what it takes to displace ann")
    return ann, bob


def _noon(client: Client, console: Console, ann: int) -> int:
    console.print("\nNoon: cy wants a unit, and none is free.", style="bold")
    time.sleep(1)  # until nobody is protected any more
    found = client.preview_spot_bid("app:1", cpu_millis=CPU_MILLIS, memory_mib=MEMORY_MIB)
    evicted = ", ".join(f"bid {one}" for one in found.would_evict)
    step(console, "cy asks what it takes", f"{found.min_price_to_run_per_hour} an hour, and {evicted} would have to go")
    cy = _bid(client, console, "cy", "9")
    _wait(lambda: client.spot_bid(ann).state != "running")
    lease = list(client.spot_leases(bid_id=ann))[-1]
    step(console, f"ann's container is told to go within {NOTICE_SECONDS} s", lease.reason or "")
    _wait(lambda: client.spot_bid(cy).state == "running")
    step(console, f"ann's bid is {client.spot_bid(ann).state}, and cy's runs", _price(client))
    return cy


def _evening(client: Client, console: Console, bids: list[int]) -> None:
    console.print("\nEvening: the others have done their work.", style="bold")
    time.sleep(2)
    for bid_id in bids[1:]:
        client.cancel_spot_bid(bid_id)
        _wait(lambda bid_id=bid_id: client.spot_bid(bid_id).state == "cancelled")  # type: ignore[misc]
    shown = terminal.table(
        "user", "from", "seconds", "unit price", "charged", right=("seconds", "unit price", "charged")
    )
    for bid_id in bids:
        bill = client.spot_bill(list(client.spot_leases(bid_id=bid_id))[-1].lease_id)
        for line in bill.lines:
            seconds = f"{(line.to_at - line.from_at).total_seconds():.3f}"
            at = spot.moment(line.from_at)
            terminal.add_row(shown, bill.username, at, seconds, line.unit_price_per_hour, line.charged)
        terminal.add_row(shown, Text(bill.username, style="bold"), "in all", "", "", Text(bill.charged, style="bold"))
    console.print(shown)
    console.print("Everybody paid the pool's price for each second, and never more than the own bid.\n")


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def step(console: Console, what: str, answer: str) -> None:
    console.print(Text.assemble(("→ ", "bold"), what, ("  ", ""), (answer, "green")), soft_wrap=True)


def _bid(client: Client, console: Console, username: str, per_minute: str) -> int:
    placed = client.place_spot_bid(
        "app:1", cpu_millis=CPU_MILLIS, memory_mib=MEMORY_MIB, per_minute=per_minute, username=username
    )
    step(
        console,
        f"{username} bids {per_minute} a minute for a unit",
        f"bid {placed.bid_id}, {placed.held} of the wallet is held for it",
    )
    return placed.bid_id


def _price(client: Client) -> str:
    return f"a unit costs {client.spot_price().unit_price_per_hour} an hour"


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise terminal.Stop(f"The server did not get there within {LONGEST_WAIT_SECONDS} s.")
        time.sleep(0.05)
