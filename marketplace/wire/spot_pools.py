"""Pools, nodes and prices of the spot market: what goes over the wire.

Prices are decimal text of credits an hour for one unit of the pool. cpu is in thousandths of a vCPU, memory in MiB.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits
from marketplace.wire.spot import CpuMillis, MemoryMib, NodeName, NoticeSeconds, PoolName, Price

MAX_SETTINGS_BYTES = 16_384

NodeState = Literal["ready", "cordoned", "draining", "lost"]
"""Neither capacity nor price count what a node has that is not ready."""
Interval = Literal["1m", "1h", "1d"]

NodeCpuMillis = Annotated[int, Meta(ge=1, le=1_000_000_000, description="thousandths of a vCPU")]
NodeMemoryMib = Annotated[int, Meta(ge=1, le=1_000_000_000, description="MiB")]
DaySeconds = Annotated[int, Meta(ge=0, le=86_400)]
BackoffSeconds = Annotated[int, Meta(ge=1, le=86_400)]
BasisPoints = Annotated[int, Meta(ge=0, le=100_000, description="hundredths of a percent")]
Patterns = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=255, pattern=limits.TRIMMED)]], Meta(max_length=100)
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[a-z][a-z0-9_.-]*$(?!\n)",
        description="1 to 64 of a-z, 0-9, dot, dash and underscore, beginning with a letter",
    ),
]
"""Of a pricing rule or a backend."""


# ── pools and nodes ──────────────────────────────────────────────────────────────────────────────────────────────────


class NewPool(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A market of nodes and bids by itself. A unit stays as it is for ever.

    `images` are patterns with `*` and `?`, of which an image has to match one; none: any image. A container gets an
    address from `network`; null: it gets none.
    """

    pool: PoolName
    unit_cpu_millis: CpuMillis = 1_000
    unit_memory_mib: MemoryMib = 2_048
    reserve_price_per_hour: Price = "0.01"
    pricing: Name = "uniform"
    margin_basis_points: BasisPoints = 500
    minimum_runtime_seconds: DaySeconds = 60
    notice_seconds: NoticeSeconds = 120
    shortest_notice_seconds: NoticeSeconds = 0
    longest_notice_seconds: NoticeSeconds = 600
    backoff_seconds: BackoffSeconds = 60
    max_backoff_seconds: BackoffSeconds = 3_600
    images: Patterns = []
    needs_digest: bool = False
    max_cpu_millis: CpuMillis | None = None
    max_memory_mib: MemoryMib | None = None
    network: limits.NetworkName | None = None


class PoolChange(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is left out stays."""

    reserve_price_per_hour: Price | UnsetType = UNSET
    pricing: Name | UnsetType = UNSET
    margin_basis_points: BasisPoints | UnsetType = UNSET
    minimum_runtime_seconds: DaySeconds | UnsetType = UNSET
    notice_seconds: NoticeSeconds | UnsetType = UNSET
    shortest_notice_seconds: NoticeSeconds | UnsetType = UNSET
    longest_notice_seconds: NoticeSeconds | UnsetType = UNSET
    backoff_seconds: BackoffSeconds | UnsetType = UNSET
    max_backoff_seconds: BackoffSeconds | UnsetType = UNSET
    images: Patterns | UnsetType = UNSET
    needs_digest: bool | UnsetType = UNSET
    max_cpu_millis: CpuMillis | UnsetType | None = UNSET
    max_memory_mib: MemoryMib | UnsetType | None = UNSET
    network: limits.NetworkName | UnsetType | None = UNSET


class Pool(NewPool, frozen=True, kw_only=True, omit_defaults=False, forbid_unknown_fields=False):
    opened_at: datetime


class Pools(Struct, frozen=True):
    items: list[Pool]
    next: str | None = None


class NewNode(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A machine that runs leases, by a backend with its settings; sent again it changes what the node offers."""

    node: NodeName
    backend: Name
    cpu_millis: NodeCpuMillis
    memory_mib: NodeMemoryMib
    settings: Annotated[dict[str, Any], Meta(max_length=100)] = {}
    provider: limits.Username | None = None


class NodeChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing new starts on a `cordoned` node, and what runs there stays; on a `draining` one it is told to go."""

    state: Literal["ready", "cordoned", "draining"]


class Node(Struct, frozen=True, kw_only=True):
    pool: str
    node: str
    provider: str
    backend: str
    state: NodeState
    cpu_millis: int
    memory_mib: int
    heartbeat_at: datetime | None
    added_at: datetime


class NodeUse(Node, frozen=True, kw_only=True):
    """A node, and how much of it is used by leases that start, run or leave."""

    used_cpu_millis: int
    used_memory_mib: int
    leases: int


class Removed(Struct, frozen=True):
    """A node that is out of the market; leases that ran there keep its name."""

    pool: str
    node: str


class Nodes(Struct, frozen=True):
    items: list[NodeUse]
    next: str | None = None


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Indicative(Struct, frozen=True):
    """What a container of this shape would have to bid to run now; null where no price is enough."""

    cpu_millis: int
    memory_mib: int
    min_price_per_hour: str | None


class CurrentPrice(Struct, frozen=True, kw_only=True):
    pool: str
    unit_price_per_hour: str
    since: datetime
    reserve_price_per_hour: str
    indicative: list[Indicative]
    """Of one, two, four and eight units."""


class PriceInterval(Struct, frozen=True):
    """What a unit cost from one instant up to another, which is null for the one that goes on."""

    from_at: datetime
    to_at: datetime | None
    unit_price_per_hour: str


class Prices(Struct, frozen=True):
    """Newest first, without gaps."""

    items: list[PriceInterval]
    next: str | None = None


class PriceCandle(Struct, frozen=True):
    """Prices of a unit; `average` is weighted by time."""

    opened_at: datetime
    open: str
    high: str
    low: str
    close: str
    average: str


class PriceCandles(Struct, frozen=True):
    """Oldest first."""

    pool: str
    interval: Interval
    items: list[PriceCandle]


class Percentiles(Struct, frozen=True):
    """For 20, 50 and 80 percent of the time a unit cost this or less."""

    pool: str
    since: datetime
    until: datetime
    p20: str
    p50: str
    p80: str


class Utilisation(Struct, frozen=True, kw_only=True):
    """What the nodes that are ready have, and how much of it is used. `value_per_hour` is what those who run bid.

    `ideal_value_per_hour` is what it would be were all nodes one machine where everybody could start: of all bids, the
    dearest by the unit.
    """

    pool: str
    nodes: int
    cpu_millis: int
    memory_mib: int
    used_cpu_millis: int
    used_memory_mib: int
    running: int
    leaving: int
    waiting: int
    used_percent: str
    value_per_hour: str
    ideal_value_per_hour: str
