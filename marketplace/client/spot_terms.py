"""What may be said of a spot bid, and of a pool, by keyword."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TypedDict

from marketplace.wire import spot


class Terms(TypedDict, total=False):
    """On what terms a container is to run; what is left out is as `marketplace.wire.spot.NewSpotBid` has it."""

    pool: str
    username: str | None
    ttl_seconds: int | None
    on_eviction: spot.OnEviction
    expires_at: datetime | None
    budget: str | int | Decimal | None
    max_preemptions: int | None
    notice_seconds: int | None


class PoolSettings(TypedDict, total=False):
    """What a pool decides by, as `marketplace.wire.spot.NewPool` has it; the unit is of a new pool only."""

    unit_cpu_millis: int
    unit_memory_mib: int
    reserve_price_per_hour: str | int | Decimal
    pricing: str
    margin_basis_points: int
    minimum_runtime_seconds: int
    notice_seconds: int
    shortest_notice_seconds: int
    longest_notice_seconds: int
    backoff_seconds: int
    max_backoff_seconds: int
    images: list[str]
    needs_digest: bool
    max_cpu_millis: int | None
    max_memory_mib: int | None
    network: str | None
