"""The middle of an auction: orders are announced in batches, rounds are selected, solvers are committed."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from marketplace import ledger
from marketplace.auctions import entries, selection, sql
from marketplace.auctions.book import as_credits, as_input, as_output, input_wallet
from marketplace.auctions.model import Batch, Commitment, Order, Reason, SolverBid
from marketplace.auctions.turn import Turn
from marketplace.foundation.errors import Refusal

_encode = msgspec.json.Encoder().encode


# ── announcing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def form_batch(turn: Turn, orders: list[Order], *, sequencer: str, batch_number: int | None) -> Batch:
    """Announce orders together: their entries, and the batch's own right after them."""
    book = turn.book
    number = batch_number
    if number is None:
        number = sql.read_next_batch_number(turn.tx, book.book, sequencer)
    first_offset = turn.journal.next_offset(book.book)
    for order in orders:
        order.state, order.added_at = "open", turn.now
        order.closes_at = turn.now + book.bidding_window_micros
        turn.put_order(order)
        turn.journal.note(book.book, _announcement(order), order.order_id)
    ids = tuple(order.order_id for order in orders)
    turn.journal.note(book.book, entries.BatchCreated(sequencer, number, first_offset, ids), None)
    turn.batch = Batch(book.book, sequencer, number, first_offset, len(orders), turn.now)
    book.batched_at = turn.now
    return turn.batch


def _announcement(order: Order) -> entries.OrderAdded:
    assert order.closes_at is not None
    return entries.OrderAdded(
        order.order_id,
        order.description,
        msgspec.Raw((order.payload or "null").encode()),
        order.output_asset,
        order.output_decimals,
        None if order.limit_output is None else as_output(order, order.limit_output),
        order.input_asset,
        order.input_decimals,
        None if order.input_budget is None else as_input(order, order.input_budget),
        order.placed_at,
        order.closes_at,
        order.expires_at,
    )


# ── selecting ────────────────────────────────────────────────────────────────────────────────────────────────────────


def select_winner(turn: Turn, order: Order) -> bool:
    """Look at the bids of a round whose window is over and commit the best one; tell whether there was one.

    Without a valid bid the order goes on waiting, and the next bid opens a window.
    """
    bids = turn.live_bids(order)
    found = selection.select(bids, turn.judge_for(order))
    holds = None
    while found.ranked and (holds := _take_holds(turn, order, found.ranked[0])) is None:
        # Judged to be covered, and still refused: an account that cannot count any more.
        found.passed.append((found.ranked.pop(0), "not_covered"))
    order.closes_at = None
    if holds is None:
        turn.put_order(order)
        turn.log.is_dirty = True  # it has no entry: nothing happened that anybody would want to hear of
        return False
    order.ranking = _encode([bid.bid_id for bid in found.ranked]).decode()
    turn.journal.note(turn.book.book, _unsealed(order, found), order.order_id)
    commit(turn, order, found.ranked[0], holds, rank=1)
    return True


def _unsealed(order: Order, found: selection.Selection) -> entries.BidSelected:
    """Show all bids of a round with their ranks."""
    shown = [_ranked(order, bid, rank, None) for rank, bid in enumerate(found.ranked, 1)]
    shown += [_ranked(order, bid, None, reason) for bid, reason in found.passed]
    return entries.BidSelected(order.order_id, order.round, found.ranked[0].bid_id, shown[0].min_output, tuple(shown))


def _ranked(order: Order, bid: SolverBid, rank: int | None, reason: Reason | None) -> entries.RankedBid:
    return entries.RankedBid(
        bid.bid_id,
        bid.solver,
        as_input(order, bid.max_input),
        bid.conversion_rate,
        as_output(order, bid.min_output),
        bid.valid_till,
        rank,
        reason,
    )


# ── committing ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Holds(NamedTuple):
    """What is held with a commitment: the solver's bond, and the owner's input where no budget is held for it."""

    bond: int | None
    input: int | None


def _take_holds(turn: Turn, order: Order, bid: SolverBid) -> Holds | None:
    """Hold what a commitment needs to be held, all of it or, returning None, nothing."""
    seq = turn.log.next_seq + 1  # after what is said of the selection, or of the failure
    bond_id = input_id = None
    if order.input_budget is None:
        owner, solver = input_wallet(order, order.owner), input_wallet(order, bid.solver)
        held = turn.money.hold(owner, solver, bid.max_input, seq=seq, reason="auction input")
        if isinstance(held, Refusal):
            return None
        input_id = held.transfer.transfer_id
    if turn.book.bond is not None:
        solver, owner = ledger.wallet(bid.solver), ledger.wallet(order.owner)
        held = turn.money.hold(solver, owner, turn.book.bond, seq=seq, reason="auction bond")
        if isinstance(held, Refusal):
            if input_id is not None:
                turn.money.release(input_id, seq=seq, reason="auction input")
            return None
        bond_id = held.transfer.transfer_id
    return Holds(bond_id, input_id)


def commit(turn: Turn, order: Order, bid: SolverBid, holds: Holds, *, rank: int) -> Commitment:
    """Bind a solver to its bid: it has to deliver until the deadline and its grace are over."""
    book = turn.book
    deadline = turn.now + book.fulfil_micros
    ends_at = deadline + book.grace_micros
    commitment = Commitment(
        book.book,
        turn.log.next_seq,
        order.order_id,
        bid.bid_id,
        bid.solver,
        order.round,
        rank,
        bid.max_input,
        bid.min_output,
        book.escrow,
        deadline,
        ends_at,
        due_at=ends_at,
        created_at=turn.now,
        bond=book.bond,
        bond_hold_id=holds.bond,
        input_hold_id=holds.input,
    )
    said = entries.CommitmentCreated(
        commitment.commitment_id,
        order.order_id,
        bid.bid_id,
        bid.solver,
        order.round,
        rank,
        as_input(order, bid.max_input),
        as_output(order, bid.min_output),
        deadline,
        ends_at,
        book.escrow,
        as_credits(book.bond),
    )
    turn.journal.note(book.book, said, order.order_id)
    order.state = "committed"
    turn.put_order(order)
    turn.created.append(commitment)
    return commitment


class Successor(NamedTuple):
    """Who takes over, what is held for that, and who was passed over."""

    bid: SolverBid
    holds: Holds
    rank: int
    passed: tuple[entries.PassedBid, ...]


def find_successor(turn: Turn, order: Order, failed: Commitment) -> Successor | None:
    """Find who takes over from a commitment that failed and hold what it needs; None where nobody is left."""
    ranking: list[int] = msgspec.json.decode(order.ranking or "[]", type=list[int])
    last = failed.bid_id
    passed: list[entries.PassedBid] = []
    while True:
        bid, more = selection.find_successor(ranking, turn.live_bids(order), turn.judge_for(order), failed=last)
        passed += [entries.PassedBid(one.bid_id, reason) for one, reason in more]
        if bid is None:
            return None
        if holds := _take_holds(turn, order, bid):
            return Successor(bid, holds, ranking.index(bid.bid_id) + 1, tuple(passed))
        passed.append(entries.PassedBid(bid.bid_id, "not_covered"))
        last = bid.bid_id
