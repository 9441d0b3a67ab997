"""Whether the books, as the API shows them at rest, are what was acknowledged, and balance.

Each check returns sentences, none where all is well. The market must be the simulation's own and quiet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from marketplace.cli.simulation.journal import Journal
from marketplace.cli.simulation.orders import Buy, Sell
from marketplace.client import AsyncClient
from marketplace.wire import hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """A market as the API shows it."""

    bids: dict[int, hours.Bid]
    supplies: dict[int, hours.Supply]
    allocations: list[hours.Allocation]
    book: hours.Book


async def find_faults(client: AsyncClient, market: str, journal: Journal) -> list[str]:
    """Read the market back and return what is wrong with it. Raises MarketplaceError."""
    page = 1000
    books = Books(
        bids={bid.bid_id: bid async for bid in client.bids(market=market, page_size=page)},
        supplies={supply.supply_id: supply async for supply in client.supplies(market=market, page_size=page)},
        allocations=[each async for each in client.allocations(market=market, page_size=page)],
        book=await client.book(market=market, limit=1000),
    )
    checks = (find_lost_orders, find_strange_orders, find_wrong_cancels, find_unbalanced, find_wrong_book)
    return [fault for check in checks for fault in check(books, journal)]


def find_lost_orders(books: Books, journal: Journal) -> Iterator[str]:
    """Every acknowledged order is there as it was sent, and has lost none of its hours since."""
    yield from (f"The id {order_id} was acknowledged for two orders." for order_id in journal.twice)
    for what, entries, rows in (("bid", journal.bids, books.bids), ("supply", journal.supplies, books.supplies)):
        for order_id, entry in entries.items():
            row = rows.get(order_id)
            if row is None:
                yield f"The {what} {order_id} was acknowledged and is not there."
            elif _as_sent(row) != entry.order:
                yield f"The {what} {order_id} is {_as_sent(row)}, but {entry.order} was acknowledged."
            elif row.allocated < entry.allocated:
                yield f"The {what} {order_id} was given {entry.allocated} hours and has {row.allocated}."


def find_strange_orders(books: Books, journal: Journal) -> Iterator[str]:
    """Every order that is there was acknowledged, or was sent once and had no answer."""
    unanswered = Counter(journal.unanswered)
    strangers: list[hours.Bid | hours.Supply] = [
        books.bids[order_id] for order_id in books.bids.keys() - journal.bids.keys()
    ]
    strangers += [books.supplies[order_id] for order_id in books.supplies.keys() - journal.supplies.keys()]
    for row in strangers:
        order = _as_sent(row)
        if not unanswered[order]:
            yield f"{order} is there and was never acknowledged, or is there twice."
        unanswered[order] -= 1


def find_wrong_cancels(books: Books, journal: Journal) -> Iterator[str]:
    """A cancelled bid stays as it was when its cancel was acknowledged; no other bid is cancelled."""
    for bid_id, bid in books.bids.items():
        allocated = journal.cancelled.get(bid_id)
        if allocated is not None and (bid.state, bid.allocated) != ("cancelled", allocated):
            yield f"The bid {bid_id} was cancelled with {allocated} hours and is {bid.state} with {bid.allocated}."
        if allocated is None and bid.state == "cancelled" and bid_id not in journal.unanswered_cancels:
            yield f"The bid {bid_id} is cancelled and nobody heard so."
        if bid_id in journal.too_late and bid.state == "open":
            yield f"The bid {bid_id} is open and its cancel was refused because it was closed."


def find_unbalanced(books: Books, _journal: Journal) -> Iterator[str]:
    """Every hour is accounted for: by bid, by supply, and at the bid's price to the bid's user."""
    by_bid, by_supply = Counter[int](), Counter[int]()
    for each in books.allocations:
        by_bid[each.bid_id] += each.volume
        by_supply[each.supply_id] += each.volume
        bid, supply = books.bids.get(each.bid_id), books.supplies.get(each.supply_id)
        if bid is None or supply is None:
            yield f"The allocation {each.fill_id} has no bid or no supply."
        elif (each.username, each.price) != (bid.username, bid.price) or each.price < supply.min_price:
            yield f"The allocation {each.fill_id} went to {each.username} at {each.price}, unlike its bid or supply."
    for what, rows, given in (("bid", books.bids, by_bid), ("supply", books.supplies, by_supply)):
        for row_id, row in rows.items():
            if not row.volume - row.remaining == row.allocated == given[row_id]:
                yield f"The {what} {row_id} says {row.allocated} of {row.volume}, its allocations {given[row_id]}."


def find_wrong_book(books: Books, _journal: Journal) -> Iterator[str]:
    """The book is what is open, and no bid waits that an open supply would serve."""
    sides = ((books.book.bids, books.bids, "bids"), (books.book.supplies, books.supplies, "supplies"))
    for levels, rows, what in sides:
        is_open = sum(row.remaining for row in rows.values() if row.state == "open")
        shown = sum(level.volume for level in levels)
        if shown != is_open:
            yield f"The book shows {shown} hours of {what}, but {is_open} are open."
    if books.book.bids and books.book.supplies and books.book.bids[0].price >= books.book.supplies[0].price:
        yield f"A bid at {books.book.bids[0].price} waits beside supply from {books.book.supplies[0].price}."


def _as_sent(row: hours.Bid | hours.Supply) -> Buy | Sell:
    if isinstance(row, hours.Bid):
        return Buy(row.username, row.volume, row.price)
    return Sell(row.provider or "", row.volume, row.min_price)
