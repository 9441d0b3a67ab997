"""Orders and bids for tests of the rules: round numbers, and what a test does not say is harmless."""

from __future__ import annotations

from typing import Any

import msgspec

from marketplace.auctions.model import Order, SolverBid
from marketplace.foundation.clock import SECOND
from tests.services.clock import NEW_YEAR

CREDIT = 1_000_000
LATER = NEW_YEAR + 3_600 * SECOND


def an_order(**more: Any) -> Order:
    """An open order for hours, paid in credits, without a budget or a limit."""
    order = Order("default", 1, "ann", "hour", 0, None, "credit", 6, None, "open", 1, 0, None, NEW_YEAR)
    return msgspec.structs.replace(order, **more)


def a_bid(bid_id: int, *, output: int = 10, most: int = 10, **more: Any) -> SolverBid:
    """A bid of `most` units for `output` units, of a solver named by its number."""
    bid = SolverBid("default", 1, f"s{bid_id}", bid_id, most, "1", output, LATER, "live", NEW_YEAR)
    return msgspec.structs.replace(bid, **more)
