"""The hours market: bids for VM-hours meet supply, highest price first, first come first served inside a price.

How a bid goes: `routes` parse it and hand `PlaceBid` to the lane `hours`; the lane calls `service.apply` with all that
waited together; `book` reads what they need, `matching` (the rule) decides, `book` writes; the lane commits, and the
bid's owner is told.

    commands    PlaceBid AddSupply CancelBid AmendBid WithdrawSupply ExpireBid CreateMarket ChangeMarket RunOrders
    reads       lookups, reports: functions of a read-only tx
    handlers()  what the lane needs to run the commands
    audit       proves the books
"""

from marketplace.hours.audit import audit
from marketplace.hours.lookups import (
    INTERVAL_SECONDS,
    find_bid,
    find_market,
    find_supply,
    list_allocations,
    list_bids,
    list_fills,
    list_markets,
    list_newest_allocations,
    list_supplies,
    preview,
    read_book,
    read_candles,
    total_allocated,
)
from marketplace.hours.model import (
    KINDS,
    AddSupply,
    Allocation,
    AmendBid,
    Bid,
    CancelBid,
    ChangeMarket,
    CreateMarket,
    ExpireBid,
    Market,
    PlaceBid,
    RunOrders,
    Supply,
    WithdrawSupply,
)
from marketplace.hours.reports import REPORTS, read_report
from marketplace.hours.service import handlers
from marketplace.hours.tables import LANE

DEFAULT_MARKET = "default"

__all__ = [
    "DEFAULT_MARKET",
    "INTERVAL_SECONDS",
    "KINDS",
    "LANE",
    "REPORTS",
    "AddSupply",
    "Allocation",
    "AmendBid",
    "Bid",
    "CancelBid",
    "ChangeMarket",
    "CreateMarket",
    "ExpireBid",
    "Market",
    "PlaceBid",
    "RunOrders",
    "Supply",
    "WithdrawSupply",
    "audit",
    "find_bid",
    "find_market",
    "find_supply",
    "handlers",
    "list_allocations",
    "list_bids",
    "list_fills",
    "list_markets",
    "list_newest_allocations",
    "list_supplies",
    "preview",
    "read_book",
    "read_candles",
    "read_report",
    "total_allocated",
]
