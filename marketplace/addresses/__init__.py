"""The address pool: every VM gets an address that nobody else has, by lowest free address or at random.

How an address is given out: `routes` hand `Allocate` to the lane `addresses`; the lane calls `service.apply` with all
that waited together; one read brings the free addresses that they may need, `pool` (the rule) picks, one write follows.

    commands    Allocate AllocateMany Release ReleaseAddress ReleaseMany ReleaseOrphans
                CreateNetwork EnsureNetwork DeleteNetwork
    reads       lookups, reports: functions of a read-only tx
    handlers()  what the lane needs to run the commands
    plan()      whether a network can be, before anything is asked of the lane
    audit       proves the books
"""

from marketplace.addresses.audit import audit
from marketplace.addresses.lookups import (
    default_network,
    find_address,
    find_assignment,
    find_hostname,
    find_network,
    list_assignments,
    list_networks,
    list_orphans,
    list_reserved,
    list_stats,
    network_stats,
)
from marketplace.addresses.model import (
    FIRST_HOST,
    KINDS,
    MAX_BATCH,
    MAX_LIVE,
    MAX_RESERVED,
    Allocate,
    AllocateMany,
    Assigned,
    Assignment,
    CreateNetwork,
    DeleteNetwork,
    EnsureNetwork,
    Network,
    Release,
    ReleaseAddress,
    ReleaseMany,
    ReleaseOrphans,
    Stats,
)
from marketplace.addresses.reports import REPORTS, read_report
from marketplace.addresses.service import handlers
from marketplace.addresses.subnets import plan
from marketplace.addresses.tables import LANE

__all__ = [
    "FIRST_HOST",
    "KINDS",
    "LANE",
    "MAX_BATCH",
    "MAX_LIVE",
    "MAX_RESERVED",
    "REPORTS",
    "Allocate",
    "AllocateMany",
    "Assigned",
    "Assignment",
    "CreateNetwork",
    "DeleteNetwork",
    "EnsureNetwork",
    "Network",
    "Release",
    "ReleaseAddress",
    "ReleaseMany",
    "ReleaseOrphans",
    "Stats",
    "audit",
    "default_network",
    "find_address",
    "find_assignment",
    "find_hostname",
    "find_network",
    "handlers",
    "list_assignments",
    "list_networks",
    "list_orphans",
    "list_reserved",
    "list_stats",
    "network_stats",
    "plan",
    "read_report",
]
