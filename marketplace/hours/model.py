"""The words of the hours market.

Volumes are whole VM-hours, prices whole credits per VM-hour, instants microseconds since the epoch. A bid's id is the
seq of the command that placed it; its `seq` is its place in the queue, which an amendment may move to the back.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind

TimeInForce = Literal["gtc", "ioc", "fok"]
BidState = Literal["open", "filled", "cancelled", "expired"]
SupplyState = Literal["open", "exhausted", "withdrawn"]
MarketState = Literal["open", "closed"]

# ── things ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Market(msgspec.Struct):
    market: str
    state: MarketState
    created_at: Instant


class Bid(msgspec.Struct):
    """Keeps volume == remaining + the sum of its allocations, always; `remaining` of a closed bid is dead."""

    market: str
    bid_id: int
    seq: int
    username: str
    volume: int
    remaining: int
    price: int
    time_in_force: TimeInForce
    state: BidState
    placed_at: Instant
    expires_at: Instant | None

    @property
    def rank(self) -> tuple[int, int]:
        """Who is served first: the smaller one. Highest price, then first come."""
        return (-self.price, self.seq)

    @property
    def allocated(self) -> int:
        return self.volume - self.remaining

    def is_live(self, now: Instant) -> bool:
        """Tell whether it can be matched: an expired bid is out from its instant on, swept or not."""
        return self.state == "open" and (self.expires_at is None or self.expires_at > now)

    def take(self, volume: int) -> None:
        """Receive hours."""
        self.remaining -= volume
        if self.remaining == 0:
            self.state = "filled"

    def resize(self, volume: int) -> None:
        """Ask for `volume` hours in all from now on, those allocated included."""
        self.remaining += volume - self.volume
        self.volume = volume


class Supply(msgspec.Struct):
    """Keeps volume == remaining + the sum of its allocations, always; its id is its place in the queue."""

    market: str
    supply_id: int
    provider: str | None
    volume: int
    remaining: int
    min_price: int
    state: SupplyState
    added_at: Instant

    @property
    def rank(self) -> tuple[int, int]:
        """Who gives first: the smaller one. Lowest minimum price, then first come."""
        return (self.min_price, self.supply_id)

    @property
    def allocated(self) -> int:
        return self.volume - self.remaining

    def is_live(self, _now: Instant) -> bool:
        return self.state == "open"

    def take(self, volume: int) -> None:
        """Give hours away."""
        self.remaining -= volume
        if self.remaining == 0:
            self.state = "exhausted"


class Allocation(msgspec.Struct, frozen=True):
    """Hours of one supply given to one bid, at the bid's price: pay as bid.

    `seq` is the command that brought it about, `position` counts the allocations of that command from 0.
    """

    market: str
    seq: int
    position: int
    bid_id: int
    supply_id: int
    username: str
    volume: int
    price: int
    allocated_at: Instant


# ── commands of the lane ─────────────────────────────────────────────────────────────────────────────────────────────


class PlaceBid(msgspec.Struct, frozen=True, tag="bid_placed"):
    """Match at once what supply there is, then wait (gtc), drop the rest (ioc), or take all or nothing (fok)."""

    market: str
    username: str
    volume: int
    price: int
    time_in_force: TimeInForce = "gtc"
    expires_at: Instant | None = None


class AddSupply(msgspec.Struct, frozen=True, tag="supply_added"):
    """Serve the bids of at least `min_price`, best first; what is left waits for later bids."""

    market: str
    volume: int
    min_price: int = 0
    provider: str | None = None


class CancelBid(msgspec.Struct, frozen=True, tag="bid_cancelled"):
    """Take what is still open off the book. With an `owner` a bid of anybody else is unknown."""

    market: str
    bid_id: int
    owner: str | UnsetType = UNSET


class AmendBid(msgspec.Struct, frozen=True, tag="bid_amended"):
    """Change volume (the whole bid's) or price. Less volume at the same price keeps the place in the queue.

    With an `owner` a bid of anybody else is unknown.
    """

    market: str
    bid_id: int
    volume: int | None = None
    price: int | None = None
    owner: str | UnsetType = UNSET


class WithdrawSupply(msgspec.Struct, frozen=True, tag="supply_withdrawn"):
    """Take back what is left. With an `owner` a supply of anybody else is unknown."""

    market: str
    supply_id: int
    owner: str | UnsetType = UNSET


class ExpireBid(msgspec.Struct, frozen=True, tag="bid_expired"):
    """Close a bid whose time has come. Refused as closed where somebody was faster, and while its time lies ahead."""

    market: str
    bid_id: int


class CreateMarket(msgspec.Struct, frozen=True, tag="market_created"):
    market: str


class ChangeMarket(msgspec.Struct, frozen=True, tag="market_changed"):
    """Open or close a market; a closed one takes no orders and no amendments."""

    market: str
    state: MarketState


class RunOrders(msgspec.Struct, frozen=True):
    """Many orders in one transaction, in order; with `is_atomic` the first refusal undoes all."""

    orders: tuple[PlaceBid | AddSupply, ...]
    is_atomic: bool = False

    @property
    def weight(self) -> int:
        """How many orders it counts for in a batch."""
        return len(self.orders)

    @property
    def alone(self) -> bool:
        """An atomic one is undone by rolling back, so it shares its transaction with nobody."""
        return self.is_atomic


Order = PlaceBid | AddSupply
Command = Order | CancelBid | AmendBid | WithdrawSupply | ExpireBid | CreateMarket | ChangeMarket
"""Each accepted one takes one seq and one entry of the log, whose data is the command itself."""

TOPIC = "hours"

KINDS = (
    Kind(TOPIC, PlaceBid, "a bid; what it got at once follows from the log before it"),
    Kind(TOPIC, AmendBid, "another volume or price of a bid"),
    Kind(TOPIC, CancelBid, "a bid taken off by its owner"),
    Kind(TOPIC, ExpireBid, "a bid whose time had come"),
    Kind(TOPIC, AddSupply, "hours on offer"),
    Kind(TOPIC, WithdrawSupply, "what was left of them, taken back"),
    Kind(TOPIC, CreateMarket, "a market made", is_public=True),
    Kind(TOPIC, ChangeMarket, "a market opened or closed", is_public=True),
)
