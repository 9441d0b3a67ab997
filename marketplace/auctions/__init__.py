"""Order auctions: solvers compete with sealed bids, the best one commits and delivers into escrow, or the next best."""

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

__all__ = [
    "KINDS",
    "Book",
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
]
