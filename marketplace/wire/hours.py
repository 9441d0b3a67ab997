"""VM-hours: what goes over the wire.

Volumes are whole VM-hours, prices whole credits per VM-hour; ids are the seqs of the commands that made the thing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits

TimeInForce = Literal["gtc", "ioc", "fok"]
"""Good till cancelled; immediate or cancel (take what is there, drop the rest); fill or kill (all or nothing)."""

BidState = Literal["open", "filled", "cancelled", "expired"]
SupplyState = Literal["open", "exhausted", "withdrawn"]
MarketState = Literal["open", "closed"]
Interval = Literal["1m", "5m", "1h", "1d"]


# ── the two seed endpoints; they ignore fields that they do not know ─────────────────────────────────────────────────


class Buy(Struct, frozen=True):
    """`POST /buy`: a bid on the market `default`. Volume 0 is accepted and does nothing."""

    volume: limits.Volume
    price: limits.Price
    username: limits.Username | UnsetType = UNSET
    """Who buys; with a key it may be left out."""


class Bought(Struct, frozen=True):
    """What a buy got at once (`allocated`) and what waits for supply (`remaining`); no `bid_id` for volume 0."""

    bid_id: int | None
    allocated: int
    remaining: int


class Sell(Struct, frozen=True):
    """`POST /sell`: supply for the market `default`. Volume 0 is accepted and does nothing."""

    volume: limits.Volume


class Sold(Struct, frozen=True):
    """What a sell gave to bids at once (`allocated`) and what is left for later ones; no `supply_id` for volume 0."""

    supply_id: int | None
    allocated: int
    remaining: int


# ── markets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewMarket(Struct, frozen=True, forbid_unknown_fields=True):
    market: limits.MarketName


class MarketChange(Struct, frozen=True, forbid_unknown_fields=True):
    """A closed market takes no orders; cancels, withdrawals and reads go on."""

    state: MarketState


class Market(Struct, frozen=True):
    market: str
    state: MarketState
    created_at: datetime


class Markets(Struct, frozen=True):
    items: list[Market]
    next: str | None = None


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewBid(Struct, frozen=True, forbid_unknown_fields=True):
    volume: limits.PositiveVolume
    price: limits.Price
    username: limits.Username | UnsetType = UNSET
    """Who bids; with a key it may be left out."""
    time_in_force: TimeInForce = "gtc"
    expires_at: limits.Moment | None = None
    """When what is still open is taken off; only with gtc."""


class BidChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Less volume keeps the place in the queue; more volume or another price goes to the back of its price.

    `volume` is the whole bid's, what is allocated already included.
    """

    volume: limits.PositiveVolume | UnsetType = UNSET
    price: limits.Price | UnsetType = UNSET


class Bid(Struct, frozen=True):
    bid_id: int
    market: str
    username: str
    volume: int
    remaining: int
    allocated: int
    price: int
    time_in_force: TimeInForce
    state: BidState
    placed_at: datetime
    expires_at: datetime | None


class Bids(Struct, frozen=True):
    items: list[Bid]
    next: str | None = None


# ── supplies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewSupply(Struct, frozen=True, forbid_unknown_fields=True):
    volume: limits.PositiveVolume
    min_price: limits.Price = 0
    """A bid below it does not match."""
    provider: limits.Username | None = None


class Supply(Struct, frozen=True):
    supply_id: int
    market: str
    provider: str | None
    volume: int
    remaining: int
    allocated: int
    min_price: int
    state: SupplyState
    added_at: datetime


class Supplies(Struct, frozen=True):
    items: list[Supply]
    next: str | None = None


# ── many orders in one request ───────────────────────────────────────────────────────────────────────────────────────


class BuyOrder(NewBid, frozen=True, forbid_unknown_fields=True, tag_field="side", tag="buy"):
    pass


class SellOrder(NewSupply, frozen=True, forbid_unknown_fields=True, tag_field="side", tag="sell"):
    pass


class Orders(Struct, frozen=True, forbid_unknown_fields=True):
    """Run in order, in one transaction. With `atomic` the first refusal undoes all of them."""

    orders: Annotated[list[BuyOrder | SellOrder], Meta(min_length=1, max_length=10_000)]
    atomic: bool = False


class OrderResult(Struct, frozen=True, omit_defaults=True):
    """`bid_id` or `supply_id` with what happened, or the `code` and `detail` of the refusal."""

    bid_id: int | None = None
    supply_id: int | None = None
    allocated: int | None = None
    remaining: int | None = None
    code: str | None = None
    detail: str | None = None


class OrderResults(Struct, frozen=True):
    results: list[OrderResult]


# ── what the market looks like ───────────────────────────────────────────────────────────────────────────────────────


class Level(Struct, frozen=True):
    """One price of one side: how many offers, their open volume, and the volume at this price or better."""

    price: int
    count: int
    volume: int
    cumulative_volume: int


class Book(Struct, frozen=True):
    """Bids from the highest price down, supplies from the lowest minimum price up, as of the lane's `seq`."""

    market: str
    seq: int
    bids: list[Level]
    supplies: list[Level]


class Fill(Struct, frozen=True):
    """One allocation, without names."""

    fill_id: str
    price: int
    volume: int
    filled_at: datetime


class Fills(Struct, frozen=True):
    items: list[Fill]
    next: str | None = None


class Allocation(Struct, frozen=True):
    fill_id: str
    market: str
    username: str
    bid_id: int
    supply_id: int
    volume: int
    price: int
    allocated_at: datetime


class Allocations(Struct, frozen=True):
    items: list[Allocation]
    next: str | None = None


class Candle(Struct, frozen=True):
    opened_at: datetime
    open: int
    high: int
    low: int
    close: int
    volume: int


class Candles(Struct, frozen=True):
    market: str
    interval: Interval
    items: list[Candle]


class Preview(Struct, frozen=True):
    """What a bid would get right now. Nothing is written, and nothing is promised for the next instant."""

    market: str
    seq: int
    allocated: int
    remaining: int
    best_supply_price: int | None
    """The lowest minimum price on offer, null where there is no supply."""
    volume_ahead: int
    """Open hours of bids that would be served before the remainder."""
