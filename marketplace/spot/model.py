"""The words of the spot market.

Prices are integers of micro-credits an hour: a bid's for its whole container, the pool's for one unit. A pool says what
a unit is, 1 vCPU with 2 GiB for example; a container is as many units as its cpu or its memory asks for, whichever is
more, and that may be a fraction. Instants are microseconds since the epoch.

Fractions are never rounded and never floats: `Policy.size` counts in parts of a unit, of which one unit has `parts`;
and `Policy.worth` is the price of a unit as an integer that compares as the fraction does.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from marketplace.foundation.clock import SECOND, Instant

LeaseState = Literal["waiting", "running", "leaving"]
ReasonKind = Literal["below_reserve", "too_large", "no_room"]

BASIS_POINTS = 10_000
MAX_MARGIN_BASIS_POINTS = 100_000
MAX_PARTS = 2**31
"""A pool's unit has at most so many parts: with the microseconds of an hour the product fits 63 bits."""
MAX_SIZE = 2**48
"""A container is smaller than this, in parts of a unit."""
WORTH_BITS = 120
"""Two unequal fractions, of a price by a size and of one by a size and a margin, differ by more than 2^-113."""


class Policy(msgspec.Struct, frozen=True):
    """What a pool decides by. Raises ValueError for a unit or a margin that cannot be computed with exactly."""

    unit_cpu_millis: int = 1_000
    unit_memory_mib: int = 2_048
    reserve_micros: int = 0
    """The least that a unit costs an hour."""
    margin_basis_points: int = 500
    """By how much a price has to exceed another one to displace it."""
    minimum_runtime_seconds: int = 60
    notice_seconds: int = 120
    notice_bounds: tuple[int, int] = (0, 600)
    """The shortest and longest notice that a bid may wish for."""
    backoff_seconds: int = 60
    max_backoff_seconds: int = 3_600
    pricing: str = "uniform"

    def __post_init__(self) -> None:
        if not (self.unit_cpu_millis >= 1 and self.unit_memory_mib >= 1 and self.parts <= MAX_PARTS):
            raise ValueError(f"a unit's millis of vCPU times its MiB have to be from 1 to {MAX_PARTS}")
        if not 0 <= self.margin_basis_points <= MAX_MARGIN_BASIS_POINTS:
            raise ValueError(f"a margin is from 0 to {MAX_MARGIN_BASIS_POINTS} basis points")

    @property
    def minimum_runtime(self) -> int:
        """How long nobody is displaced after the start, in microseconds."""
        return self.minimum_runtime_seconds * SECOND

    @property
    def parts(self) -> int:
        """Into how many parts a unit is divided, so that every size is a whole number of them."""
        return self.unit_cpu_millis * self.unit_memory_mib

    def size(self, cpu_millis: int, memory_mib: int) -> int:
        """Return the units of a container, in parts: what it needs more of counts."""
        return max(cpu_millis * self.unit_memory_mib, memory_mib * self.unit_cpu_millis)

    def room(self, cpu_millis: int, memory_mib: int) -> int:
        """Return the units for which there is room, in parts: what there is less of counts."""
        return min(cpu_millis * self.unit_memory_mib, memory_mib * self.unit_cpu_millis)

    def worth(self, price_micros: int, size: int) -> int:
        """Return an integer that orders prices for containers of different sizes by the unit, exactly."""
        assert 0 < size < MAX_SIZE
        return (price_micros << WORTH_BITS) // size

    def reach(self, price_micros: int, size: int) -> int:
        """Return the worth below which this price may displace others, exceeding them by more than the margin."""
        assert 0 < size < MAX_SIZE
        return (price_micros * BASIS_POINTS << WORTH_BITS) // (size * (BASIS_POINTS + self.margin_basis_points))

    def price_over(self, victim: Bid, shape: tuple[int, int]) -> int:
        """Return the least price for which a container of this shape reaches beyond the victim."""
        paid = victim.max_price_micros * self.size(*shape) * (BASIS_POINTS + self.margin_basis_points)
        return paid // (self.size(*victim.shape) * BASIS_POINTS) + 1

    def rank(self, bid: Bid) -> Ranked:
        """Place a bid in the one order that there is, for who is admitted and who has to go."""
        return Ranked(-self.worth(bid.max_price_micros, self.size(*bid.shape)), bid.seq, bid)

    def unit_price(self, price_micros: int, size: int) -> int:
        """Return what a container pays for a unit, a fraction of a micro-credit left out."""
        return price_micros * self.parts // size

    def notice(self, wish_seconds: int | None) -> int:
        """Return how many seconds of notice a bid gets: what it wishes for, within the pool's bounds."""
        shortest, longest = self.notice_bounds
        return self.notice_seconds if wish_seconds is None else min(max(wish_seconds, shortest), longest)

    def backoff(self, evictions: int) -> int:
        """Return how many seconds a bid waits before it is queued again after so many evictions: 60, 120, 240 …"""
        doublings = min(max(evictions, 1) - 1, self.max_backoff_seconds.bit_length())
        return min(self.backoff_seconds << doublings, self.max_backoff_seconds)


# ── what the rule is given ───────────────────────────────────────────────────────────────────────────────────────────


class Node(msgspec.Struct, frozen=True):
    """A machine that runs leases; one that is cordoned, draining or lost is not ready, and counts for nothing."""

    node: str
    cpu_millis: int
    memory_mib: int
    is_ready: bool = True


class Bid(msgspec.Struct, frozen=True):
    """A container that somebody wants to run, and what it may cost an hour at most. `seq` is its place in the queue."""

    bid_id: int
    seq: int
    cpu_millis: int
    memory_mib: int
    max_price_micros: int
    notice_seconds: int | None = None
    """The notice that it wishes for, None for the pool's."""
    avoids: frozenset[str] = frozenset()
    """Nodes where it shall not be placed, since it could not be started there."""

    @property
    def shape(self) -> tuple[int, int]:
        return (self.cpu_millis, self.memory_mib)


class Ranked(NamedTuple):
    """A bid in its order: the smallest is served first, the largest goes first. Highest worth, then first come."""

    minus_worth: int
    seq: int
    bid: Bid


class Lease(msgspec.Struct, frozen=True):
    """A bid that has a place on a node.

    `waiting` for room that is reserved for it until its victims are gone; `running`, from the decision to start it on;
    `leaving`, from the decision to stop it on until nothing of it is left. `started_at` is None until the container
    runs. `for_bid` of one that was evicted is the bid that displaced it.
    """

    bid: Bid
    node: str
    state: LeaseState = "running"
    started_at: Instant | None = None
    for_bid: int | None = None


# ── what the rule answers ────────────────────────────────────────────────────────────────────────────────────────────


class Start(msgspec.Struct, frozen=True):
    """A bid gets a place: at once, or as soon as its victims are gone (`waits_for`, by bid)."""

    bid: Bid
    node: str
    waits_for: tuple[int, ...] = ()


class Eviction(msgspec.Struct, frozen=True):
    """A lease has to go by `stop_at`, since another bid pays more for a unit. Both prices are a unit's."""

    lease: Lease
    for_bid: int
    stop_at: Instant
    unit_price_micros: int
    for_unit_price_micros: int


class Reason(msgspec.Struct, frozen=True):
    """Why a bid waits, as a word for programs and a sentence for people."""

    kind: ReasonKind
    text: str


class Plan(msgspec.Struct, frozen=True):
    """What is to happen now. The price is a unit's, as it is once that has happened.

    `released` are bids whose reserved room is on a node that is ready no more; they are queued again, where `starts`
    has no other place for them. `reasons` tell why each new bid that gets no place has to wait.
    """

    starts: tuple[Start, ...]
    evictions: tuple[Eviction, ...]
    released: tuple[int, ...]
    price_micros: int
    reasons: dict[int, Reason]

    @property
    def is_empty(self) -> bool:
        return not (self.starts or self.evictions or self.released)


class Preview(msgspec.Struct, frozen=True):
    """What a bid would get if it came now. `price_micros` is the pool's, of a unit; the least price its container's.

    `min_price_to_run_micros` is None where no price is enough: no node is large enough, or none may be displaced yet.
    """

    runs_now: bool
    price_micros: int
    min_price_to_run_micros: int | None
    would_evict: tuple[int, ...]
    node: str | None
