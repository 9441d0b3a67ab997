"""The spot market: what goes over the wire.

Prices and amounts are decimal text of credits with at most 6 decimals. A bid's price is for its whole container, a
pool's for one unit of its own (1 vCPU with 2 GiB, if nobody said otherwise); both are by the hour, and a bid's may be
sent by the minute. cpu is in thousandths of a vCPU, memory in MiB.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits

DEFAULT_POOL = "default"
MAX_PRICE = 1_000_000
"""Credits an hour."""
MAX_SECONDS = 10 * 365 * 86_400
MAX_NOTICE_SECONDS = 3_600
MAX_WORDS = 256
MAX_TEXT = 32_768
"""Bytes in UTF-8 that all words of a command have at most, and all variables."""
MAX_SETTINGS_BYTES = 16_384
MAX_LOG_LINES = 1_000

BidState = Literal[
    "submitted", "matched", "starting", "running", "evicting", "evicted", "completed", "cancelled", "failed"
]
LeaseState = Literal["matched", "starting", "running", "evicting", "stopping", "ended"]
NodeState = Literal["ready", "cordoned", "draining", "lost"]
"""Neither capacity nor price count what a node has that is not ready."""
OnEviction = Literal["terminate", "requeue"]
Interval = Literal["1m", "1h", "1d"]

PoolName = limits.MarketName
NodeName = limits.MarketName

_PRICE = r"^(0|[1-9][0-9]{0,6})(\.[0-9]{1,6})?$(?!\n)"
Price = Annotated[
    str, Meta(min_length=1, max_length=14, pattern=_PRICE, description="credits, as 3 or 0.05; up to 1 000 000 an hour")
]
Budget = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=17,
        pattern=r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?$(?!\n)",
        description="credits, as 20 or 0.50",
    ),
]

_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?"
_PATH = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
Image = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=(
            rf"^(?:{_HOST}/)?{_PATH}(?:/{_PATH})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
            r"(?:@sha256:[0-9a-f]{64})?$(?!\n)"
        ),
        description="[host[:port]/]path[:tag][@sha256:digest]",
    ),
]
Word = Annotated[str, Meta(max_length=MAX_TEXT, pattern=r"^[^\x00]*$", description="text without the character NUL")]
Variable = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$(?!\n)", description="a C identifier")
]
CpuMillis = Annotated[int, Meta(ge=10, le=256_000, description="thousandths of a vCPU")]
MemoryMib = Annotated[int, Meta(ge=16, le=4_194_304, description="MiB")]
NodeCpuMillis = Annotated[int, Meta(ge=0, le=1_000_000_000, description="thousandths of a vCPU")]
NodeMemoryMib = Annotated[int, Meta(ge=0, le=1_000_000_000, description="MiB")]
Seconds = Annotated[int, Meta(ge=1, le=MAX_SECONDS)]
NoticeSeconds = Annotated[int, Meta(ge=0, le=MAX_NOTICE_SECONDS)]
DaySeconds = Annotated[int, Meta(ge=0, le=86_400)]
BackoffSeconds = Annotated[int, Meta(ge=1, le=86_400)]
Preemptions = Annotated[int, Meta(ge=0, le=1_000_000)]
BasisPoints = Annotated[int, Meta(ge=0, le=100_000, description="hundredths of a percent")]
Patterns = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=255, pattern=limits.TRIMMED)]], Meta(max_length=100)
]
Pricing = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$(?!\n)")]
Backend = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_.-]*$(?!\n)")]


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Draft(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A container and the terms that it is to run on. One price at most: by the hour or by the minute.

    `command` is the whole argument vector, never read by a shell; empty, it is the image's own. `ttl_seconds` is of
    each run, `expires_at` of the wait; `budget` is what all runs together may cost.
    """

    cpu_millis: CpuMillis
    memory_mib: MemoryMib
    image: Image | None = None
    pool: PoolName = DEFAULT_POOL
    username: limits.Username | None = None
    command: Annotated[list[Word], Meta(max_length=MAX_WORDS)] = []
    environment: Annotated[dict[Variable, Word], Meta(max_length=MAX_WORDS)] = {}
    max_price_per_hour: Price | None = None
    max_price_per_minute: Price | None = None
    ttl_seconds: Seconds | None = None
    on_eviction: OnEviction = "terminate"
    expires_at: limits.Moment | None = None
    budget: Budget | None = None
    max_preemptions: Preemptions | None = None
    notice_seconds: NoticeSeconds | None = None


class NewBid(Draft, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The same, to be carried out. Exactly one price."""

    image: Image


class PriceChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Exactly one of them."""

    max_price_per_hour: Price | None = None
    max_price_per_minute: Price | None = None


class PlacedBid(Struct, frozen=True):
    """A bid as it stands after a request that was to change it. `held` is set aside for it; null once it is over."""

    pool: str
    bid_id: int
    username: str
    state: BidState
    max_price_per_hour: str
    held: str | None
    lease_id: int | None
    reason: str | None
    submitted_at: datetime


class Bid(Struct, frozen=True, kw_only=True):
    """A bid with everything that was asked for and what came of it.

    `cause` is a word and `reason` a sentence for the state it is in. `lease_id` is of its open lease. `charged` is what
    its ended leases have cost. `not_before` tells when a bid that was evicted is tried again.
    """

    pool: str
    bid_id: int
    username: str
    state: BidState
    image: str
    command: list[str]
    environment: dict[str, str]
    cpu_millis: int
    memory_mib: int
    max_price_per_hour: str
    held: str | None
    charged: str
    lease_id: int | None
    cause: str | None
    reason: str | None
    ttl_seconds: int | None
    on_eviction: OnEviction
    expires_at: datetime | None
    budget: str | None
    max_preemptions: int | None
    notice_seconds: int | None
    evictions: int
    failures: int
    not_before: datetime | None
    submitted_at: datetime
    ended_at: datetime | None


class BidRead(Bid, frozen=True, kw_only=True):
    """`rank` is its place in the pool's queue, from 1; `waits_because` tells why it waits.

    `min_price_to_run_per_hour` is what it would have to pay to run now; null where no price is enough, or where it does
    not wait.
    """

    rank: int | None
    waits_because: str | None
    min_price_to_run_per_hour: str | None


class Bids(Struct, frozen=True):
    """Oldest first."""

    items: list[Bid]
    next: str | None = None


class Preview(Struct, frozen=True, kw_only=True):
    """What a bid would get right now. Nothing is written, and nothing is promised for the next instant.

    `unit_price_per_hour` is the pool's; `cost_per_hour` what the container would pay at it, `held` what is set aside as
    it is placed. `would_evict` are bids. `body` can be sent as it is: where it named no price, or one that is too low,
    it has the least that runs now; null where no image was named, or where no price is enough.
    """

    pool: str
    runs_now: bool
    unit_price_per_hour: str
    min_price_to_run_per_hour: str | None
    would_evict: list[int]
    cost_per_hour: str
    held: str
    waits_because: str | None
    body: NewBid | None


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Lease(Struct, frozen=True, kw_only=True):
    """A bid's place on a node. `for_bid` is the bid that displaced it.

    It is billed from `started_at` to `ended_at`; `charged` is what it has cost up to `charged_until`, `paid` what of it
    has left the wallet. From `notice_at` on it has to go, and is killed at `stop_at`.
    """

    pool: str
    lease_id: int
    bid_id: int
    username: str
    node: str
    state: LeaseState
    cause: str | None
    reason: str | None
    for_bid: int | None
    address: str | None
    max_price_per_hour: str
    charged: str
    paid: str
    charged_until: datetime | None
    matched_at: datetime
    started_at: datetime | None
    notice_at: datetime | None
    stop_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None


class Leases(Struct, frozen=True):
    """Oldest first."""

    items: list[Lease]
    next: str | None = None


class Notice(Struct, frozen=True):
    """A lease has to go, and is killed at `stop_at`."""

    lease_id: int
    stop_at: datetime
    seconds_left: int
    cause: str
    reason: str


class LeaseLog(Struct, frozen=True):
    """The end of what a container wrote."""

    lease_id: int
    text: str


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
    pricing: Pricing = "uniform"
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
    pricing: Pricing | UnsetType = UNSET
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


class Pool(NewPool, frozen=True, kw_only=True):
    opened_at: datetime


class Pools(Struct, frozen=True):
    items: list[Pool]
    next: str | None = None


class NewNode(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A machine that runs leases, by a backend with its settings; sent again it changes what the node offers."""

    node: NodeName
    backend: Backend
    cpu_millis: NodeCpuMillis
    memory_mib: NodeMemoryMib
    settings: Annotated[dict[str, Any], Meta(max_length=100)] = {}
    provider: limits.Username | None = None


class NodeChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing new starts on a `cordoned` node, and what runs there stays; on a `draining` one it is told to go."""

    state: Literal["ready", "cordoned", "draining"]


class Node(Struct, frozen=True, kw_only=True):
    """A node, and how much of it is used by what runs, what leaves and what has room reserved."""

    pool: str
    node: str
    provider: str
    backend: str
    state: NodeState
    cpu_millis: int
    memory_mib: int
    used_cpu_millis: int
    used_memory_mib: int
    leases: int
    heartbeat_at: datetime | None
    added_at: datetime


class Removed(Struct, frozen=True):
    """A node that is out of the market; leases that ran there keep its name."""

    pool: str
    node: str


class Nodes(Struct, frozen=True):
    items: list[Node]
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


class Candle(Struct, frozen=True):
    """Prices of a unit; `average` is weighted by time."""

    opened_at: datetime
    open: str
    high: str
    low: str
    close: str
    average: str


class Candles(Struct, frozen=True):
    """Oldest first."""

    pool: str
    interval: Interval
    items: list[Candle]


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

    `ideal_value_per_hour` is the most that the same capacity could have, were it one machine that could be divided at
    will: of all bids, the dearest by the unit.
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


# ── bills ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class BillLine(Struct, frozen=True):
    """A part of a lease's time through which a unit had one price."""

    from_at: datetime
    to_at: datetime
    unit_price_per_hour: str
    charged: str


class LeaseBill(Struct, frozen=True, kw_only=True):
    """The lines add up to `charged`, which is exact up to `charged_until`; `paid` is what has left the wallet."""

    lease_id: int
    bid_id: int
    pool: str
    username: str
    cpu_millis: int
    memory_mib: int
    started_at: datetime
    ended_at: datetime | None
    charged_until: datetime
    charged: str
    paid: str
    lines: list[BillLine]
