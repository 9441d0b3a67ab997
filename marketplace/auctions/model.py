"""The words of auctions.

An order's id is the seq of the command that placed it, a bid's that of the newest one of its solver, a commitment's the
seq of its entry. Amounts are integers of an asset's smallest unit; in the log they are decimal text. Instants are
microseconds since the epoch, and so is every length of time here.

    pending     the order waits for a batch; nobody but its owner knows of it
    open        it is announced and takes bids; they are looked at when its window closes (`closes_at`)
    committed   a solver has promised to deliver
    filled, expired, cancelled      it is over
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from marketplace.foundation.clock import DAY, HOUR, SECOND, Instant

OrderState = Literal["pending", "open", "committed", "filled", "expired", "cancelled"]
BidState = Literal["live", "spent"]
CommitmentState = Literal["live", "filled", "failed"]
Escrow = Literal["ledger", "claim"]
Then = Literal["reassigned", "reopened", "expired"]
"""What becomes of an order whose commitment failed."""
Reason = Literal["expired", "blocked", "over_budget", "below_limit", "not_covered", "bond_not_covered"]
"""Why a bid was passed over. `not_covered`: the owner's wallet does not have the input; `bond_not_covered`: the
solver's does not have the bond."""

DEFAULT_BOOK = "default"
LONGEST_DESCRIPTION = 2_000
LONGEST_PAYLOAD = 65_536
MOST_BIDS = 1_000
"""Solvers with a live bid on one order."""
MOST_DEPOSITS = 32
"""Of one commitment."""
TICK_LIMIT = 1_000
"""Orders that one Tick does at most."""
SHORT_TICK_LIMIT = 50
MICROS_PER_ORDER = 1_000
"""What an order may take of a tick's transaction; it is a fifth of it on two cores."""

BOUNDS: dict[str, tuple[int, int]] = {
    "tick_micros": (SECOND // 20, HOUR),
    "batch_size": (1, 1_000),
    "bidding_window_micros": (SECOND // 20, 7 * DAY),
    "fulfil_micros": (SECOND // 20, 30 * DAY),
    "grace_micros": (0, DAY),
    "bond": (1, 10**15),
}
"""The least and the most of each setting of a book."""


# ── things ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Book(msgspec.Struct):
    """A book of orders with its settings. `bond` is in micro-credits, None: none."""

    book: str
    tick_micros: int
    batch_size: int
    bidding_window_micros: int
    fulfil_micros: int
    grace_micros: int
    bond: int | None
    escrow: Escrow
    batched_at: Instant
    """When the last batch was formed, 0 before the first."""
    opened_at: Instant

    @property
    def most_at_once(self) -> int:
        """Orders that one transaction of a tick does, so that no deposit waits for it longer than half the grace."""
        return max(min(self.grace_micros // 2 // MICROS_PER_ORDER, TICK_LIMIT), SHORT_TICK_LIMIT)

    def is_batch_due(self, now: Instant) -> bool:
        """Tell whether no batch was formed yet in this tick: time is cut into ticks from the epoch on."""
        return now // self.tick_micros > self.batched_at // self.tick_micros


class Order(msgspec.Struct):
    """What a member puts out to auction: so much of `input_asset`, at most, for as much `output_asset` as possible.

    `round` counts from 1, one more each time that the order is reopened. `closes_at` is None while no window is open:
    the next bid opens one. `hold_id` is the hold on the owner's wallet for the budget. `ranking` is a JSON list of the
    ids of the bids that were valid when the round was selected, the best one first.
    """

    book: str
    order_id: int
    owner: str
    output_asset: str
    output_decimals: int
    limit_output: int | None
    input_asset: str
    input_decimals: int
    input_budget: int | None
    state: OrderState
    round: int
    bids: int
    """Solvers that have a live bid."""
    hold_id: int | None
    placed_at: Instant
    added_at: Instant | None = None
    closes_at: Instant | None = None
    expires_at: Instant | None = None
    ended_at: Instant | None = None
    ranking: str | None = None
    description: str = ""
    payload: str | None = None
    """JSON text."""

    def is_over_by(self, now: Instant) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class SolverBid(msgspec.Struct, gc=False):
    """A solver's one bid on an order. `spent`: it counts no more, since its commitment failed or its time was over.

    There may be a hundred thousand at once: the collector, which would find nothing, does not look at them.
    """

    book: str
    order_id: int
    solver: str
    bid_id: int
    max_input: int
    conversion_rate: str
    min_output: int
    valid_till: Instant
    state: BidState
    placed_at: Instant


class Commitment(msgspec.Struct):
    """A solver's promise to deliver `min_output` for `input_amount` until `ends_at`, the deadline and its grace.

    `due_at` is when a tick has to look at it: at its end, or from when all was delivered. `input_hold_id` is the hold
    for the input where the order has no budget that is held already.
    """

    book: str
    commitment_id: int
    order_id: int
    bid_id: int
    solver: str
    round: int
    rank: int
    input_amount: int
    min_output: int
    escrow: Escrow
    deadline: Instant
    ends_at: Instant
    due_at: Instant
    created_at: Instant
    bond: int | None = None
    bond_hold_id: int | None = None
    input_hold_id: int | None = None
    deposited: int = 0
    deposits: int = 0
    claimed_at: Instant | None = None
    state: CommitmentState = "live"
    slashed: int = 0
    ended_at: Instant | None = None

    @property
    def is_kept(self) -> bool:
        """Whether all that was promised has been delivered."""
        return self.claimed_at is not None if self.escrow == "claim" else self.deposited >= self.min_output


class DepositRow(msgspec.Struct, frozen=True):
    """A deposit: the hold on the solver's wallet, for the owner's, that the end of the commitment ends."""

    book: str
    commitment_id: int
    hold_id: int
    amount: int
    reference: str | None
    at: Instant


class Batch(msgspec.Struct, frozen=True):
    """Orders that were announced together: their entries are `first_offset` and those that follow."""

    book: str
    sequencer: str
    batch_number: int
    first_offset: int
    orders: int
    formed_at: Instant


class LogEntry(msgspec.Struct, frozen=True):
    """An entry of a book's log. `kind` is the name of its class here, `data` the JSON of it."""

    book: str
    log_offset: int
    seq: int
    at: Instant
    order_id: int | None
    kind: str
    data: Any
    """Text where it was read, msgspec.Raw where it is to be written."""


class SolverRecord(msgspec.Struct):
    """How a solver has kept its word in a book; see `reliability` for what follows from it.

    `window_total` and `window_failures` are what the failure rate is taken of; `blocks` how many blocks it has had in
    a row, less those that decayed; `clean_run` how many it has filled since it last failed or a block decayed.
    """

    book: str
    solver: str
    filled: int = 0
    failed: int = 0
    window_total: int = 0
    window_failures: int = 0
    blocks: int = 0
    clean_run: int = 0
    blocked_until: Instant = 0

    def is_blocked(self, now: Instant) -> bool:
        return now < self.blocked_until


# ── commands of the lane ─────────────────────────────────────────────────────────────────────────────────────────────


class OpenBook(msgspec.Struct, frozen=True):
    """Open a book. Outcome: Book. Refused: BookExists, BadBook."""

    book: str
    tick_micros: int = 2 * SECOND
    batch_size: int = 5
    bidding_window_micros: int = 5 * SECOND
    fulfil_micros: int = 10 * SECOND
    grace_micros: int = 2 * SECOND
    bond: int | None = None
    escrow: Escrow = "ledger"


class SetBook(msgspec.Struct, frozen=True):
    """Change settings of a book; what is left out stays. Outcome: Book. Refused: UnknownBook, BadBook.

    Windows and commitments that have begun keep what they began with.
    """

    book: str
    tick_micros: int | UnsetType = UNSET
    batch_size: int | UnsetType = UNSET
    bidding_window_micros: int | UnsetType = UNSET
    fulfil_micros: int | UnsetType = UNSET
    grace_micros: int | UnsetType = UNSET
    bond: int | UnsetType | None = UNSET
    escrow: Escrow | UnsetType = UNSET


class PlaceOrder(msgspec.Struct, frozen=True):
    """Put an order out; a budget is held from the owner's wallet. Outcome: Order.

    `payload` is JSON text. `expires_at` None: it is open until it is filled or cancelled.
    Refused: UnknownBook, BadAmount, BadText, InstantPassed, ledger.UnknownAsset, ledger.NotCovered.
    """

    book: str
    owner: str
    description: str
    payload: str | None
    output_asset: str
    limit_output: int | None
    input_asset: str
    input_budget: int | None
    expires_at: Instant | None = None


class CancelOrder(msgspec.Struct, frozen=True):
    """Cancel an order that no solver is committed to. Outcome: Order. Refused: UnknownOrder, NotCancellable.

    An `owner` that is given has to be the order's.
    """

    order_id: int
    owner: str | UnsetType = UNSET


class PlaceBid(msgspec.Struct, frozen=True):
    """Bid on an order, in place of the solver's bid before. Outcome: SolverBid.

    Refused: UnknownOrder, OrderClosed, OwnOrder, SolverBlocked, BadAmount, BadRate, InstantPassed, OverBudget,
    BelowLimit, TooManyBids.
    """

    order_id: int
    solver: str
    max_input: int
    conversion_rate: str
    valid_till: Instant


class Deposit(msgspec.Struct, frozen=True):
    """Deliver to the owner, in escrow until the commitment ends. Outcome: Deposited.

    `amount` None: what is missing. A `reference` makes it happen once in a commitment; sent again after the
    commitment's end, it is answered with that one.
    Refused: UnknownCommitment, TooLate, WrongEscrow, TooManyDeposits, BadAmount, ledger.NotCovered.
    """

    order_id: int
    solver: str
    amount: int | None = None
    reference: str | None = None


class Claim(msgspec.Struct, frozen=True):
    """Say that all was delivered, in a book where a word counts. Outcome: Commitment.

    Refused: UnknownCommitment, TooLate, WrongEscrow.
    """

    order_id: int
    solver: str


class Tick(msgspec.Struct, frozen=True):
    """Do what has become due in a book, at most `limit` orders of it, and fewer where the book's grace is short.

    Outcome: Ticked. Refused: UnknownBook.
    `batch_number` None: the sequencer's next. Nothing depends on who sends it or how often.
    """

    book: str
    sequencer: str
    batch_number: int | None = None
    limit: int = TICK_LIMIT

    @property
    def weight(self) -> int:
        """A tick counts as one request in front of the lane, and its orders are bounded by `limit`."""
        return 1


Command = OpenBook | SetBook | PlaceOrder | CancelOrder | PlaceBid | Deposit | Claim | Tick


# ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Deposited(msgspec.Struct, frozen=True):
    """The commitment after a deposit, and the deposit; `created` where this very command made it.

    `amount` is 0, and `hold_id` None, where nothing was missing.
    """

    commitment: Commitment
    amount: int
    hold_id: int | None
    created: bool = True


class Ticked(msgspec.Struct, frozen=True):
    """What a Tick did. `more`: it reached a limit, send another one. `batch` is the one that it formed, or that its
    sequencer and number had formed before."""

    more: bool
    batch: Batch | None = None
    added: int = 0
    selected: int = 0
    filled: int = 0
    failed: int = 0
    reassigned: int = 0
    reopened: int = 0
    expired: int = 0
