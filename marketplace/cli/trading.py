"""`buy`, `sell`, `allocation`, `bids` and `book`: a market from the keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from marketplace.cli import ladder, terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Market, Url, connect

if TYPE_CHECKING:
    from marketplace.wire import hours


def buy(
    username: str,
    volume: int,
    price: int,
    *,
    market: Market = "default",
    time_in_force: Literal["gtc", "ioc", "fok"] = "gtc",
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Bid for VM-hours: what is on offer is allocated at once, the rest waits.

    Parameters
    ----------
    username
        Who buys.
    volume
        VM-hours.
    price
        Credits per VM-hour, at most.
    time_in_force
        gtc waits until cancelled, ioc takes what is there and drops the rest, fok takes all or nothing.
    """
    with connect(url, key) as client:
        bid = client.place_bid(username, volume=volume, price=price, market=market, time_in_force=time_in_force)
    rest = f"{bid.remaining} wait" if bid.state == "open" else f"{bid.remaining} dropped"
    terminal.output().print(f"Bid {bid.bid_id}: {bid.allocated} allocated, {rest if bid.remaining else 'none wait'}.")


def sell(
    volume: int,
    *,
    min_price: int = 0,
    provider: str | None = None,
    market: Market = "default",
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Add supply: the highest bids get it first, what is left waits for later bids.

    Parameters
    ----------
    volume
        VM-hours.
    min_price
        Credits per VM-hour; a lower bid gets nothing of it.
    provider
        Who sells.
    """
    with connect(url, key) as client:
        supply = client.add_supply(volume, min_price=min_price, provider=provider, market=market)
    print_to = terminal.output()
    print_to.print(f"Supply {supply.supply_id}: {supply.allocated} allocated, {supply.remaining or 'none'} left.")


def allocation(username: str | None = None, *, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Print the VM-hours that a user has been given on the market `default`.

    Parameters
    ----------
    username
        Who bought; left out, you.
    """
    with connect(url, key) as client:
        terminal.output().print(client.allocation(username))


def bids(
    *,
    username: str | None = None,
    state: Literal["open", "filled", "cancelled", "expired"] | None = None,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 100,
    market: Market = "default",
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List bids, oldest first.

    Parameters
    ----------
    username
        Only this user's.
    state
        Only those in this state.
    limit
        How many at most.
    """
    with connect(url, key) as client:
        terminal.print_first(
            limit,
            lambda size: client.bids(market=market, username=username, state=state, page_size=size),
            _print_bids,
        )


def _print_bids(rows: list[hours.Bid]) -> None:
    numbers = ("bid", "price", "volume", "allocated", "remaining")
    shown = terminal.table(
        "bid", "username", "price", "volume", "allocated", "remaining", "state", "until", "placed at", right=numbers
    )
    for bid in rows:
        until = f"{bid.expires_at:%Y-%m-%d %H:%M:%S}" if bid.expires_at else bid.time_in_force
        figures = (bid.price, bid.volume, bid.allocated, bid.remaining, bid.state)
        terminal.add_row(shown, bid.bid_id, bid.username, *figures, until, f"{bid.placed_at:%Y-%m-%d %H:%M:%S}")
    terminal.output().print(shown if rows else "No such bids.")


def book(
    *,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 15,
    market: Market = "default",
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Draw the book as a ladder: supplies above, bids below, the best of each next to the middle.

    Parameters
    ----------
    limit
        Price levels on each side, at most.
    """
    with connect(url, key) as client:
        found = client.book(market=market, limit=limit)
    console = terminal.output()
    console.print(ladder.draw(found, bar="█" if console.encoding.startswith("utf") else "#"))
