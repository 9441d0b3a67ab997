"""What the spot market refuses, and why."""

from __future__ import annotations

from collections.abc import Iterable

from marketplace.foundation import errors


class UnknownPool(errors.NotFound):
    code = "spot.unknown_pool"
    title = "Unknown pool"

    def __init__(self, pool: str) -> None:
        super().__init__(f"There is no pool {pool!r}; list them at /api/v1/spot/pools.", pool=pool)


class UnknownNode(errors.NotFound):
    """No such node, or one that another provider has brought."""

    code = "spot.unknown_node"
    title = "Unknown node"

    def __init__(self, pool: str, node: str) -> None:
        super().__init__(f"The pool {pool!r} has no node {node!r}.", pool=pool, node=node)


class UnknownBid(errors.NotFound):
    """No such bid, or one that is not this caller's to see."""

    code = "spot.unknown_bid"
    title = "Unknown bid"

    def __init__(self, bid_id: int) -> None:
        super().__init__(f"There is no bid {bid_id}.", bid_id=bid_id)


class UnknownLease(errors.NotFound):
    """No such lease, or one that is not this caller's to see."""

    code = "spot.unknown_lease"
    title = "Unknown lease"

    def __init__(self, lease_id: int) -> None:
        super().__init__(f"There is no lease {lease_id}.", lease_id=lease_id)


class PoolExists(errors.Conflict):
    code = "spot.pool_exists"
    title = "Pool exists"

    def __init__(self, pool: str) -> None:
        super().__init__(f"There is a pool {pool!r} already; choose another name.", pool=pool)


class UnknownPricing(errors.Invalid):
    """No pricing rule of this name is installed."""

    code = "spot.unknown_pricing"
    title = "Unknown pricing rule"

    def __init__(self, clause: str) -> None:
        super().__init__(f"{clause[:1].upper()}{clause[1:]}.", field="pricing")


class UnknownBackend(errors.Invalid):
    """No backend of this name is installed."""

    code = "spot.unknown_backend"
    title = "Unknown backend"

    def __init__(self, backend: str, names: Iterable[str]) -> None:
        super().__init__(f"There is no backend {backend!r}; there are {', '.join(names)}.", field="backend")


class BadNodeSettings(errors.Invalid):
    """The backend of a node cannot use the settings that it was given."""

    code = "spot.bad_node_settings"
    title = "Bad settings of a node"


class BadPolicy(errors.Invalid):
    """The settings of a pool do not go together, or cannot be computed with exactly."""

    code = "spot.bad_policy"
    title = "Bad settings of a pool"

    def __init__(self, clause: str, *, field: str | None = None) -> None:
        super().__init__(f"The pool cannot be set so: {clause}.", field=field)


class NotYours(errors.Forbidden):
    """Another provider has brought the node."""

    code = "spot.not_yours"
    title = "Not your node"

    def __init__(self, pool: str, node: str) -> None:
        super().__init__(f"The node {node!r} of the pool {pool!r} is another provider's.", pool=pool, node=node)


class NodeInUse(errors.Conflict):
    """Drain it, and wait until its leases have ended and are cleaned up."""

    code = "spot.node_in_use"
    title = "Node in use"

    def __init__(self, pool: str, node: str, *, leases: int) -> None:
        super().__init__(
            f"The node {node!r} has {leases} leases that have not ended or are not cleaned up; drain it first.",
            pool=pool,
            node=node,
            leases=leases,
        )


class BelowReserve(errors.Invalid):
    """The max price is less than what the pool asks for a container of this size at least."""

    code = "spot.below_reserve"
    title = "Below the reserve price"

    def __init__(self, *, max_price: str, reserve_price: str) -> None:
        super().__init__(
            f"{max_price} an hour is below the pool's reserve, which is {reserve_price} for a container of this size.",
            field="max_price_per_hour",
            reserve_price=reserve_price,
        )


class ImageNotAllowed(errors.Invalid):
    """The pool runs some images only, or none that are not named by their digest."""

    code = "spot.image_not_allowed"
    title = "Image not allowed"

    def __init__(self, image: str, *, patterns: Iterable[str], needs_digest: bool) -> None:
        allowed = list(patterns)
        wants = [f"match one of {', '.join(allowed)}"] if allowed else []
        wants += ["be named by its digest (@sha256:…)"] if needs_digest else []
        super().__init__(f"An image of this pool has to {' and '.join(wants)}: {image!r} does not.", field="image")


class TooLarge(errors.Invalid):
    """More than one lease of the pool may have."""

    code = "spot.too_large"
    title = "Container too large"

    def __init__(self, field: str, *, asked: int, most: int) -> None:
        super().__init__(f"A lease of this pool has at most {most} of {field}, not {asked}.", field=field, most=most)


class ExpiresInPast(errors.Invalid):
    """The bid would be over before it began to wait."""

    code = "spot.expires_in_past"
    title = "Expires in the past"

    def __init__(self) -> None:
        super().__init__("A bid expires later than now.", field="expires_at")


class BidOver(errors.Conflict):
    """The bid has ended, or its container has been told to go."""

    code = "spot.bid_over"
    title = "Bid over"

    def __init__(self, bid_id: int, state: str) -> None:
        super().__init__(f"The bid {bid_id} cannot be changed: it is {state}.", bid_id=bid_id, state=state)


class LeaseNotRunning(errors.Conflict):
    """Only what runs, and was not told to go, can be evicted."""

    code = "spot.lease_not_running"
    title = "Lease not running"

    def __init__(self, lease_id: int, state: str) -> None:
        super().__init__(f"The lease {lease_id} is {state}.", lease_id=lease_id, state=state)
