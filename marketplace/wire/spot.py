"""Bids, leases and bills of the spot market: what goes over the wire.

Prices and amounts are decimal text of credits with at most 6 decimals. A bid's price is for its whole container, a
pool's for one unit of its own (1 vCPU with 2 GiB, if nobody said otherwise); both are by the hour, and a bid's may be
sent by the minute. cpu is in thousandths of a vCPU, memory in MiB.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from marketplace.wire import limits

DEFAULT_POOL = "default"
MAX_PRICE = 1_000_000
"""Credits an hour."""
MAX_SECONDS = 10 * 365 * 86_400
MAX_NOTICE_SECONDS = 3_600
MAX_WORDS = 256
MAX_TEXT = 32_768
"""Bytes in UTF-8 that all words of a command have at most, and all variables."""
MAX_LOG_LINES = 1_000

BidState = Literal[
    "submitted", "matched", "starting", "running", "evicting", "evicted", "completed", "cancelled", "failed"
]
LeaseState = Literal["matched", "starting", "running", "evicting", "stopping", "ended"]
OnEviction = Literal["terminate", "requeue"]

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
Seconds = Annotated[int, Meta(ge=1, le=MAX_SECONDS)]
NoticeSeconds = Annotated[int, Meta(ge=0, le=MAX_NOTICE_SECONDS)]
Preemptions = Annotated[int, Meta(ge=0, le=1_000_000)]


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class BidDraft(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
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


class NewSpotBid(BidDraft, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
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


class SpotBid(Struct, frozen=True, kw_only=True):
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


class SpotBidRead(SpotBid, frozen=True, kw_only=True):
    """`rank` is its place in the pool's queue, from 1; `waits_because` tells why it waits.

    `min_price_to_run_per_hour` is what it would have to pay to run now; null where no price is enough, or where it does
    not wait.
    """

    rank: int | None
    waits_because: str | None
    min_price_to_run_per_hour: str | None


class SpotBids(Struct, frozen=True):
    """Oldest first."""

    items: list[SpotBid]
    next: str | None = None


class SpotPreview(Struct, frozen=True, kw_only=True):
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
    held: str | None
    waits_because: str | None
    body: NewSpotBid | None


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


# ── bills ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class BillLine(Struct, frozen=True):
    """A part of a lease's time through which a unit had one price."""

    from_at: datetime
    to_at: datetime
    unit_price_per_hour: str
    charged: str


class LeaseBill(Struct, frozen=True, kw_only=True):
    """What a lease cost, oldest first. All its lines add up to `charged`, which is known up to `charged_until`.

    `paid` is what of it has left the wallet. A price that goes over midnight (UTC) is in two lines.
    """

    lease_id: int
    bid_id: int
    pool: str
    username: str
    cpu_millis: int
    memory_mib: int
    max_price_per_hour: str
    started_at: datetime
    ended_at: datetime | None
    charged_until: datetime
    charged: str
    paid: str
    lines: list[BillLine]
    next: str | None = None


class MonthlyCharge(Struct, frozen=True, kw_only=True):
    """What a lease cost in a month; `ran_seconds` are whole ones."""

    lease_id: int
    bid_id: int
    pool: str
    started_at: datetime
    ended_at: datetime | None
    ran_seconds: int
    charged: str


class MonthlyBill(Struct, frozen=True, kw_only=True):
    """What a member's leases cost in a month (UTC): of all together, and of each in a page of `items`, oldest first."""

    username: str
    month: str
    leases: int
    ran_seconds: int
    charged: str
    items: list[MonthlyCharge]
    next: str | None = None
