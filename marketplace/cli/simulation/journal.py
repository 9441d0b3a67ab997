"""What was acknowledged during a simulation, and what may have happened without an answer."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from marketplace.cli.simulation.orders import Buy, Sell
from marketplace.client import MarketplaceError


@dataclass(slots=True)
class Entry:
    """An acknowledged order: what was asked for, and the hours it had at once."""

    order: Buy | Sell
    allocated: int


@dataclass(slots=True)
class Journal:
    bids: dict[int, Entry] = field(default_factory=dict)
    supplies: dict[int, Entry] = field(default_factory=dict)
    twice: list[int] = field(default_factory=list)
    """Ids that were acknowledged for two orders."""
    cancelled: dict[int, int] = field(default_factory=dict)
    """Bid to the hours it had when its cancel was acknowledged."""
    too_late: set[int] = field(default_factory=set)
    """Bids whose cancel was refused because they were closed."""
    unanswered: Counter[Buy | Sell] = field(default_factory=Counter)
    """Orders whose outcome is not known: each may be there once, or not."""
    unanswered_cancels: set[int] = field(default_factory=set)

    def note(self, order: Buy | Sell, order_id: int, *, allocated: int) -> None:
        """Write down an acknowledged order."""
        entries = self.bids if isinstance(order, Buy) else self.supplies
        if order_id in entries:
            self.twice.append(order_id)
        entries[order_id] = Entry(order, allocated)

    @contextlib.contextmanager
    def watch(self, orders: Sequence[Buy | Sell]) -> Iterator[None]:
        """Remember the orders of a request that ends without an answer."""
        try:
            yield
        except MarketplaceError as error:
            if not error.outcome_known:
                self.unanswered.update(orders)
            raise
