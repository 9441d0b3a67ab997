"""What is said of auctions: the entries of a book's log, which the lane's log has too, and the few that it has alone.

A book's log is for everybody: who follows it from its first entry knows all that is decided in the book, and can
compute it again. So it names no owner, and of a bid only that it came, until its round is selected. Amounts are decimal
text.
"""

from __future__ import annotations

import msgspec

from marketplace.auctions.model import Escrow, OrderState, Reason, Then
from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind


class OrderAdded(msgspec.Struct, frozen=True, tag="order_added"):
    """The order is announced: it takes bids, which are looked at from `closes_at` on. `payload` is any JSON."""

    order_id: int
    description: str
    payload: msgspec.Raw
    output_asset: str
    output_decimals: int
    limit_output: str | None
    input_asset: str
    input_decimals: int
    input_budget: str | None
    placed_at: Instant
    closes_at: Instant
    expires_at: Instant | None


class BatchCreated(msgspec.Struct, frozen=True, tag="batch_created"):
    """The orders whose entries stand right before this one, from `first_offset` on, were announced together."""

    sequencer: str
    batch_number: int
    first_offset: int
    order_ids: tuple[int, ...]


class BidReceived(msgspec.Struct, frozen=True, tag="bid_received"):
    """A bid came, in place of another one or of none. What it says stays sealed until its round is selected.

    `round` is the first that it counts in; `closes_at` when that one's window closes, null where it is not open yet.
    """

    order_id: int
    bid_id: int
    replaces: int | None
    round: int
    closes_at: Instant | None


class RankedBid(msgspec.Struct, frozen=True, gc=False):
    """A bid as it is shown after selection; `rank` from 1 for those that were valid, `reason` for those that were not.

    A higher `min_output` goes first, then a lower `max_input`, then the lower `bid_id`.
    """

    bid_id: int
    solver: str
    max_input: str
    conversion_rate: str
    min_output: str
    valid_till: Instant
    rank: int | None
    reason: Reason | None = None


class BidSelected(msgspec.Struct, frozen=True, tag="bid_selected"):
    """The round is over: all of its bids, the best one first. `winning_output` is what a loser would have had to
    beat."""

    order_id: int
    round: int
    winner: int
    winning_output: str
    bids: tuple[RankedBid, ...]


class CommitmentCreated(msgspec.Struct, frozen=True, tag="commitment_created"):
    """The solver has to deliver `min_output` before `ends_at`: the deadline and its grace."""

    commitment_id: int
    order_id: int
    bid_id: int
    solver: str
    round: int
    rank: int
    input_amount: str
    min_output: str
    deadline: Instant
    ends_at: Instant
    escrow: Escrow
    bond: str | None


class DepositReceived(msgspec.Struct, frozen=True, tag="deposit_received"):
    """The solver has delivered, `deposited` in all; in a book of claims `amount` is null: it says so."""

    commitment_id: int
    order_id: int
    solver: str
    amount: str | None
    deposited: str


class OrderFilled(msgspec.Struct, frozen=True, tag="order_filled"):
    """The owner has the output, `surplus` of it more than was promised, and the solver the input."""

    order_id: int
    commitment_id: int
    solver: str
    input_amount: str
    output: str
    surplus: str


class CommitmentFailed(msgspec.Struct, frozen=True, tag="commitment_failed"):
    """Not all was delivered in time: deposits went back, and `slashed` of the bond to the owner.

    `then` says what becomes of the order; `closes_at` is of the new window where it is reopened, `blocked_until` of
    the solver where it is blocked.
    """

    commitment_id: int
    order_id: int
    solver: str
    returned: str
    slashed: str | None
    blocked_until: Instant | None
    then: Then
    closes_at: Instant | None


class PassedBid(msgspec.Struct, frozen=True):
    bid_id: int
    reason: Reason


class OrderReassigned(msgspec.Struct, frozen=True, tag="order_reassigned"):
    """The next best bid of the round that is still valid takes over; `passed` are those before it that are not."""

    order_id: int
    failed_commitment_id: int
    bid_id: int
    solver: str
    rank: int
    passed: tuple[PassedBid, ...]


class OrderExpired(msgspec.Struct, frozen=True, tag="order_expired"):
    """Its time is over without a winner; the budget is free again."""

    order_id: int


class OrderCancelled(msgspec.Struct, frozen=True, tag="order_cancelled"):
    """Its owner does not want it any more; the budget is free again."""

    order_id: int


BookEntry = (
    OrderAdded
    | BatchCreated
    | BidReceived
    | BidSelected
    | CommitmentCreated
    | DepositReceived
    | OrderFilled
    | CommitmentFailed
    | OrderReassigned
    | OrderExpired
    | OrderCancelled
)
"""What a book's log holds; everybody may read it."""


class OrderPlaced(msgspec.Struct, frozen=True, tag="order_placed"):
    """Told to its owner alone; everybody else hears of it when it is announced."""

    order_id: int
    owner: str
    description: str
    output_asset: str
    limit_output: str | None
    input_asset: str
    input_budget: str | None
    expires_at: Instant | None


class OrderWithdrawn(msgspec.Struct, frozen=True, tag="order_withdrawn"):
    """Cancelled, or expired, before it was announced."""

    order_id: int
    owner: str
    state: OrderState


class BookOpened(msgspec.Struct, frozen=True, tag="auction_book_opened"):
    book: str
    tick_micros: int
    batch_size: int
    bidding_window_micros: int
    fulfil_micros: int
    grace_micros: int
    bond: str | None
    escrow: Escrow


class BookSet(BookOpened, frozen=True, tag="auction_book_set"):
    """All settings, after the change."""


Event = BookEntry | OrderPlaced | OrderWithdrawn | BookOpened | BookSet

TOPIC = "auctions"

KINDS = (
    Kind(TOPIC, OrderPlaced, "an order, before it is announced"),
    Kind(TOPIC, OrderWithdrawn, "an order that was cancelled or expired before it was announced"),
    Kind(TOPIC, OrderAdded, "an order is announced and takes bids", is_public=True),
    Kind(TOPIC, BatchCreated, "orders that were announced together", is_public=True),
    Kind(TOPIC, BidReceived, "a bid came; what it says stays sealed", is_public=True),
    Kind(TOPIC, BidSelected, "a round is over: all of its bids with their ranks", is_public=True),
    Kind(TOPIC, CommitmentCreated, "a solver has to deliver until a deadline", is_public=True),
    Kind(TOPIC, DepositReceived, "a solver has delivered, all or a part", is_public=True),
    Kind(TOPIC, OrderFilled, "an order is filled and both sides have what is theirs", is_public=True),
    Kind(TOPIC, CommitmentFailed, "a solver did not keep its word", is_public=True),
    Kind(TOPIC, OrderReassigned, "the next best bid takes over", is_public=True),
    Kind(TOPIC, OrderExpired, "an order's time is over without a winner", is_public=True),
    Kind(TOPIC, OrderCancelled, "an order that its owner does not want any more", is_public=True),
    Kind(TOPIC, BookOpened, "an auction book", is_public=True),
    Kind(TOPIC, BookSet, "other settings of an auction book", is_public=True),
)
