"""Rows of the spot market's tables as the lane has them in its hands: their fields are the columns, in their order.

They are changed in memory while a batch is decided, and written once at its end.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from marketplace.foundation.clock import Instant
from marketplace.spot.commands import BidState, Cause, LeaseState, NodeRow, NodeState, OnEviction, Placed, Pool
from marketplace.spot.model import Bid, Policy
from marketplace.spot.pricing import Terms

OPEN_BID_STATES = ("submitted", "matched", "starting", "running", "evicting")
Flag = Literal[0, 1]


class PoolRecord(msgspec.Struct):
    pool: str
    unit_cpu_millis: int
    unit_memory_mib: int
    reserve_micros_per_hour: int
    pricing: str
    margin_basis_points: int
    minimum_runtime_seconds: int
    notice_seconds: int
    shortest_notice_seconds: int
    longest_notice_seconds: int
    backoff_seconds: int
    max_backoff_seconds: int
    images: str
    needs_digest: int
    max_cpu_millis: int | None
    max_memory_mib: int | None
    network: str | None
    opened_at: Instant
    changed_seq: int = 0
    taken_seq: int = 0
    opened_seq: int = 0

    @classmethod
    def of(cls, pool: Pool, *, opened_at: Instant) -> PoolRecord:
        policy = pool.policy
        return cls(
            pool.pool,
            policy.unit_cpu_millis,
            policy.unit_memory_mib,
            policy.reserve_micros,
            policy.pricing,
            policy.margin_basis_points,
            policy.minimum_runtime_seconds,
            policy.notice_seconds,
            *policy.notice_bounds,
            policy.backoff_seconds,
            policy.max_backoff_seconds,
            _json(pool.images),
            int(pool.needs_digest),
            pool.max_cpu_millis,
            pool.max_memory_mib,
            pool.network,
            opened_at,
        )

    def policy(self) -> Policy:
        return Policy(
            self.unit_cpu_millis,
            self.unit_memory_mib,
            self.reserve_micros_per_hour,
            self.margin_basis_points,
            self.minimum_runtime_seconds,
            self.notice_seconds,
            (self.shortest_notice_seconds, self.longest_notice_seconds),
            self.backoff_seconds,
            self.max_backoff_seconds,
            self.pricing,
        )

    def allowed_images(self) -> tuple[str, ...]:
        return msgspec.json.decode(self.images, type=tuple[str, ...])

    def told(self) -> Pool:
        """Return the pool as others know it."""
        return Pool(
            self.pool,
            self.policy(),
            self.allowed_images(),
            bool(self.needs_digest),
            self.max_cpu_millis,
            self.max_memory_mib,
            self.network,
            self.opened_at,
        )


class NodeRecord(msgspec.Struct):
    pool: str
    node: str
    provider: str
    backend: str
    settings: str
    owner: str
    cpu_millis: int
    memory_mib: int
    state: NodeState
    heartbeat_at: Instant | None
    added_at: Instant
    claim: str | None = None
    claimed_until: Instant | None = None
    changed_seq: int = 0

    def told(self) -> NodeRow:
        return NodeRow(
            self.pool,
            self.node,
            self.provider,
            self.backend,
            self.cpu_millis,
            self.memory_mib,
            self.state,
            self.heartbeat_at,
            self.added_at,
        )


class BidRecord(msgspec.Struct):
    """A bid. The texts at the end are written once and never read here; meanwhile they are placeholders."""

    pool: str
    bid_id: int
    username: str
    cpu_millis: int
    memory_mib: int
    max_price_micros_per_hour: int
    ttl_seconds: int | None
    on_eviction: OnEviction
    expires_at: Instant | None
    budget_micros: int | None
    max_preemptions: int | None
    notice_seconds: int | None
    state: BidState
    cause: Cause | None
    reason: str | None
    queue_seq: int
    not_before: Instant | None
    avoids: str
    evictions: int
    failures: int
    hold_id: int | None
    held_micros: int | None
    charged_micros: int
    lease_id: int | None
    submitted_at: Instant
    ended_at: Instant | None
    changed_seq: int
    image: str = "-"
    command: str = "[]"
    environment: str = "{}"

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    def avoided(self) -> frozenset[str]:
        """Return the nodes where it shall not be placed."""
        return frozenset(msgspec.json.decode(self.avoids, type=list[str]))

    def avoid(self, node: str) -> None:
        self.avoids = _json(sorted({*self.avoided(), node}))

    def as_placed(self) -> Bid:
        """Return the bid as the placement rule sees it."""
        return Bid(
            self.bid_id,
            self.queue_seq,
            self.cpu_millis,
            self.memory_mib,
            self.max_price_micros_per_hour,
            self.notice_seconds,
            self.avoided() if self.avoids != "[]" else frozenset(),
        )

    def told(self) -> Placed:
        return Placed(
            self.pool,
            self.bid_id,
            self.username,
            self.state,
            self.max_price_micros_per_hour,
            self.held_micros,
            self.lease_id,
            self.reason,
            self.submitted_at,
        )


class LeaseRecord(msgspec.Struct):
    pool: str
    lease_id: int
    bid_id: int
    username: str
    node: str
    state: LeaseState
    cause: Cause | None
    reason: str | None
    for_bid: int | None
    notice_secret: str
    reference: str | None
    address: str | None
    matched_at: Instant
    start_at: Instant | None
    started_at: Instant | None
    notice_at: Instant | None
    stop_at: Instant | None
    overdue_at: Instant | None
    ended_at: Instant | None
    exit_code: int | None
    attempts: int
    try_at: Instant | None
    is_clean: int
    size: int
    parts: int
    max_price_micros_per_hour: int
    pricing: str
    metered_until: Instant | None
    charged_micros: int
    remainder: int
    paid_micros: int
    line_from_at: Instant | None
    line_unit_price_micros: int | None
    line_charged_micros: int
    settle_at: Instant | None
    is_low: int
    changed_seq: int

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def owed_micros(self) -> int:
        """What it was charged and has not paid."""
        return self.charged_micros - self.paid_micros

    @property
    def is_wanted(self) -> bool:
        """Tell whether nobody has told it to go."""
        return self.state in ("matched", "starting", "running")

    def terms(self) -> Terms:
        return Terms(self.size, self.parts, self.max_price_micros_per_hour)


class LineRecord(msgspec.Struct):
    """A line of a bill that will not change any more."""

    pool: str
    lease_id: int
    from_at: Instant
    to_at: Instant
    unit_price_micros_per_hour: int
    charged_micros: int


class PriceRecord(msgspec.Struct):
    pool: str
    from_at: Instant
    to_at: Instant | None
    unit_price_micros_per_hour: int


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
