"""The rule of the hours market: price, then time.

A sell serves the highest bid first, and inside a price the one that came first (`seq`). A buy takes the supply with the
lowest minimum price first, and inside it the one that came first. They match where the bid's price reaches the supply's
minimum, at the bid's price (pay as bid). Whoever is not served in full waits for the next one.

    open bids: u3 50 at 4, u1 100 at 3, u2 150 at 2;  250 hours come in
    u3 gets 50 (200 left), u1 gets 100 (100 left), u2 gets 100 and keeps waiting for 50

Guarantees: no hour is given twice; a bid never waits while a worse one is served; after each command no open bid
reaches the minimum of an open supply; of every match one side is used up, so a bid and a supply meet at most once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from marketplace.hours.model import Bid, Supply


def crosses(bid: Bid, supply: Supply) -> bool:
    """Tell whether the two may trade."""
    return bid.price >= supply.min_price


def serve_bid(bid: Bid, supplies: Iterable[Supply]) -> Iterator[tuple[Bid, Supply, int]]:
    """Fill a bid from supplies that come best first; yield each match with its volume, taken from both.

    Asks for a further supply only when the one before is used up, so a lazy `supplies` is read no further than needed.
    """
    for supply in supplies:
        if not crosses(bid, supply):
            return
        yield _trade(bid, supply)
        if bid.remaining == 0:
            return


def serve_supply(supply: Supply, bids: Iterable[Bid]) -> Iterator[tuple[Bid, Supply, int]]:
    """Give a supply to bids that come best first; the same the other way round."""
    for bid in bids:
        if not crosses(bid, supply):
            return
        yield _trade(bid, supply)
        if supply.remaining == 0:
            return


def keeps_place(bid: Bid, *, volume: int, price: int) -> bool:
    """Tell whether an amended bid stays where it is: less is no harm to those behind it, anything else is."""
    return price == bid.price and volume <= bid.volume


def _trade(bid: Bid, supply: Supply) -> tuple[Bid, Supply, int]:
    volume = min(bid.remaining, supply.remaining)
    bid.take(volume)
    supply.take(volume)
    return bid, supply, volume
