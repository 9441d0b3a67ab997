"""Computes the decisions of a book again, from its log alone: who won, who took over, who was blocked and for how long.

Whoever has a book's log can do it, without the tables and without trust in who runs the service. What only wallets tell
is taken as it is told: that an owner or a solver did not have the money for a commitment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from marketplace.auctions import entries, reliability, selection
from marketplace.auctions.model import Order, OrderState, Reason, SolverBid, SolverRecord
from marketplace.foundation import money
from marketplace.foundation.clock import Instant

_decode = msgspec.json.Decoder(entries.BookEntry).decode
_TOLD = ("not_covered", "bond_not_covered")


class Line(NamedTuple):
    """An entry of a book's log, as it is read; `data` is its JSON."""

    log_offset: int
    seq: int
    at: Instant
    kind: str
    data: bytes | str


class Disagreement(Exception):
    """An entry says something else than what follows from those before it."""


def require(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 (reads as a sentence)
    """Raise Disagreement with a clause, unless something is as it has to be."""
    if not is_so:
        raise Disagreement(otherwise)


class Promise(msgspec.Struct):
    """A commitment, as the log tells it."""

    said: entries.CommitmentCreated
    deposited: int = 0
    is_claimed: bool = False
    state: str = "live"

    def is_kept(self, order: Order) -> bool:
        wanted = money.parse_amount(self.said.min_output, decimals=order.output_decimals)
        return self.is_claimed if self.said.escrow == "claim" else self.deposited >= wanted


class Round(msgspec.Struct):
    """An order with the bids that are in play: sealed ones by their ids, those that were shown in full."""

    order: Order
    sealed: dict[int, int | None]
    """Live bids, and which one each has replaced."""
    shown: dict[int, SolverBid]
    ranking: list[int]
    promise: Promise | None = None


class Replay:
    """The state of a book that its log leads to."""

    def __init__(self, book: str) -> None:
        self.book = book
        self.rounds: dict[int, Round] = {}
        self.promises: dict[int, Promise] = {}
        self.records: dict[str, SolverRecord] = {}
        self.batches: set[tuple[str, int]] = set()
        self.entries = 0
        self._last: tuple[int, Instant] = (0, 0)
        self._added: list[int] = []
        self._next: entries.BidSelected | entries.OrderReassigned | None = None
        """What the next entry has to follow from: a winner or a successor is committed at once."""
        self._owed: tuple[int, str] | None = None
        """An order, and what has to become of it in the next entry."""

    def run(self, line: Line) -> None:
        """Take the next entry. Raises Disagreement, or msgspec's error for one that is none."""
        said = _decode(line.data)
        require(line.log_offset == self.entries, f"it should have offset {self.entries}")
        require(line.kind == type(said).__name__, f"its data are of {type(said).__name__}")
        require((line.seq, line.at) > self._last and line.at >= self._last[1], "it is older than the one before it")
        self.entries += 1
        self._last = (line.seq, line.at)
        self._require_continuation(said)
        getattr(self, f"_{said.__struct_config__.tag}")(line, said)

    def finish(self) -> None:
        """Tell whether the log ends in the middle of something."""
        require(not self._added and self._next is None and self._owed is None, "the log ends in the middle")

    # ── announcing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _order_added(self, line: Line, said: entries.OrderAdded) -> None:
        require(said.order_id not in self.rounds, "the order was added before")
        require(said.closes_at > line.at, "its window is over before it begins")
        limit = said.limit_output and money.parse_amount(said.limit_output, decimals=said.output_decimals)
        budget = said.input_budget and money.parse_amount(said.input_budget, decimals=said.input_decimals)
        order = Order(
            self.book,
            said.order_id,
            "",
            said.output_asset,
            said.output_decimals,
            limit or None,
            said.input_asset,
            said.input_decimals,
            budget or None,
            "open",
            1,
            0,
            None,
            said.placed_at,
            line.at,
            said.closes_at,
            said.expires_at,
        )
        self.rounds[said.order_id] = Round(order, {}, {}, [])
        self._added.append(said.order_id)

    def _batch_created(self, line: Line, said: entries.BatchCreated) -> None:
        require((said.sequencer, said.batch_number) not in self.batches, "the batch was formed before")
        require(list(said.order_ids) == self._added, f"the orders before it are {self._added}")
        require(said.first_offset == line.log_offset - len(self._added), "it does not begin where its orders do")
        self.batches.add((said.sequencer, said.batch_number))
        self._added = []

    # ── bidding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _bid_received(self, line: Line, said: entries.BidReceived) -> None:
        one = self._round(said.order_id, "open", "committed")
        order = one.order
        require(said.bid_id == line.seq, "a bid's id is the seq of its entry")
        require(said.replaces is None or said.replaces in one.sealed, "it replaces a bid that is not there")
        require(said.round == order.round + (order.state == "committed"), "it is of another round")
        require(not order.is_over_by(line.at), "the order's time was over")
        if said.closes_at != order.closes_at:
            is_over = order.closes_at is not None and order.closes_at <= line.at
            require(order.state == "open" and is_over, "the window was open still")
            require(said.closes_at is not None and said.closes_at > line.at, "it opened no window")
            order.closes_at = said.closes_at
        one.sealed.pop(said.replaces or 0, None)
        one.sealed[said.bid_id] = said.replaces

    def _bid_selected(self, line: Line, said: entries.BidSelected) -> None:
        one = self._round(said.order_id, "open")
        order = one.order
        require(order.closes_at is not None and order.closes_at <= line.at, "the window was open still")
        require(said.round == order.round, "it is of another round")
        require(sorted(bid.bid_id for bid in said.bids) == sorted(one.sealed), "those are not the bids that came")
        require(len({bid.solver for bid in said.bids}) == len(said.bids), "a solver has two bids")
        bids = [self._unsealed(one, bid) for bid in said.bids]
        told = {bid.bid_id: bid.reason for bid in said.bids}
        found = selection.select(bids, self._judge(order, told, at=line.at))
        shown: list[tuple[int, int | None, Reason | None]] = []
        shown += [(bid.bid_id, rank, None) for rank, bid in enumerate(found.ranked, 1)]
        shown += [(bid.bid_id, None, reason) for bid, reason in found.passed]
        require([(b.bid_id, b.rank, b.reason) for b in said.bids] == shown, f"the ranks should be {shown}")
        require(bool(found.ranked), "none of its bids was valid")
        require((said.winner, said.winning_output) == (shown[0][0], said.bids[0].min_output), "another bid won")
        one.ranking = [bid.bid_id for bid in found.ranked]
        order.closes_at = None
        self._next = said

    def _unsealed(self, one: Round, said: entries.RankedBid) -> SolverBid:
        order = one.order
        spent = money.parse_amount(said.max_input, decimals=order.input_decimals)
        output = selection.output_of(
            spent,
            selection.parse_rate(said.conversion_rate),
            input_decimals=order.input_decimals,
            output_decimals=order.output_decimals,
        )
        written = money.format_amount(output, decimals=order.output_decimals)
        require(said.min_output == written, f"the bid {said.bid_id} promises {written}")
        before = one.shown.get(one.sealed[said.bid_id] or 0)
        require(before is None or before.solver == said.solver, f"{said.bid_id} replaces another solver's bid")
        bid = SolverBid(
            self.book,
            order.order_id,
            said.solver,
            said.bid_id,
            spent,
            said.conversion_rate,
            output,
            said.valid_till,
            "live",
            0,
        )
        earlier = one.shown.setdefault(said.bid_id, bid)
        require(earlier == bid, f"the bid {said.bid_id} was shown otherwise before")
        return bid

    def _judge(self, order: Order, told: dict[int, Reason | None], *, at: Instant) -> selection.Judge:
        def judge(bid: SolverBid) -> Reason | None:
            if reason := selection.judge_terms(order, bid, now=at):
                return reason
            if self._record(bid.solver).is_blocked(at):
                return "blocked"
            reason = told.get(bid.bid_id)
            return reason if reason in _TOLD else None

        return judge

    # ── committing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _commitment_created(self, line: Line, said: entries.CommitmentCreated) -> None:
        one = self._round(said.order_id, "open")
        cause, self._next = self._next, None
        if isinstance(cause, entries.BidSelected):
            bid_id, rank = cause.winner, 1
        else:
            require(cause is not None, "nobody was selected")
            assert cause is not None
            bid_id, rank = cause.bid_id, cause.rank
        bid = one.shown[bid_id]
        order = one.order
        wanted = (
            line.seq,
            bid_id,
            bid.solver,
            order.round,
            rank,
            money.format_amount(bid.max_input, decimals=order.input_decimals),
            money.format_amount(bid.min_output, decimals=order.output_decimals),
        )
        told = (said.commitment_id, said.bid_id, said.solver, said.round, said.rank, said.input_amount, said.min_output)
        require(told == wanted, f"it should say {wanted}")
        require(line.at < said.deadline <= said.ends_at, "its deadline is no time ahead")
        one.promise = self.promises[said.commitment_id] = Promise(said)
        order.state = "committed"

    def _deposit_received(self, line: Line, said: entries.DepositReceived) -> None:
        one = self._round(said.order_id, "committed")
        promise = self._promise(one, said.commitment_id, said.solver)
        require(line.at < promise.said.ends_at, "it came too late")
        require((said.amount is None) == (promise.said.escrow == "claim"), "it is of the other kind of escrow")
        decimals = one.order.output_decimals
        promise.deposited += 0 if said.amount is None else money.parse_amount(said.amount, decimals=decimals)
        promise.is_claimed = said.amount is None
        require(said.deposited == money.format_amount(promise.deposited, decimals=decimals), "it is not the sum")

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _order_filled(self, line: Line, said: entries.OrderFilled) -> None:
        one = self._round(said.order_id, "committed")
        promise = self._promise(one, said.commitment_id, said.solver)
        order = one.order
        require(promise.is_kept(order), "not all was delivered")
        least = money.parse_amount(promise.said.min_output, decimals=order.output_decimals)
        output = least if promise.said.escrow == "claim" else promise.deposited
        written = (
            promise.said.input_amount,
            money.format_amount(output, decimals=order.output_decimals),
            money.format_amount(output - least, decimals=order.output_decimals),
        )
        require((said.input_amount, said.output, said.surplus) == written, f"it should say {written}")
        promise.state, order.state, one.promise = "filled", "filled", None
        self.records[said.solver] = reliability.after_fill(self._record(said.solver), now=line.at)

    def _commitment_failed(self, line: Line, said: entries.CommitmentFailed) -> None:
        one = self._round(said.order_id, "committed")
        order = one.order
        promise = self._promise(one, said.commitment_id, said.solver)
        require(line.at >= promise.said.ends_at, "its time was not over")
        returned = money.format_amount(promise.deposited, decimals=order.output_decimals)
        bond = promise.said.bond
        slashed = bond and _credits(reliability.slashed(money.parse_amount(bond, decimals=6)))
        record = reliability.after_failure(self._record(said.solver), now=line.at)
        blocked_until = record.blocked_until if record.is_blocked(line.at) else None
        told = (said.returned, said.slashed, said.blocked_until)
        require(told == (returned, slashed, blocked_until), f"it should say {(returned, slashed, blocked_until)}")
        self.records[said.solver] = record
        promise.state, one.promise, order.state = "failed", None, "open"
        one.sealed.pop(promise.said.bid_id, None)
        is_over = order.is_over_by(line.at)
        require((said.then == "expired") == is_over, "the order expires if its time is over, and only then")
        if said.then == "reopened":
            successor, _ = self._successor(one, promise.said.bid_id, {}, at=line.at)
            is_of_wallets = order.input_budget is None or bond is not None
            require(successor is None or is_of_wallets, "somebody was there to take over")
            require(said.closes_at is not None and said.closes_at > line.at, "it opened no window")
            order.round, order.closes_at, one.ranking = order.round + 1, said.closes_at, []
        else:
            self._owed = (said.order_id, said.then)

    def _order_reassigned(self, line: Line, said: entries.OrderReassigned) -> None:
        one = self._round(said.order_id, "open")
        failed = self.promises[said.failed_commitment_id]
        told: dict[int, Reason | None] = {bid.bid_id: bid.reason for bid in said.passed}
        successor, passed = self._successor(one, failed.said.bid_id, told, at=line.at)
        require(successor is not None, "nobody was there to take over")
        assert successor is not None
        rank = one.ranking.index(successor.bid_id) + 1
        wanted = (successor.bid_id, successor.solver, rank, tuple(passed))
        require((said.bid_id, said.solver, said.rank, said.passed) == wanted, f"it should say {wanted}")
        self._next = said

    def _successor(
        self, one: Round, failed: int, told: dict[int, Reason | None], *, at: Instant
    ) -> tuple[SolverBid | None, list[entries.PassedBid]]:
        there = [bid for bid_id, bid in one.shown.items() if bid_id in one.sealed]
        judge = self._judge(one.order, told, at=at)
        bid, passed = selection.find_successor(one.ranking, there, judge, failed=failed)
        return bid, [entries.PassedBid(each.bid_id, reason) for each, reason in passed]

    def _order_expired(self, line: Line, said: entries.OrderExpired) -> None:
        order = self._round(said.order_id, "open").order
        require(order.is_over_by(line.at), "its time was not over")
        order.state, order.closes_at = "expired", None

    def _order_cancelled(self, _line: Line, said: entries.OrderCancelled) -> None:
        order = self._round(said.order_id, "open").order
        order.state, order.closes_at = "cancelled", None

    # ── what is where ────────────────────────────────────────────────────────────────────────────────────────────────

    def _require_continuation(self, said: Any) -> None:
        """Hold an entry to what the one before it has begun."""
        if self._added:
            require(isinstance(said, entries.OrderAdded | entries.BatchCreated), "a batch is not complete")
        if self._next is not None:
            is_next = isinstance(said, entries.CommitmentCreated) and said.order_id == self._next.order_id
            require(is_next, "a winner has to be committed first")
        if self._owed is not None:
            (order_id, then), self._owed = self._owed, None
            kind = entries.OrderReassigned if then == "reassigned" else entries.OrderExpired
            require(
                isinstance(said, kind) and said.order_id == order_id, f"the order {order_id} has to be {then} first"
            )

    def _round(self, order_id: int, *states: OrderState) -> Round:
        one = self.rounds.get(order_id)
        require(one is not None and one.order.state in states, f"the order {order_id} is not {' or '.join(states)}")
        assert one is not None
        return one

    def _promise(self, one: Round, commitment_id: int, solver: str) -> Promise:
        promise = one.promise
        is_it = promise is not None and (promise.said.commitment_id, promise.said.solver) == (commitment_id, solver)
        require(is_it, "no such commitment is under way")
        assert promise is not None
        return promise

    def _record(self, solver: str) -> SolverRecord:
        return self.records.get(solver) or SolverRecord(self.book, solver)


def _credits(units: int) -> str:
    return money.format_amount(units, decimals=6)


def verify(book: str, lines: Iterable[Line]) -> tuple[Replay, list[str]]:
    """Compute a book's decisions again; return what they lead to, and what is wrong, which is one sentence or none."""
    replay = Replay(book)
    for line in lines:
        try:
            replay.run(line)
        except (Disagreement, msgspec.MsgspecError, ValueError, KeyError) as error:
            return replay, [f"{book}: the entry {line.log_offset} ({line.kind}) does not follow: {error}"]
    try:
        replay.finish()
    except Disagreement as error:
        return replay, [f"{book}: {error}"]
    return replay, []
