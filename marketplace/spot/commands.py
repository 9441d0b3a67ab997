"""What is asked of the lane about the spot market, and what comes of it.

Prices are micro-credits an hour for the whole container, amounts micro-credits, instants microseconds since the epoch.
Whoever makes a command has checked its bounds (`wire` does for what comes from outside).
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from marketplace.foundation.clock import Instant
from marketplace.spot.model import Policy

DEFAULT_POOL = "default"

MAX_PRICE_MICROS = 10**12
"""A million credits an hour."""
MAX_SECONDS = 10 * 365 * 86_400
MAX_COMMAND_BYTES = 32_768
"""All words of a command, and all variables, in UTF-8."""
MAX_FAILURES = 3
"""Starts that may fail, or containers vanish, before a bid has failed."""

SETTLE_SECONDS = 10
"""How often a running lease is charged."""
STOP_GRACE_SECONDS = 10
"""How long a container has to end that is stopped, not evicted."""

OnEviction = Literal["terminate", "requeue"]
NodeState = Literal["ready", "cordoned", "draining", "lost"]
BidState = Literal[
    "submitted", "matched", "starting", "running", "evicting", "evicted", "completed", "cancelled", "failed"
]
LeaseState = Literal["matched", "starting", "running", "evicting", "stopping", "ended"]
Cause = Literal[
    "evicted",  # somebody pays more
    "drained",  # its node is to be emptied
    "drill",  # an administrator tries out what an eviction does
    "stopped",  # its member wanted it
    "ttl",  # it has run as long as it may
    "expired",  # it has waited as long as it may
    "insufficient_funds",
    "budget_spent",
    "exited",  # by itself
    "out_of_memory",
    "start_failed",
    "vanished",  # nobody stopped it, and the backend knows no such container
    "lost",  # its node is
]


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Pool(msgspec.Struct, frozen=True):
    """A pool with what it decides by."""

    pool: str
    policy: Policy
    images: tuple[str, ...] = ()
    """Patterns (fnmatch) of images that may run; none: any."""
    needs_digest: bool = False
    max_cpu_millis: int | None = None
    max_memory_mib: int | None = None
    network: str | None = None
    opened_at: Instant = 0


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """What is to run. `command` is never read by a shell; empty, it is the image's own."""

    image: str
    cpu_millis: int
    memory_mib: int
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms. `ttl_seconds` is of the run, `expires_at` of the wait; `budget_micros` of all runs together."""

    max_price_micros: int
    ttl_seconds: int | None = None
    on_eviction: OnEviction = "terminate"
    expires_at: Instant | None = None
    budget_micros: int | None = None
    max_preemptions: int | None = None
    notice_seconds: int | None = None


class Placed(msgspec.Struct, frozen=True):
    """A bid as a caller is told of it: the outcome of whatever changes one."""

    pool: str
    bid_id: int
    username: str
    state: BidState
    max_price_micros: int
    held_micros: int | None
    lease_id: int | None
    reason: str | None
    submitted_at: Instant


# ── pools and nodes ──────────────────────────────────────────────────────────────────────────────────────────────────


class OpenPool(msgspec.Struct, frozen=True):
    """Open a pool; its price begins with the reserve. Outcome: Pool. Refused: PoolExists, UnknownPricing."""

    pool: Pool


class SetPool(msgspec.Struct, frozen=True, kw_only=True):
    """Change a pool; leases that run keep what they were charged by. Outcome: Pool.

    Refused: UnknownPool, UnknownPricing, BadPolicy. The unit's shape never changes: nodes and bids are counted in it.
    """

    pool: str
    reserve_micros: int | UnsetType = UNSET
    margin_basis_points: int | UnsetType = UNSET
    minimum_runtime_seconds: int | UnsetType = UNSET
    notice_seconds: int | UnsetType = UNSET
    notice_bounds: tuple[int, int] | UnsetType = UNSET
    backoff_seconds: int | UnsetType = UNSET
    max_backoff_seconds: int | UnsetType = UNSET
    pricing: str | UnsetType = UNSET
    images: tuple[str, ...] | UnsetType = UNSET
    needs_digest: bool | UnsetType = UNSET
    max_cpu_millis: int | UnsetType | None = UNSET
    max_memory_mib: int | UnsetType | None = UNSET
    network: str | UnsetType | None = UNSET


class AddNode(msgspec.Struct, frozen=True, kw_only=True):
    """Bring a machine in, or change what it offers; its owner token is made up once. Outcome: NodeRow.

    Refused: UnknownPool, NotYours (another provider's node).
    """

    pool: str
    node: str
    provider: str
    backend: str
    cpu_millis: int
    memory_mib: int
    settings: dict[str, object] = {}
    owner: str
    """Made up by the caller; the node keeps its first one."""
    is_admin: bool = False


class SetNode(msgspec.Struct, frozen=True, kw_only=True):
    """Make a node ready, cordoned (nothing new starts there) or draining (its leases are told to go, too).

    Outcome: NodeRow. Refused: UnknownNode.
    """

    pool: str
    node: str
    state: Literal["ready", "cordoned", "draining"]
    provider: str | None = None
    """Another provider's node is unknown; None: anybody's."""


class RemoveNode(msgspec.Struct, frozen=True):
    """Take a node out for good; it has no open leases and nothing to clean up. Outcome: None.

    The row stays, cordoned with no room, for the leases that ran there. Refused: UnknownNode, NodeInUse.
    """

    pool: str
    node: str
    provider: str | None = None


class NodeRow(msgspec.Struct, frozen=True):
    pool: str
    node: str
    provider: str
    backend: str
    cpu_millis: int
    memory_mib: int
    state: NodeState
    heartbeat_at: Instant | None
    added_at: Instant


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class PlaceBid(msgspec.Struct, frozen=True):
    """Offer to pay for a container. What its first minimum runtime costs at its max price is held. Outcome: Placed.

    Refused: UnknownPool, BelowReserve, ImageNotAllowed, TooLarge, NotCovered (the ledger's), ExpiresInPast.
    """

    pool: str
    username: str
    container: Container
    wish: Wish


class AmendBid(msgspec.Struct, frozen=True):
    """Change the price of a bid that waits, which queues it anew, or of one that runs. Outcome: Placed.

    The hold changes with it. Refused: UnknownBid, BidOver, BelowReserve, NotCovered.
    """

    bid_id: int
    max_price_micros: int
    username: str | None = None
    """Whose it has to be; None: anybody's."""


class CancelBid(msgspec.Struct, frozen=True):
    """End a bid: at once while it waits; where it runs its container is stopped, and it is over with that.

    Outcome: Placed. A bid that is over stays as it is. Refused: UnknownBid.
    """

    bid_id: int
    username: str | None = None


class StopLease(msgspec.Struct, frozen=True):
    """The same by the lease's id. Outcome: Placed. Refused: UnknownLease."""

    lease_id: int
    username: str | None = None


class EvictLease(msgspec.Struct, frozen=True):
    """A drill: give a running lease notice as if it had been displaced, and let all follow. Outcome: Placed.

    Refused: UnknownLease, LeaseNotRunning.
    """

    lease_id: int


class ExpireBids(msgspec.Struct, frozen=True):
    """Cancel at most `limit` bids that have waited as long as they may. Outcome: how many."""

    limit: int = 500


# ── what the matcher asks for ────────────────────────────────────────────────────────────────────────────────────────


class PlannedStart(msgspec.Struct, frozen=True):
    """`waits` where room is reserved for it until its victims are gone."""

    bid_id: int
    node: str
    waits: bool
    secret: str
    """A notice secret for its lease, made up."""


class PlannedEviction(msgspec.Struct, frozen=True):
    bid_id: int
    for_bid: int
    stop_at: Instant
    unit_price_micros: int
    for_unit_price_micros: int


class ApplyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Do what a plan says, all of it or nothing. Outcome: True; False where it rests on what is no longer so.

    `seq` is the lane's at which the plan's state was read. Anything that took away what it may rely on (a bid that was
    cancelled or amended, a node that is ready no more, a lease that is to stop) came before; and where it evicts, so
    did all that opened room. Bids that came later change nothing about it.
    """

    pool: str
    seq: int
    starts: tuple[PlannedStart, ...]
    evictions: tuple[PlannedEviction, ...]
    released: tuple[int, ...]
    """Bids whose reserved places are given up."""
    unit_price_micros: int


# ── what the reconcile loop asks for ─────────────────────────────────────────────────────────────────────────────────


class ClaimNodes(msgspec.Struct, frozen=True):
    """Look after nodes for `seconds`: those that are this token's already, and those that are nobody's (any more).

    For no seconds: let go of those that are this token's, so that others need not wait; there are none then.
    Outcome: list[ClaimedNode]. The log has no entry of it.
    """

    token: str
    seconds: int = 10
    limit: int = 1000


class ClaimedNode(msgspec.Struct, frozen=True):
    pool: str
    node: str
    backend: str
    settings: dict[str, object]
    owner: str
    state: NodeState
    cpu_millis: int
    memory_mib: int


class Heartbeat(msgspec.Struct, frozen=True):
    """A node's sign of life. One that was lost is ready again. Outcome: None; no entry but for that."""

    pool: str
    node: str


class LoseNodes(msgspec.Struct, frozen=True):
    """Give up nodes silent for `seconds`: their leases end, and the bids are queued again. Outcome: how many."""

    seconds: int = 30


class RecordStarted(msgspec.Struct, frozen=True):
    """A lease's container runs. It is billed from `started_at` (never before it was to start). Outcome: bool.

    False where the lease is over. One that is to stop by now is noted too.
    """

    lease_id: int
    reference: str
    started_at: Instant
    address: str | None = None


class RecordFailed(msgspec.Struct, frozen=True):
    """A lease's container cannot be started. Unbilled; its bid is queued again, for another node, or has failed.

    Outcome: bool, False where the lease is over or ran already.
    """

    lease_id: int
    reason: str


class RecordTry(msgspec.Struct, frozen=True):
    """A start that did not come to an answer (the backend is away): try again at `try_at`. Outcome: None."""

    lease_id: int
    try_at: Instant


class RecordEnded(msgspec.Struct, frozen=True):
    """A lease's container has ended, or is not there although it ran (`exit_code` None). Outcome: bool.

    It is charged to its end, its hold is captured or released, its bid is over or queued again. False where that was
    done before.
    """

    lease_id: int
    ended_at: Instant
    exit_code: int | None
    out_of_memory: bool = False
    reason: str = ""


class RecordClean(msgspec.Struct, frozen=True):
    """An ended lease's container is removed and its address given back. Outcome: None; the log has no entry of it."""

    lease_ids: tuple[int, ...]


class StopOverdue(msgspec.Struct, frozen=True):
    """Tell leases to stop that have run as long as they may (ttl). At most `limit`. Outcome: how many."""

    limit: int = 500


class Settle(msgspec.Struct, frozen=True):
    """Charge at most `limit` running leases whose time to be charged has come. Outcome: how many.

    Stops those that can pay no longer, or have spent their budget.
    """

    limit: int = 500
