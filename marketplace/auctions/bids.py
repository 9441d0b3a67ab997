"""What the lane runs for solvers: sealed bids, deposits of what they promised, and claims that they have delivered."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketplace import ledger
from marketplace.auctions import entries, errors, model, selection, sql
from marketplace.auctions.book import Journal, as_input, as_output, known_books, known_solvers, output_wallet
from marketplace.auctions.model import (
    Claim,
    Commitment,
    Deposit,
    Deposited,
    DepositRow,
    Order,
    PlaceBid,
    SolverBid,
)
from marketplace.database import Log
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal

# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Bidding:
    """The orders that a batch of bids is about, and what their solvers have bid before."""

    def __init__(self, tx: sa.Connection, log: Log, commands: Sequence[PlaceBid], *, now: Instant) -> None:
        self.now = now
        self.log = log
        self.journal = Journal(tx, log)
        self.orders = sql.read_orders(tx, {each.order_id for each in commands})
        self.books = known_books(tx, log, {order.book for order in self.orders.values()})
        known = [(self.orders[each.order_id].book, each) for each in commands if each.order_id in self.orders]
        self.bids = sql.read_bids(tx, {(book, each.order_id, each.solver) for book, each in known})
        self.records = known_solvers(tx, log, {(book, each.solver) for book, each in known})
        self.changed_orders: dict[int, Order] = {}
        self.changed_bids: dict[tuple[int, str], SolverBid] = {}

    def write(self) -> None:
        """Leave everything to the lane to be written."""
        self.log.write_later(
            [
                sql.put_orders(list(self.changed_orders.values())),
                sql.put_bids(list(self.changed_bids.values())),
                self.journal.take_writes(),
            ]
        )


def apply_bids(
    tx: sa.Connection, log: Log, commands: Sequence[PlaceBid], /, *, now: Instant
) -> list[SolverBid | Refusal]:
    """Take bids in arrival order, each in place of its solver's bid before. A refusal writes nothing.

    Bids on an order that a solver is committed to wait for the next round. The first bid on an order that nobody's
    window is open for opens one.
    """
    bidding = Bidding(tx, log, commands, now=now)
    outcomes = [_bid(bidding, command) for command in commands]
    bidding.write()
    return outcomes


def _bid(bidding: Bidding, command: PlaceBid) -> SolverBid | Refusal:
    order = bidding.orders.get(command.order_id)
    refusal = _closed_to(order, command, bidding) or _unsound(command, now=bidding.now)
    if refusal or order is None:
        return refusal or errors.UnknownOrder(command.order_id)
    output = _promised(order, command)
    if isinstance(output, Refusal):
        return output
    before = bidding.bids.get((order.order_id, command.solver))
    replaced = before.bid_id if before and before.state == "live" else None
    if replaced is None and order.bids >= model.MOST_BIDS:
        return errors.TooManyBids(order.order_id, model.MOST_BIDS)
    _open_window(bidding, order, is_new=replaced is None)
    bid = SolverBid(
        order.book,
        order.order_id,
        command.solver,
        bidding.log.next_seq,
        command.max_input,
        command.conversion_rate,
        output,
        command.valid_till,
        "live",
        bidding.now,
    )
    round_ = order.round + (order.state == "committed")
    said = entries.BidReceived(order.order_id, bid.bid_id, replaced, round_, order.closes_at)
    bidding.journal.note(order.book, said, order.order_id)
    name = (order.order_id, command.solver)
    bidding.bids[name] = bidding.changed_bids[name] = bid
    return bid


def _closed_to(order: Order | None, command: PlaceBid, bidding: Bidding) -> Refusal | None:
    if order is None or order.state == "pending":
        return errors.UnknownOrder(command.order_id)
    if order.state not in ("open", "committed"):
        return errors.OrderClosed(order.order_id, order.state)
    if order.is_over_by(bidding.now):
        return errors.OrderClosed(order.order_id, "expired")
    if order.owner == command.solver:
        return errors.OwnOrder(order.order_id)
    record = bidding.records[order.book, command.solver]
    if record.is_blocked(bidding.now):
        return errors.SolverBlocked(command.solver, blocked_until=record.blocked_until)
    return None


def _unsound(command: PlaceBid, *, now: Instant) -> Refusal | None:
    if not 1 <= command.max_input <= ledger.MAX_AMOUNT:
        return errors.BadAmount("max_input")
    if command.valid_till <= now:
        return errors.InstantPassed("valid_till")
    return None


def _promised(order: Order, command: PlaceBid) -> int | Refusal:
    """Return what the bid promises, if the order takes it."""
    try:
        rate = selection.parse_rate(command.conversion_rate)
    except ValueError:
        return errors.BadRate(command.conversion_rate)
    if order.input_budget is not None and command.max_input > order.input_budget:
        return errors.OverBudget(order.order_id, budget=as_input(order, order.input_budget))
    output = selection.output_of(
        command.max_input, rate, input_decimals=order.input_decimals, output_decimals=order.output_decimals
    )
    limit = max(order.limit_output or 0, 1)
    if output < limit:
        return errors.BelowLimit(order.order_id, limit=as_output(order, limit), output=as_output(order, output))
    if output > ledger.MAX_AMOUNT:
        return errors.BadAmount("conversion_rate")
    return output


def _open_window(bidding: Bidding, order: Order, *, is_new: bool) -> None:
    """Count a new bidder, and begin a window where none is open."""
    begins = order.state == "open" and order.closes_at is None
    if begins:
        order.closes_at = bidding.now + bidding.books[order.book].bidding_window_micros
    if is_new:
        order.bids += 1
    if begins or is_new:
        bidding.changed_orders[order.order_id] = order


# ── deposits and claims ──────────────────────────────────────────────────────────────────────────────────────────────


class Delivery:
    """The commitments that a batch of deposits and claims is about, with the money of both sides."""

    def __init__(
        self, tx: sa.Connection, log: Log, commands: Sequence[Any], *, now: Instant, starting_credits: int
    ) -> None:
        self.now = now
        self.log = log
        self.journal = Journal(tx, log)
        self.orders = sql.read_orders(tx, {each.order_id for each in commands})
        committed = [(one.book, one.order_id) for one in self.orders.values() if one.state == "committed"]
        self.commitments = sql.read_live_commitments(tx, committed)
        depositing = [each for each in commands if isinstance(each, Deposit) and each.order_id in self.commitments]
        referring = [(self.commitments[each.order_id], each.reference) for each in depositing]
        self.deposits = sql.read_deposits(
            tx, {(one.book, one.commitment_id, reference) for one, reference in referring if reference}
        )
        late = [each for each in commands if isinstance(each, Deposit) and self._is_late(each)]
        self.past = sql.read_past_deposits(
            tx, {(self.orders[each.order_id].book, each.order_id, each.solver, each.reference or "") for each in late}
        )
        sides = [(self.orders[each.order_id], each.solver) for each in depositing]
        self.money = ledger.open_books(
            tx,
            accounts={output_wallet(order, name) for order, solver in sides for name in (order.owner, solver)},
            now=now,
            starting_credits=starting_credits,
        )
        self.new: list[DepositRow] = []
        self.claimed: dict[int, Commitment] = {}

    def _is_late(self, command: Deposit) -> bool:
        """Tell whether no commitment of the solver is live, so that it can only be told again what it was told."""
        live = self.commitments.get(command.order_id)
        is_its_own = live is not None and live.solver == command.solver
        return command.reference is not None and command.order_id in self.orders and not is_its_own

    def write(self) -> None:
        """Leave everything to the lane to be written; what is deposited, the database adds up itself."""
        self.log.write_later(
            [
                sql.put_commitments(list(self.claimed.values())),
                sql.insert_deposits(self.new),
                self.journal.take_writes(),
            ]
        )
        ledger.settle(self.money, self.log)


def apply_deliveries(
    tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant, starting_credits: int
) -> list[Deposited | Commitment | Refusal]:
    """Take deposits and claims in arrival order, while the deadline and its grace are not over.

    A deposit is a hold on the solver's wallet for the owner's: what the end of the commitment makes of it, a capture or
    a release, the ledger lets happen once.
    """
    delivery = Delivery(tx, log, commands, now=now, starting_credits=starting_credits)
    outcomes = [_deposit(delivery, each) if isinstance(each, Deposit) else _claim(delivery, each) for each in commands]
    delivery.write()
    return outcomes


def _commitment(delivery: Delivery, command: Deposit | Claim) -> Commitment | Refusal:
    """Return the commitment that a command is about, if it is that solver's."""
    found = delivery.commitments.get(command.order_id)
    if found is None or found.solver != command.solver:
        return errors.UnknownCommitment(command.order_id, command.solver)
    if found.escrow != ("ledger" if isinstance(command, Deposit) else "claim"):
        return errors.WrongEscrow(command.order_id, found.escrow)
    return found


def _deposit(delivery: Delivery, command: Deposit) -> Deposited | Refusal:
    if past := delivery.past.get((command.order_id, command.solver, command.reference or "")):
        return _again(command, *past)
    commitment = _commitment(delivery, command)
    if isinstance(commitment, Refusal):
        return commitment
    name = (commitment.commitment_id, command.reference or "")
    if command.reference and (first := delivery.deposits.get(name)):
        return _again(command, first, commitment)
    if delivery.now >= commitment.ends_at:
        return errors.TooLate(command.order_id)
    missing = max(commitment.min_output - commitment.deposited, 0)
    amount = missing if command.amount is None else command.amount
    if command.amount is None and missing == 0:
        return Deposited(copy.copy(commitment), 0, None, created=False)
    if not 1 <= amount <= ledger.MAX_AMOUNT:
        return errors.BadAmount("amount")
    if commitment.deposits >= model.MOST_DEPOSITS:
        return errors.TooManyDeposits(command.order_id, model.MOST_DEPOSITS)
    return _take(delivery, commitment, amount, reference=command.reference)


def _again(command: Deposit, first: DepositRow, commitment: Commitment) -> Deposited | Refusal:
    """Answer a reference that was carried out before, with its commitment as it is by now."""
    if command.amount not in (None, first.amount):
        return errors.ReferenceTaken(first.reference or "")
    return Deposited(copy.copy(commitment), first.amount, first.hold_id, created=False)


def _take(delivery: Delivery, commitment: Commitment, amount: int, *, reference: str | None) -> Deposited | Refusal:
    """Hold a deposit from the solver's wallet and count it; the database's trigger counts the same."""
    order = delivery.orders[commitment.order_id]
    held = delivery.money.hold(
        output_wallet(order, commitment.solver),
        output_wallet(order, order.owner),
        amount,
        seq=delivery.log.next_seq,
        reason="auction deposit",
    )
    if isinstance(held, Refusal):
        return held
    hold_id = held.transfer.transfer_id
    row = DepositRow(commitment.book, commitment.commitment_id, hold_id, amount, reference, delivery.now)
    delivery.new.append(row)
    if reference:
        delivery.deposits[commitment.commitment_id, reference] = row
    commitment.deposited += amount
    commitment.deposits += 1
    if commitment.is_kept:
        commitment.due_at = min(commitment.due_at, delivery.now)
    _note(delivery, commitment, amount=as_output(order, amount))
    return Deposited(copy.copy(commitment), amount, hold_id)


def _claim(delivery: Delivery, command: Claim) -> Commitment | Refusal:
    commitment = _commitment(delivery, command)
    if isinstance(commitment, Refusal) or commitment.claimed_at is not None:
        return commitment if isinstance(commitment, Refusal) else copy.copy(commitment)
    if delivery.now >= commitment.ends_at:
        return errors.TooLate(command.order_id)
    commitment.claimed_at = commitment.due_at = delivery.now
    delivery.claimed[commitment.commitment_id] = commitment
    _note(delivery, commitment, amount=None)
    return copy.copy(commitment)


def _note(delivery: Delivery, commitment: Commitment, *, amount: str | None) -> None:
    order = delivery.orders[commitment.order_id]
    deposited = as_output(order, commitment.deposited)
    said = entries.DepositReceived(commitment.commitment_id, commitment.order_id, commitment.solver, amount, deposited)
    delivery.journal.note(commitment.book, said, commitment.order_id)
