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

BidState = Literal["live", "spent"]
"""spent: it won, and the commitment failed."""
CommitmentState = Literal["live", "filled", "failed"]

MAX_DESCRIPTION = 1_000
MAX_PAYLOAD_BYTES = 16_384
MAX_WAIT_SECONDS = 60
LEAST_SECONDS = 0.05
MAX_TICK_SECONDS = 3_600
MAX_BATCH = 1_000
MAX_WINDOW_SECONDS = 7 * 86_400
MAX_FULFIL_SECONDS = 30 * 86_400
MAX_GRACE_SECONDS = 86_400

BookName = limits.MarketName
Rate = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=31,
        pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,18})?$(?!\n)",
        description="output per input, a decimal number above 0 as text, such as 1.05, with at most 18 decimals",
    ),
]
Description = Annotated[
    str, Meta(min_length=1, max_length=MAX_DESCRIPTION, pattern=limits.TRIMMED, description="what is wanted, in words")
]
TickSeconds = Annotated[float, Meta(ge=LEAST_SECONDS, le=MAX_TICK_SECONDS, description="how often a batch is formed")]
BatchSize = Annotated[int, Meta(ge=1, le=MAX_BATCH, description="orders in one batch at most")]
WindowSeconds = Annotated[
    float, Meta(ge=LEAST_SECONDS, le=MAX_WINDOW_SECONDS, description="how long bids are waited for")
]
FulfilSeconds = Annotated[
    float, Meta(ge=LEAST_SECONDS, le=MAX_FULFIL_SECONDS, description="how long a solver has to deliver")
]
GraceSeconds = Annotated[
    float, Meta(ge=0, le=MAX_GRACE_SECONDS, description="how long after the deadline a deposit is still taken")
]


# ── books ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewBook(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A book of orders with a log of its own. `bond` is held from a solver's wallet while it is committed."""

    book: BookName
    tick_seconds: TickSeconds = 2.0
    batch_size: BatchSize = 5
    bidding_window_seconds: WindowSeconds = 5.0
    fulfil_seconds: FulfilSeconds = 10.0
    grace_seconds: GraceSeconds = 2.0
    bond: limits.Amount | None = None
    escrow: Escrow = "ledger"


class BookChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is left out stays. Commitments that exist keep the deadline that they were given."""

    tick_seconds: TickSeconds | UnsetType = UNSET
    batch_size: BatchSize | UnsetType = UNSET
    bidding_window_seconds: WindowSeconds | UnsetType = UNSET
    fulfil_seconds: FulfilSeconds | UnsetType = UNSET
    grace_seconds: GraceSeconds | UnsetType = UNSET
    bond: limits.Amount | UnsetType | None = UNSET
    escrow: Escrow | UnsetType = UNSET


class AuctionBook(Struct, frozen=True):
    book: str
    tick_seconds: float
    batch_size: int
    bidding_window_seconds: float
    fulfil_seconds: float
    grace_seconds: float
    bond: str | None
    escrow: Escrow
    opened_at: datetime


class Books(Struct, frozen=True):
    items: list[AuctionBook]
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
    expires_at: limits.Moment | None = None
    """When it is taken off the book if nobody is committed; left out, never."""


class Order(Struct, frozen=True):
    """`username` is told to the owner alone. `round` counts from 1, and `bids` how many solvers have a bid on it.

    `closes_at` is when the bids of this round are looked at; null before its batch, and while no bid is waited for.
    """

    order_id: int
    book: str
    username: str | None
    description: str
    payload: dict[str, Any] | None
    output_asset: str
    limit_output: str | None
    input_asset: str
    input_budget: str | None
    state: OrderState
    round: int
    bids: int
    placed_at: datetime
    added_at: datetime | None
    closes_at: datetime | None
    expires_at: datetime | None
    ended_at: datetime | None


class AuctionOrders(Struct, frozen=True):
    items: list[Order]
    next: str | None = None


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewSolverBid(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """min_output = max_input × conversion_rate, exactly, rounded down to the unit of the output's asset.

    A newer bid of a solver on an order takes the place of its older one.
    """

    max_input: limits.Amount
    conversion_rate: Rate
    valid_till: limits.Moment
    solver: limits.Username | None = None
    """Who bids; with a key it may be left out."""


class SolverBid(Struct, frozen=True):
    """A solver's bid on an order."""

    bid_id: int
    order_id: int
    book: str
    solver: str
    max_input: str
    conversion_rate: str
    min_output: str
    valid_till: datetime
    state: BidState
    placed_at: datetime


class SolverBids(Struct, frozen=True):
    """The newest bid of each solver, by name. Others' are sealed, and not here, until their round is selected."""

    items: list[SolverBid]
    next: str | None = None


# ── commitments ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Commitment(Struct, frozen=True):
    """A solver's word: filled where `min_output` is deposited before `ends_at`, which is the deadline and its grace."""

    commitment_id: int
    order_id: int
    book: str
    solver: str
    bid_id: int
    round: int
    rank: int
    input_asset: str
    input_amount: str
    output_asset: str
    min_output: str
    deposited: str
    escrow: Escrow
    bond: str | None
    slashed: str | None
    state: CommitmentState
    created_at: datetime
    deadline: datetime
    ends_at: datetime
    claimed_at: datetime | None
    ended_at: datetime | None


class Commitments(Struct, frozen=True):
    items: list[Commitment]
    next: str | None = None


class NewDelivery(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`amount` left out is what is missing. The same `reference` again, also after the commitment's end, does
    nothing and is answered with the first."""

    amount: limits.Amount | None = None
    reference: limits.Reference | None = None
    solver: limits.Username | None = None
    """Who deposits; with a key it may be left out."""


class Deposited(Struct, frozen=True):
    """What was deposited, `0` where nothing was missing, and the commitment after it."""

    amount: str
    commitment: Commitment


class NewClaim(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    solver: limits.Username | None = None
    """Who has delivered; with a key it may be left out."""


# ── the log of a book ────────────────────────────────────────────────────────────────────────────────────────────────


class Entry(Struct, frozen=True):
    """One entry of a book's log: its offsets begin at 0 and have no gaps. `seq` is the lane's, for all books.

    Instants in `data` are microseconds since the epoch.
    """

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
    """How a solver has kept its word in a book. `failure_rate` is smoothed; above 0.12 it may not bid for a while."""

    book: str
    solver: str
    filled: int
    failed: int
    failure_rate: float
    blocked_until: datetime | None


class Solvers(Struct, frozen=True):
    items: list[Solver]
    next: str | None = None
