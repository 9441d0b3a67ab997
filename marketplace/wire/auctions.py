"""Order auctions: what goes over the wire.

Amounts are decimal text in their asset's own unit, as in wallets; a `conversion_rate` is decimal text too, output per
input. An order's id, a bid's and a commitment's are the seqs of the commands that made them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits

CREDIT = "credit"
DEFAULT_BOOK = "default"

Escrow = Literal["ledger", "claim"]
"""What a solver keeps its word by: a deposit into escrow, or its word alone (for demonstrations)."""

OrderState = Literal["pending", "open", "committed", "filled", "cancelled", "expired"]
"""pending: waits for its batch. open: solvers bid. committed: a solver has to deliver. The others are ends."""

BidState = Literal["live", "replaced", "withdrawn", "selected", "lost"]
CommitmentState = Literal["live", "filled", "failed"]

MAX_DESCRIPTION = 1_000
MAX_PAYLOAD_BYTES = 16_384
MAX_WAIT_SECONDS = 60
MAX_TICK_SECONDS = 3_600
MAX_BATCH = 10_000
MAX_STEP_SECONDS = 7 * 86_400

BookName = limits.MarketName
Rate = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=25,
        pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$(?!\n)",
        description="output per input, a decimal number as text, such as 1.05, with at most 12 decimals; not 0",
    ),
]
Description = Annotated[
    str, Meta(min_length=1, max_length=MAX_DESCRIPTION, pattern=limits.TRIMMED, description="what is wanted, in words")
]
TickSeconds = Annotated[float, Meta(ge=0.1, le=MAX_TICK_SECONDS, description="how often a batch is formed")]
BatchSize = Annotated[int, Meta(ge=1, le=MAX_BATCH, description="orders in one batch at most")]
StepSeconds = Annotated[float, Meta(ge=0, le=MAX_STEP_SECONDS)]


# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewBook(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A book of orders with a log of its own. `bond` is what a solver's wallet must hold for a bid to be taken."""

    book: BookName
    tick_seconds: TickSeconds = 2.0
    batch_size: BatchSize = 5
    bidding_window_seconds: StepSeconds = 5.0
    fulfil_seconds: StepSeconds = 10.0
    grace_seconds: StepSeconds = 2.0
    bond: limits.Amount | None = None
    escrow: Escrow = "ledger"


class BookChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is left out stays. Commitments that exist keep the deadline that they were given."""

    tick_seconds: TickSeconds | UnsetType = UNSET
    batch_size: BatchSize | UnsetType = UNSET
    bidding_window_seconds: StepSeconds | UnsetType = UNSET
    fulfil_seconds: StepSeconds | UnsetType = UNSET
    grace_seconds: StepSeconds | UnsetType = UNSET
    bond: limits.Amount | UnsetType | None = UNSET
    escrow: Escrow | UnsetType = UNSET


class Book(Struct, frozen=True):
    """`head` is the offset that the next entry of its log will have."""

    book: str
    tick_seconds: float
    batch_size: int
    bidding_window_seconds: float
    fulfil_seconds: float
    grace_seconds: float
    bond: str | None
    escrow: Escrow
    head: int
    created_at: datetime


class Books(Struct, frozen=True):
    items: list[Book]
    next: str | None = None


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewOrder(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a member puts out. `input_budget` is held from its wallet; at least `limit_output` is wanted for it."""

    description: Description
    username: limits.Username | None = None
    """Whose order it is; with a key it may be left out."""
    book: BookName = DEFAULT_BOOK
    payload: dict[str, Any] | None = None
    """Anything more that solvers should know: a JSON object of at most 16 KiB."""
    output_asset: limits.AssetName = CREDIT
    limit_output: limits.Amount | None = None
    input_asset: limits.AssetName = CREDIT
    input_budget: limits.Amount | None = None


class Order(Struct, frozen=True):
    order_id: int
    book: str
    username: str
    description: str
    payload: dict[str, Any] | None
    output_asset: str
    limit_output: str | None
    input_asset: str
    input_budget: str | None
    state: OrderState
    round: int
    """How often it was put out to bids."""
    bidding_until: datetime | None
    """Until when bids of this round are waited for; null before its batch."""
    commitment_id: int | None
    placed_at: datetime


class Orders(Struct, frozen=True):
    items: list[Order]
    next: str | None = None


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewBid(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """min_output = max_input × conversion_rate, exactly, rounded down to the unit of the output's asset.

    A newer bid of a solver on an order takes the place of its older one.
    """

    max_input: limits.Amount
    conversion_rate: Rate
    valid_till: limits.Moment
    solver: limits.Username | None = None
    """Who bids; with a key it may be left out."""


class Bid(Struct, frozen=True):
    """A solver's bid; `rank` is its place in the selection, 1 for the one that won, null before."""

    bid_id: int
    order_id: int
    book: str
    solver: str
    max_input: str
    conversion_rate: str
    min_output: str
    valid_till: datetime
    state: BidState
    rank: int | None
    placed_at: datetime


class Bids(Struct, frozen=True):
    """Others' bids are sealed until the selection: before it, only the caller's own are here."""

    items: list[Bid]
    next: str | None = None


# ── commitments ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Commitment(Struct, frozen=True):
    """A solver's word. It is filled where `deposited` reaches `min_output` before `deadline` and the book's grace."""

    commitment_id: int
    order_id: int
    book: str
    solver: str
    input_asset: str
    input_amount: str
    output_asset: str
    min_output: str
    deposited: str
    state: CommitmentState
    made_at: datetime
    deadline: datetime
    closes_at: datetime
    """The deadline and the grace: a deposit that comes then is refused."""
    ended_at: datetime | None


class Commitments(Struct, frozen=True):
    items: list[Commitment]
    next: str | None = None


class NewDeposit(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`amount` left out is what is missing. The same `reference` again does nothing."""

    amount: limits.Amount | None = None
    reference: limits.Reference | None = None
    solver: limits.Username | None = None
    """Who deposits; with a key it may be left out."""


class NewClaim(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    solver: limits.Username | None = None
    """Who has delivered; with a key it may be left out."""


# ── the log of a book ────────────────────────────────────────────────────────────────────────────────────────────────


class Entry(Struct, frozen=True):
    """One entry of a book's log: its offsets begin at 0 and have no gaps. `seq` is the lane's, for all books."""

    book: str
    offset: int
    seq: int
    at: datetime
    order_id: int | None
    kind: str
    data: dict[str, Any]


class Entries(Struct, frozen=True):
    """`next` is the `from` of the next call; whoever has reached `head` is up to date."""

    items: list[Entry]
    next: int
    head: int


# ── solvers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Solver(Struct, frozen=True):
    """How a solver does in all books. `failure_rate` is smoothed; above 0.12 it is kept out for a while."""

    solver: str
    bids: int
    selected: int
    filled: int
    failed: int
    failure_rate: float
    blocked_until: datetime | None


class Solvers(Struct, frozen=True):
    items: list[Solver]
    next: str | None = None
