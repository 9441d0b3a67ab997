"""`demo auction`: one order that is filled and one that is reassigned, against a real server."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from marketplace.cli import terminal
from marketplace.cli.auction import line
from marketplace.cli.connection import connect
from marketplace.cli.temporary import serving, temporary_place

if TYPE_CHECKING:
    from marketplace.client import Client
    from marketplace.wire import auctions

BOOK = "demo"
BUDGET = 100
PATIENCE_SECONDS = 30


def auction() -> None:
    """Play two orders against a real server of its own: one is filled, one is reassigned.

    The server runs on a temporary file and a free port; nothing is left behind.
    """
    console = terminal.output()
    console.print("Starting a server on a temporary file …", style="dim")
    with temporary_place() as place, serving(place), connect(place.url) as client:
        _play(client, console)
    console.print("The server is stopped and its file deleted.", style="dim")


def _play(client: Client, console: Console) -> None:
    client.open_auction_book(
        BOOK,
        tick_seconds=0.1,
        bidding_window_seconds=1.5,
        fulfil_seconds=2,
        grace_seconds=0.5,
    )
    console.print("\nThe best bid keeps its word.", style="bold")
    first = _put_out(client, console, "ann", "render a film")
    _bid(client, console, first, "s1", "1.05")
    _bid(client, console, first, "s2", "1.10")
    _deliver(client, console, first, "s2")
    _wait(client, first, "filled")
    console.print("\nThe best bid does not, and the next best takes over.", style="bold")
    second = _put_out(client, console, "bob", "index a library")
    _bid(client, console, second, "s1", "1.02")
    _bid(client, console, second, "s3", "1.20")
    _step(console, "s3 wins and does nothing", "its time runs out")
    _deliver(client, console, second, "s1")
    _wait(client, second, "filled")
    console.print("\nWhat the book's log says of all that:", style="bold")
    for entry in client.auction_log(BOOK):
        console.print(line(entry), soft_wrap=True, style="dim")
    console.print()
    console.print(_wallets(client))


def _put_out(client: Client, console: Console, owner: str, what: str) -> int:
    placed = client.place_order(what, username=owner, book=BOOK, limit_output=BUDGET, input_budget=BUDGET)
    _step(console, f"{owner} puts out: {what}, for at most {BUDGET} credits", f"order {placed.order_id}")
    _wait(client, placed.order_id, "open")
    return placed.order_id


def _bid(client: Client, console: Console, order_id: int, solver: str, rate: str) -> None:
    valid_till = datetime.now(UTC) + timedelta(minutes=5)
    placed = client.bid_on_order(order_id, max_input=BUDGET, conversion_rate=rate, valid_till=valid_till, solver=solver)
    _step(console, f"{solver} bids, sealed", f"gives {placed.min_output} for {placed.max_input}")


def _deliver(client: Client, console: Console, order_id: int, solver: str) -> None:
    """Wait until a solver is committed, and let it deliver."""
    found = _committed(client, order_id, solver)
    done = client.deposit_output(order_id, solver=solver)
    _step(console, f"{solver} is committed, of rank {found.rank}", f"delivers {done.amount} into escrow")


def _committed(client: Client, order_id: int, solver: str) -> auctions.Commitment:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for found in client.commitments(BOOK, order_id=order_id, solver=solver, state="live"):
            return found
        time.sleep(0.05)
    raise terminal.Stop(f"The order {order_id} did not come to {solver}.")


def _wait(client: Client, order_id: int, state: str) -> None:
    """Follow the order until it is in a state."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := client.order(order_id)).state != state:
        if time.monotonic() > deadline:
            raise terminal.Stop(f"The order {order_id} is {found.state}, and not {state}.")
        time.sleep(0.05)


def _wallets(client: Client) -> Table:
    shown = terminal.table("member", "credits", right=("credits",))
    for username in ("ann", "bob", "s1", "s2", "s3"):
        (wallet,) = client.wallet(username).balances
        terminal.add_row(shown, username, wallet.balance)
    return shown


def _step(console: Console, what: str, answer: str) -> None:
    console.print(Text.assemble(("→ ", "bold"), what, ("  ", ""), (answer, "green")))
