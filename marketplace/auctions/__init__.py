"""Order auctions: solvers compete with sealed bids, the best one commits and delivers into escrow, or the next best.

How an order goes: its owner places it, and its budget is held; at a tick it is announced with others; solvers send
sealed bids until its window closes; at the next tick the best valid bid becomes a commitment (`selection` tells the
rule); the solver deposits what it promised, and at the next tick the owner has the output and the solver the input. If
not all is there when the deadline and its grace are over, deposits go back and the next best bid takes over
(`reliability` tells what that costs).

Every command runs in the lane `money`, so that an order and the money it moves are one commit. Each book has a log of
its own with dense offsets, which solvers follow, and from which every decision can be computed again.

    commands        OpenBook SetBook PlaceOrder CancelOrder PlaceBid Deposit Claim Tick
    handlers()      what the lane needs to run them
    verify()        computes the decisions of a book again, from its log alone
    audit           proves the books
    BookFeed        the ends of the books' logs in this process: pages, long polls, streams
    reports         read_report: functions of a read-only tx
"""

from marketplace.auctions.audit import audit, verify_book
from marketplace.auctions.describing import describe
from marketplace.auctions.entries import KINDS
from marketplace.auctions.feed import BookFeed
from marketplace.auctions.model import (
    BOUNDS,
    DEFAULT_BOOK,
    TICK_LIMIT,
    Batch,
    Book,
    CancelOrder,
    Claim,
    Commitment,
    Deposit,
    Deposited,
    DepositRow,
    LogEntry,
    OpenBook,
    Order,
    PlaceBid,
    PlaceOrder,
    SetBook,
    SolverBid,
    SolverRecord,
    Tick,
    Ticked,
)
from marketplace.auctions.replay import Line, verify
from marketplace.auctions.reports import REPORTS, read_report
from marketplace.auctions.service import handlers

__all__ = [
    "BOUNDS",
    "DEFAULT_BOOK",
    "KINDS",
    "REPORTS",
    "TICK_LIMIT",
    "Batch",
    "Book",
    "BookFeed",
    "CancelOrder",
    "Claim",
    "Commitment",
    "Deposit",
    "DepositRow",
    "Deposited",
    "Line",
    "LogEntry",
    "OpenBook",
    "Order",
    "PlaceBid",
    "PlaceOrder",
    "SetBook",
    "SolverBid",
    "SolverRecord",
    "Tick",
    "Ticked",
    "audit",
    "describe",
    "handlers",
    "read_report",
    "verify",
    "verify_book",
]
