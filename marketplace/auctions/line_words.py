"""What the lines of the line protocol (`wire.lines`) mean, pure: lines in, bids out; entries of the log in, lines out.

Lines speak of whole units. A bid's output is `max_input` × `conversion_rate` rounded down to a whole unit, so the rate
that the bid gets is the one that gives exactly that: 105 for 100 at 1.0578 is a rate of 1.05.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation
from typing import NamedTuple

import msgspec

from marketplace.auctions import entries
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant
from marketplace.wire import lines

RATE_DECIMALS = 18
LARGEST_RATE = Decimal(10) ** 12
# Exact for every product here: 9 digits times 30; a rate with more digits than a float's is cut off far behind that.
_EXACT = Context(prec=60)
_SMALLEST = Decimal(1).scaleb(-RATE_DECIMALS)

_read_line = msgspec.json.Decoder(lines.Said).decode
_read_data = msgspec.json.Decoder(entries.BookEntry).decode


class BrokenLine(Exception):
    """It is no line of the protocol."""


class WholeBid(msgspec.Struct, frozen=True):
    """A bid in whole units, with a rate that gives a whole output."""

    max_input: int
    conversion_rate: str


def read_said(line: bytes) -> str | lines.SubmitBid | lines.FulfillmentComplete:
    """Return what a line says: a key, a bid, or that something is delivered. Raises BrokenLine."""
    try:
        said = _read_line(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, InvalidOperation) as error:
        raise BrokenLine(str(error)) from None
    given = [one for one in (said.authenticate, said.submit_bid, said.fulfillment_complete) if one]
    if len(given) != 1:
        raise BrokenLine("a line says one thing")
    return given[0]


def to_whole_bid(bid: lines.SubmitBid) -> WholeBid:
    """Return a bid whose output is whole. Raises BrokenLine for a rate that is no such number, or gives nothing."""
    rate = bid.conversion_rate
    # Before anything is computed or written out: 1e999999 is short as a line only.
    if not rate.is_finite() or not _SMALLEST <= rate < LARGEST_RATE:
        raise BrokenLine("the rate is no decimal number above 0 of a sensible size")
    output = _EXACT.multiply(bid.max_input, rate).to_integral_value(ROUND_FLOOR)
    if output < 1:
        raise BrokenLine("the bid gives less than a whole unit")
    exact = Context(prec=60, rounding=ROUND_CEILING)
    found = exact.quantize(exact.divide(output, Decimal(bid.max_input)), _SMALLEST)
    return WholeBid(bid.max_input, format(found.normalize(_EXACT), "f"))


class Reopened(NamedTuple):
    """An order takes bids again: it is told once more, and whoever tells has to look it up."""

    order_id: int


class Teller:
    """Turns a book's entries, in order, into what listeners are told; the orders of a batch together."""

    def __init__(self) -> None:
        self._added: dict[int, lines.BatchedOrder] = {}

    def tell(self, data: str | bytes) -> lines.Told | Reopened | None:
        """Return the line for an entry's data, None where listeners are not told of it."""
        match _read_data(data):
            case entries.OrderAdded() as added:
                self._added[added.order_id] = batched(added.order_id, added.description, added.placed_at)
            case entries.BatchCreated() as batch:
                added_orders = [self._added.pop(one) for one in batch.order_ids if one in self._added]
                self._added.clear()
                return lines.Told(new_order_batch=added_orders)
            case entries.CommitmentCreated() as made:
                notification = lines.CommitmentNotification(
                    made.order_id,
                    made.solver,
                    _whole(made.input_amount),
                    _whole(made.min_output),
                    made.deadline // clock.SECOND,
                )
                return lines.Told(commitment_notification=notification)
            case entries.CommitmentFailed(then="reopened") as failed:
                return Reopened(failed.order_id)
            case entries.OrderExpired(order_id) | entries.OrderCancelled(order_id):
                return lines.Told(auction_closed_no_winner=order_id)
        return None


def batched(order_id: int, description: str, placed_at: Instant) -> lines.BatchedOrder:
    return lines.BatchedOrder(order_id, description, placed_at // clock.SECOND)


def _whole(amount: str) -> int:
    return int(amount.partition(".")[0])
