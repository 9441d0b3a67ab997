"""Order auctions: solvers compete with sealed bids, the best one commits and delivers into escrow, or the next best."""

from marketplace.auctions.describing import describe
from marketplace.auctions.feed import BookFeed
from marketplace.auctions.model import (
    KINDS,
    Book,
    CancelOrder,
    Claim,
    Commitment,
    Deposit,
    Deposited,
    OpenBook,
    Order,
    PlaceBid,
    PlaceOrder,
    SetBook,
    SolverBid,
    Tick,
    Ticked,
)
from marketplace.auctions.reports import REPORTS, read_report

__all__ = [
    "KINDS",
    "REPORTS",
    "Book",
    "BookFeed",
    "CancelOrder",
    "Claim",
    "Commitment",
    "Deposit",
    "Deposited",
    "OpenBook",
    "Order",
    "PlaceBid",
    "PlaceOrder",
    "SetBook",
    "SolverBid",
    "Tick",
    "Ticked",
    "describe",
    "read_report",
]
