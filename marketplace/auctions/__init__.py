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
    boards          read_board read_own read_league read_sheet, what somebody sees who watches; functions of a
                    read-only tx, as are find_book list_books find_seen_order read_report
    shapes          what the words of the wire mean as commands
"""

from marketplace.auctions import errors, shapes
from marketplace.auctions.audit import audit, verify_book
from marketplace.auctions.boards import (
    Board,
    Own,
    Placed,
    Sheet,
    read_board,
    read_league,
    read_own,
    read_sheet,
)
from marketplace.auctions.book_log import Logged
from marketplace.auctions.describing import describe, words_of
from marketplace.auctions.entries import KINDS
from marketplace.auctions.feed import BookFeed
from marketplace.auctions.lookups import Promised, find_book, find_seen_order, list_books
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
    "Board",
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
    "Logged",
    "OpenBook",
    "Order",
    "Own",
    "PlaceBid",
    "PlaceOrder",
    "Placed",
    "Promised",
    "SetBook",
    "Sheet",
    "SolverBid",
    "SolverRecord",
    "Tick",
    "Ticked",
    "audit",
    "describe",
    "errors",
    "find_book",
    "find_seen_order",
    "handlers",
    "list_books",
    "read_board",
    "read_league",
    "read_own",
    "read_report",
    "read_sheet",
    "shapes",
    "verify",
    "verify_book",
    "words_of",
]
