"""An entry of a book's log on one line, for people who watch."""

from __future__ import annotations

import msgspec

from marketplace.auctions import entries
from marketplace.auctions.book_log import Logged

_read = msgspec.json.Decoder(entries.BookEntry).decode


def describe(entry: Logged) -> str:
    """Return what happened, in a few words."""
    order = f"order {entry.order_id}" if entry.order_id is not None else ""
    return f"{entry.kind:<17} {order:<12} {words_of(entry)}".rstrip()


def words_of(entry: Logged) -> str:
    """Return what an entry says beside its kind and its order."""
    return _words(_read(entry.data))


def _words(said: entries.BookEntry) -> str:
    match said:
        case entries.OrderAdded():
            return (
                f"{said.description}: at most {said.input_budget or 'anything'} for {said.limit_output or 'anything'}"
            )
        case entries.BatchCreated():
            return f"{_orders(len(said.order_ids))}, number {said.batch_number} of {said.sequencer}"
        case entries.BidReceived():
            return f"bid {said.bid_id}"
        case entries.BidSelected():
            return f"bid {said.winner} of {len(said.bids)} wins with {said.winning_output}"
        case entries.CommitmentCreated():
            return f"{said.solver} owes {said.min_output} for {said.input_amount}"
        case entries.DepositReceived():
            return f"{said.solver} has delivered {said.deposited}"
        case entries.OrderFilled():
            return f"{said.solver} delivered {said.output} for {said.input_amount}"
        case entries.CommitmentFailed():
            return f"{said.solver} did not deliver; the order is {said.then}"
        case entries.OrderReassigned():
            return f"{said.solver} takes over, of rank {said.rank}"
        case entries.OrderExpired():
            return "nobody delivered in time"
        case entries.OrderCancelled():
            return "its owner took it back"


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count} orders"
