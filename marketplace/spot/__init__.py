"""The spot market: containers that run until somebody pays more, on nodes of limited room, billed by the second.

How a bid goes: `routes` parse it and hand `PlaceBid` to the lane `money`; the lane calls `service.apply` with all that
waited together; `book` reads what they need and holds the money, and the bid is in the log. Outside of the lane a
`projection` of its pool has caught up with it and decides by the rule (`placement`) who runs where; that comes back as
`ApplyPlan`. Then `jobs` start and stop containers by the backends (`compute`) and record what came of it.

    commands        PlaceBid AmendBid CancelBid StopLease EvictLease, OpenPool SetPool, AddNode SetNode RemoveNode
    of the matcher  ApplyPlan
    of the nodes    ClaimNodes Heartbeat RecordStarted RecordFailed RecordTry RecordEnded RecordClean
    of the clock    ExpireBids StopOverdue LoseNodes Settle
    Projection      a pool in memory, kept up: rank, reason, preview
    deciding        one step of matching a pool
    bids, leases    find_bid list_bids find_lease list_leases newest_leases
    nodes           backends check_node
    pools, prices   find_pool list_pools find_node list_nodes read_use, current_price list_prices prices_between
    bills           lease_bill monthly_bill monthly_sum
    boards          list_open list_over read_cost list_stays; of time: history
    answers         Watch (a process's pools, at WATCH of its state), asking, read_log; and parsing of what is asked
    reports         REPORTS read_report
    handlers()      what the lane needs to run the commands
    audit           proves the books
"""

from marketplace.spot import asking, errors, history, parsing
from marketplace.spot.audit import audit
from marketplace.spot.boards import Cost, OpenBid, OverBid, list_open, list_over, list_stays, read_cost
from marketplace.spot.commands import (
    DEFAULT_POOL,
    MAX_COMMAND_BYTES,
    MAX_FAILURES,
    MAX_PRICE_MICROS,
    MAX_SECONDS,
    SETTLE_SECONDS,
    STOP_GRACE_SECONDS,
    AddNode,
    AmendBid,
    ApplyPlan,
    BidState,
    CancelBid,
    Cause,
    ClaimedNode,
    ClaimNodes,
    Container,
    EvictLease,
    ExpireBids,
    Heartbeat,
    LeaseState,
    LoseNodes,
    NodeRow,
    NodeState,
    OnEviction,
    OpenPool,
    PlaceBid,
    Placed,
    PlannedEviction,
    PlannedStart,
    Pool,
    RecordClean,
    RecordEnded,
    RecordFailed,
    RecordStarted,
    RecordTry,
    RemoveNode,
    SetNode,
    SetPool,
    Settle,
    StopLease,
    StopOverdue,
    Wish,
)
from marketplace.spot.compute import names as backends
from marketplace.spot.connections import check as check_node
from marketplace.spot.happenings import KINDS, TOPIC
from marketplace.spot.invoices import (
    LeaseBill,
    Month,
    MonthlyLine,
    MonthlySum,
    lease_bill,
    monthly_bill,
    monthly_sum,
)
from marketplace.spot.listings import BidRow, LeaseRow, find_bid, find_lease, list_bids, list_leases, newest_leases
from marketplace.spot.logs import read_log
from marketplace.spot.model import Policy
from marketplace.spot.pool_listings import (
    NodeUse,
    Use,
    current_price,
    find_node,
    find_pool,
    list_nodes,
    list_pools,
    list_prices,
    prices_between,
    read_use,
)
from marketplace.spot.pricing import Interval
from marketplace.spot.projection import Projection
from marketplace.spot.reports import REPORTS, read_report
from marketplace.spot.service import handlers
from marketplace.spot.watching import OPERATOR, WATCH, Watch

__all__ = [
    "DEFAULT_POOL",
    "KINDS",
    "MAX_COMMAND_BYTES",
    "MAX_FAILURES",
    "MAX_PRICE_MICROS",
    "MAX_SECONDS",
    "OPERATOR",
    "REPORTS",
    "SETTLE_SECONDS",
    "STOP_GRACE_SECONDS",
    "TOPIC",
    "WATCH",
    "AddNode",
    "AmendBid",
    "ApplyPlan",
    "BidRow",
    "BidState",
    "CancelBid",
    "Cause",
    "ClaimNodes",
    "ClaimedNode",
    "Container",
    "Cost",
    "EvictLease",
    "ExpireBids",
    "Heartbeat",
    "Interval",
    "LeaseBill",
    "LeaseRow",
    "LeaseState",
    "LoseNodes",
    "Month",
    "MonthlyLine",
    "MonthlySum",
    "NodeRow",
    "NodeState",
    "NodeUse",
    "OnEviction",
    "OpenBid",
    "OpenPool",
    "OverBid",
    "PlaceBid",
    "Placed",
    "PlannedEviction",
    "PlannedStart",
    "Policy",
    "Pool",
    "Projection",
    "RecordClean",
    "RecordEnded",
    "RecordFailed",
    "RecordStarted",
    "RecordTry",
    "RemoveNode",
    "SetNode",
    "SetPool",
    "Settle",
    "StopLease",
    "StopOverdue",
    "Use",
    "Watch",
    "Wish",
    "asking",
    "audit",
    "backends",
    "check_node",
    "current_price",
    "errors",
    "find_bid",
    "find_lease",
    "find_node",
    "find_pool",
    "handlers",
    "history",
    "lease_bill",
    "list_bids",
    "list_leases",
    "list_nodes",
    "list_open",
    "list_over",
    "list_pools",
    "list_prices",
    "list_stays",
    "monthly_bill",
    "monthly_sum",
    "newest_leases",
    "parsing",
    "prices_between",
    "read_cost",
    "read_log",
    "read_report",
    "read_use",
]
