"""What the log says of the spot market. Prices are credits an hour and amounts credits, as decimal text.

`unit_price` is of one unit, `max_price` of the whole container. `reason` is a sentence for people, `cause` a word.
"""

from __future__ import annotations

import msgspec

from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind
from marketplace.spot.commands import Cause

TOPIC = "spot"


class PoolOpened(msgspec.Struct, frozen=True, tag="pool_opened"):
    pool: str
    unit_cpu_millis: int
    unit_memory_mib: int
    reserve_price: str
    pricing: str


class PoolSet(msgspec.Struct, frozen=True, tag="pool_set"):
    pool: str
    reserve_price: str
    pricing: str


class NodeSet(msgspec.Struct, frozen=True, tag="node_set"):
    """A node came, or offers something else, or is in another state."""

    pool: str
    node: str
    state: str
    cpu_millis: int
    memory_mib: int
    reason: str


class PriceChanged(msgspec.Struct, frozen=True, tag="price_changed"):
    pool: str
    unit_price: str
    before: str


class BidSubmitted(msgspec.Struct, frozen=True, tag="spot_bid_submitted"):
    pool: str
    bid_id: int
    username: str
    image: str
    cpu_millis: int
    memory_mib: int
    max_price: str
    held: str


class BidAmended(msgspec.Struct, frozen=True, tag="spot_bid_amended"):
    pool: str
    bid_id: int
    username: str
    max_price: str
    before: str
    held: str


class BidMatched(msgspec.Struct, frozen=True, tag="spot_bid_matched"):
    """`waits_for` are the bids that have to go first."""

    pool: str
    bid_id: int
    lease_id: int
    username: str
    node: str
    waits_for: tuple[int, ...]
    reason: str


class BidReturned(msgspec.Struct, frozen=True, tag="spot_bid_returned"):
    """A bid is in the queue again, from `not_before` on where that is not null."""

    pool: str
    bid_id: int
    username: str
    cause: Cause
    reason: str
    not_before: Instant | None


class ContainerStarting(msgspec.Struct, frozen=True, tag="container_starting"):
    """Its room is free: the node may start it."""

    pool: str
    bid_id: int
    lease_id: int
    username: str
    node: str


class ContainerStarted(msgspec.Struct, frozen=True, tag="container_started"):
    pool: str
    bid_id: int
    lease_id: int
    username: str
    node: str
    address: str | None
    started_at: Instant


class ContainerEvictionRequested(msgspec.Struct, frozen=True, tag="container_eviction_requested"):
    """Notice: it is killed at `stop_at`. Both unit prices and the other bid's id, where it was displaced."""

    pool: str
    bid_id: int
    lease_id: int
    username: str
    node: str
    stop_at: Instant
    cause: Cause
    reason: str
    for_bid: int | None = None
    unit_price: str | None = None
    for_unit_price: str | None = None


class ContainerStopRequested(msgspec.Struct, frozen=True, tag="container_stop_requested"):
    pool: str
    bid_id: int
    lease_id: int
    username: str
    node: str
    stop_at: Instant
    cause: Cause
    reason: str


class LeasesCharged(msgspec.Struct, frozen=True, tag="leases_charged"):
    """A member's running leases were charged together; `charges` are by lease id."""

    username: str
    amount: str
    charges: dict[str, str]


class FundsLow(msgspec.Struct, frozen=True, tag="funds_low"):
    """At the present price the wallet pays for a member's leases for so many seconds more."""

    username: str
    available: str
    seconds_left: int


class InsufficientFunds(msgspec.Struct, frozen=True, tag="insufficient_funds"):
    """A lease is stopped, or a bid not queued again, since the wallet does not cover it."""

    pool: str
    bid_id: int
    lease_id: int | None
    username: str
    available: str
    needed: str
    reason: str


class BidEvicted(msgspec.Struct, frozen=True, tag="spot_bid_evicted"):
    pool: str
    bid_id: int
    lease_id: int
    username: str
    cause: Cause
    reason: str
    charged: str


class BidCompleted(msgspec.Struct, frozen=True, tag="spot_bid_completed"):
    pool: str
    bid_id: int
    lease_id: int
    username: str
    cause: Cause
    reason: str
    exit_code: int | None
    charged: str


class BidCancelled(msgspec.Struct, frozen=True, tag="spot_bid_cancelled"):
    """`lease_id` is null where it never had a place."""

    pool: str
    bid_id: int
    lease_id: int | None
    username: str
    cause: Cause
    reason: str
    charged: str


class BidFailed(msgspec.Struct, frozen=True, tag="spot_bid_failed"):
    pool: str
    bid_id: int
    lease_id: int | None
    username: str
    cause: Cause
    reason: str
    exit_code: int | None
    charged: str


Happening = (
    PoolOpened
    | PoolSet
    | NodeSet
    | PriceChanged
    | BidSubmitted
    | BidAmended
    | BidMatched
    | BidReturned
    | ContainerStarting
    | ContainerStarted
    | ContainerEvictionRequested
    | ContainerStopRequested
    | LeasesCharged
    | FundsLow
    | InsufficientFunds
    | BidEvicted
    | BidCompleted
    | BidCancelled
    | BidFailed
)


def about(said: Happening) -> tuple[str, str | None]:
    """Return what an entry is about, `pool/bid`, `pool/node`, the pool or a member; and the member who may read it."""
    member: str | None = getattr(said, "username", None)
    pool: str | None = getattr(said, "pool", None)
    if pool is None:
        assert member is not None, "what is about no pool is about a member"
        return member, member
    part = getattr(said, "bid_id", None) or getattr(said, "node", None)
    return (pool if part is None else f"{pool}/{part}"), member


KINDS = (
    Kind(TOPIC, PoolOpened, "a pool, with the unit that its price is for", is_public=True),
    Kind(TOPIC, PoolSet, "other settings of a pool", is_public=True),
    Kind(TOPIC, NodeSet, "a node that came, changed, was cordoned, drained, lost or found", is_public=True),
    Kind(TOPIC, PriceChanged, "another price of a unit", is_public=True),
    Kind(TOPIC, BidSubmitted, "a bid for a container"),
    Kind(TOPIC, BidAmended, "another max price of a bid"),
    Kind(TOPIC, BidMatched, "a place on a node for a bid, free already or once others are gone"),
    Kind(TOPIC, BidReturned, "a bid that is in the queue again"),
    Kind(TOPIC, ContainerStarting, "room that has become free for a bid that waited for it"),
    Kind(TOPIC, ContainerStarted, "a container that runs, billed from now on"),
    Kind(TOPIC, ContainerEvictionRequested, "notice for a container that somebody pays more than"),
    Kind(TOPIC, ContainerStopRequested, "a container that is to stop"),
    Kind(TOPIC, LeasesCharged, "what running leases of a member have cost since the last time"),
    Kind(TOPIC, FundsLow, "a wallet that will not pay for its running leases for long"),
    Kind(TOPIC, InsufficientFunds, "a wallet that does not cover a bid or its lease any more"),
    Kind(TOPIC, BidEvicted, "the end of a bid whose container was evicted"),
    Kind(TOPIC, BidCompleted, "the end of a bid whose container did what it was to do"),
    Kind(TOPIC, BidCancelled, "the end of a bid that its member, its time or its wallet ended"),
    Kind(TOPIC, BidFailed, "the end of a bid whose container could not start, or broke"),
)
