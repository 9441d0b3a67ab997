"""The end of an auction: a commitment that is kept fills the order, one that is not is slashed and handed on.

All money of an end moves in the transaction that ends it. Each of a commitment's deposits is a hold, which ends once:
it is captured for the owner, or released to the solver, never both and never neither.
"""

from __future__ import annotations

from marketplace import ledger
from marketplace.auctions import choosing, entries, model, reliability
from marketplace.auctions.book import as_credits, as_input, as_output, escrow_of, input_wallet
from marketplace.auctions.model import Commitment, Order
from marketplace.auctions.turn import Turn, deposits_of
from marketplace.foundation.errors import Refusal


def end_commitment(turn: Turn, commitment: Commitment) -> model.Then | None:
    """End a commitment that is kept, or whose time is over; return what becomes of an order whose solver failed.

    One whose solver cannot be paid, as its wallet has counted all that a wallet can, is left until its time is over.
    """
    order = turn.orders[commitment.order_id]
    if commitment.is_kept and _can_be_paid(turn, order, commitment):
        _fill(turn, order, commitment)
        return None
    return _fail(turn, order, commitment) if turn.now >= commitment.ends_at else None


def _can_be_paid(turn: Turn, order: Order, commitment: Commitment) -> bool:
    if order.hold_id is None:
        return True
    wallet = turn.money.account(input_wallet(order, commitment.solver))
    assert not isinstance(wallet, Refusal), "the order's asset is known"
    return wallet.posted_credits + wallet.pending_credits + commitment.input_amount <= ledger.MAX_TOTAL


def _settled(outcome: ledger.Posted | Refusal) -> None:
    assert not isinstance(outcome, Refusal), f"what is held can be captured or released: {outcome}"


# ── kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fill(turn: Turn, order: Order, commitment: Commitment) -> None:
    """Give the owner what was delivered and the solver its input; what is left of the budget is free again.

    The budget was held before anybody knew for whom: it is captured into the book's escrow, and from there paid out in
    the same transaction.
    """
    money, seq = turn.money, turn.log.next_seq
    for deposit in deposits_of(turn, commitment):
        _settled(money.capture(deposit.hold_id, seq=seq, reason="auction output"))
    if order.hold_id is not None:
        amount = commitment.input_amount
        _settled(money.capture(order.hold_id, amount, seq=seq, reason="auction input"))
        solver = input_wallet(order, commitment.solver)
        _settled(money.transfer(escrow_of(order), solver, amount, seq=seq, reason="auction input"))
    elif commitment.input_hold_id is not None:
        _settled(money.capture(commitment.input_hold_id, seq=seq, reason="auction input"))
    if commitment.bond_hold_id is not None:
        _settled(money.release(commitment.bond_hold_id, seq=seq, reason="auction bond"))
    output = commitment.min_output if commitment.escrow == "claim" else commitment.deposited
    said = entries.OrderFilled(
        order.order_id,
        commitment.commitment_id,
        commitment.solver,
        as_input(order, commitment.input_amount),
        as_output(order, output),
        as_output(order, output - commitment.min_output),
    )
    turn.journal.note(order.book, said, order.order_id)
    commitment.state, commitment.ended_at = "filled", turn.now
    turn.end(commitment)
    order.state, order.ended_at = "filled", turn.now
    turn.put_order(order)
    turn.put_record(reliability.after_fill(turn.record_of(commitment.solver), now=turn.now))


# ── not kept ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fail(turn: Turn, order: Order, commitment: Commitment) -> model.Then:
    """Return what was delivered, slash the bond, and let the order go on as it can."""
    _give_back(turn, commitment)
    commitment.state, commitment.ended_at = "failed", turn.now
    turn.end(commitment)
    turn.spend(order, [bid for bid in turn.live_bids(order) if bid.bid_id == commitment.bid_id])
    record = reliability.after_failure(turn.record_of(commitment.solver), now=turn.now)
    turn.put_record(record)
    successor = None if order.is_over_by(turn.now) else choosing.find_successor(turn, order, commitment)
    then = _what_then(turn, order, has_successor=successor is not None)
    said = entries.CommitmentFailed(
        commitment.commitment_id,
        order.order_id,
        commitment.solver,
        as_output(order, commitment.deposited),
        as_credits(commitment.slashed) if commitment.bond else None,
        record.blocked_until if record.is_blocked(turn.now) else None,
        then,
        order.closes_at,
    )
    turn.journal.note(order.book, said, order.order_id)
    if successor:
        _reassign(turn, order, commitment, successor)
    elif then == "expired":
        expire_order(turn, order)
    turn.put_order(order)
    return then


def _give_back(turn: Turn, commitment: Commitment) -> None:
    money, seq = turn.money, turn.log.next_seq
    for deposit in deposits_of(turn, commitment):
        _settled(money.release(deposit.hold_id, seq=seq, reason="auction refund"))
    if commitment.input_hold_id is not None:
        _settled(money.release(commitment.input_hold_id, seq=seq, reason="auction input"))
    if commitment.bond_hold_id is not None and commitment.bond is not None:
        commitment.slashed = reliability.slashed(commitment.bond)
        _settled(money.capture(commitment.bond_hold_id, commitment.slashed, seq=seq, reason="bond slashed"))


def _what_then(turn: Turn, order: Order, *, has_successor: bool) -> model.Then:
    """Say what becomes of an order, and open a new window where it goes back to solicitation."""
    if has_successor:
        return "reassigned"
    if order.is_over_by(turn.now):
        return "expired"
    order.state, order.ranking = "open", None
    order.round += 1
    order.closes_at = turn.now + turn.book.bidding_window_micros
    return "reopened"


def _reassign(turn: Turn, order: Order, failed: Commitment, successor: choosing.Successor) -> None:
    bid, holds, rank, passed = successor
    said = entries.OrderReassigned(order.order_id, failed.commitment_id, bid.bid_id, bid.solver, rank, passed)
    turn.journal.note(order.book, said, order.order_id)
    choosing.commit(turn, order, bid, holds, rank=rank)


# ── nobody came ──────────────────────────────────────────────────────────────────────────────────────────────────────


def expire_order(turn: Turn, order: Order) -> None:
    """End an order whose time is over; its budget is free again."""
    if order.hold_id is not None:
        _settled(turn.money.release(order.hold_id, seq=turn.log.next_seq, reason="auction expired"))
    if order.state == "pending":
        turn.journal.tell(entries.OrderWithdrawn(order.order_id, order.owner, "expired"), order.book)
    else:
        turn.journal.note(order.book, entries.OrderExpired(order.order_id), order.order_id)
    order.state, order.closes_at, order.ended_at = "expired", None, turn.now
    turn.put_order(order)
