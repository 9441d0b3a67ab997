"""`demo`: three buyers, one seller, and who gets what, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from marketplace.cli import ladder, terminal
from marketplace.cli.connection import connect
from marketplace.cli.temporary import serving, temporary_place

if TYPE_CHECKING:
    from marketplace.client import Client

BUYS = [("u1", 100, 3), ("u2", 150, 2), ("u3", 50, 4)]
SUPPLY = 250


def demo() -> None:
    """Play a small example against a real server of its own, and print each step.

    The server runs on a temporary file and a free port; nothing is left behind.
    """
    console = terminal.output()
    console.print("Starting a server on a temporary file …", style="dim")
    with temporary_place() as place, serving(place), connect(place.url) as client:
        _play(client, console)
    console.print("The server is stopped and its file deleted.", style="dim")


def _play(client: Client, console: Console) -> None:
    for username, volume, price in BUYS:
        bought = client.buy(username, volume=volume, price=price)
        _step(
            console, f"{username} bids for {volume} hours at {price}", f"bid {bought.bid_id}, {bought.remaining} wait"
        )
    console.print(ladder.draw(client.book()))
    console.print()
    sold = client.sell(SUPPLY)
    _step(console, f"a provider sells {SUPPLY} hours", f"{sold.allocated} allocated, {sold.remaining} left")
    console.print("Highest price first: u3 (4) in full, then u1 (3), then u2 (2) gets what is left.\n")
    console.print(_result(client))


def _result(client: Client) -> Table:
    numbers = ("wanted", "price", "allocated", "still open")
    shown = terminal.table("user", *numbers, right=numbers)
    for bid in client.bids():
        allocated = client.allocation(bid.username)
        terminal.add_row(shown, bid.username, bid.volume, bid.price, allocated, bid.remaining)
    return shown


def _step(console: Console, what: str, answer: str) -> None:
    console.print(Text.assemble(("→ ", "bold"), what, ("  ", ""), (answer, "green")))
