"""The line protocol of order auctions: JSON objects, one a line, over TCP; each has one member, which says what it is.

Times are Unix seconds, amounts whole units of their asset. Solvers listen to one port, bid on another and tell a third
that they have delivered. Where members have keys, a connection begins with `{"Authenticate":"mk_…"}`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits

MAX_LINE_BYTES = 8_192
"""Of a line that is sent to the service; it sends longer ones, where a batch is large."""

MAX_SECONDS = 253_402_300_799
"""The last second of the year 9999."""

Id = Annotated[int, Meta(ge=1, le=limits.MAX_SEQ)]
WholeAmount = Annotated[int, Meta(ge=1, le=limits.MAX_QUANTITY)]
Token = Annotated[str, Meta(min_length=1, max_length=256)]


# ── from solvers ─────────────────────────────────────────────────────────────────────────────────────────────────────


class SubmitBid(Struct, frozen=True, forbid_unknown_fields=True):
    """`conversion_rate` is output per input; it is read as the decimal number that stands there, never as a float."""

    order_id: Id
    solver_id: limits.Username
    max_input: WholeAmount
    conversion_rate: Decimal
    valid_till: Annotated[int, Meta(ge=0, le=MAX_SECONDS)]


class FulfillmentComplete(Struct, frozen=True, forbid_unknown_fields=True):
    """Deposits what is missing from the solver's wallet; where the book takes a solver's word, it is that word."""

    order_id: Id
    solver_id: limits.Username


class Said(Struct, frozen=True, rename="pascal", omit_defaults=True, forbid_unknown_fields=True):
    """A line from a solver: exactly one of these."""

    authenticate: Token | UnsetType = UNSET
    submit_bid: SubmitBid | UnsetType = UNSET
    fulfillment_complete: FulfillmentComplete | UnsetType = UNSET


# ── to solvers ───────────────────────────────────────────────────────────────────────────────────────────────────────


class BatchedOrder(Struct, frozen=True):
    id: int
    description: str
    creation_time: int


class CommitmentNotification(Struct, frozen=True):
    order_id: int
    solver_id: str
    input_amount: int
    min_output_amount: int
    deadline: int


class Told(Struct, frozen=True, rename="pascal", omit_defaults=True, forbid_unknown_fields=True):
    """A line from the service: exactly one of these."""

    new_order_batch: list[BatchedOrder] | UnsetType = UNSET
    commitment_notification: CommitmentNotification | UnsetType = UNSET
    auction_closed_no_winner: int | UnsetType = UNSET
