"""What a tick has in its hands: everything that is due in a book, read once for all, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from marketplace import ledger
from marketplace.auctions import selection, sql
from marketplace.auctions.book import Journal, escrow_of, input_wallet, known_solvers
from marketplace.auctions.model import (
    Batch,
    Book,
    Commitment,
    DepositRow,
    Order,
    Reason,
    SolverBid,
    SolverRecord,
)
from marketplace.database import Log
from marketplace.foundation.clock import Instant


class Due(msgspec.Struct, frozen=True):
    """What a tick has to look at, at most so many; `announcing` come on top, as a batch is whole.

    `more`: it reached that limit.
    """

    commitments: list[Commitment]
    expiring: list[Order]
    closing: list[Order]
    announcing: list[Order]
    more: bool

    @property
    def is_nothing(self) -> bool:
        return not (self.commitments or self.expiring or self.closing or self.announcing)


def read_due(tx: sa.Connection, book: Book, *, limit: int, now: Instant, is_batch_new: bool) -> Due:
    """Read what is due: first what ends, then what expires, then what is to be selected."""
    commitments = sql.read_due(tx, book.book, now=now, limit=limit)
    limit -= len(commitments)
    expiring = sql.read_expiring(tx, book.book, now=now, limit=limit) if limit else []
    limit -= len(expiring)
    closing = sql.read_closing(tx, book.book, now=now, limit=limit) if limit else []
    overdue = {order.order_id for order in expiring}
    forms = is_batch_new and book.is_batch_due(now)
    return Due(
        commitments,
        expiring,
        [order for order in closing if order.order_id not in overdue],
        sql.read_pending(tx, book.book, now=now, limit=book.batch_size) if forms else [],
        more=len(closing) == limit,
    )


class Turn:
    """A book, what is due in it, and what a tick decides; `write` leaves it all to the lane."""

    def __init__(
        self, tx: sa.Connection, log: Log, book: Book, due: Due, *, now: Instant, starting_credits: int
    ) -> None:
        self.tx, self.log, self.book, self.now = tx, log, book, now
        self.journal = Journal(tx, log)
        ids = [each.order_id for each in due.commitments]
        self.orders = {
            **(sql.read_orders(tx, ids) if ids else {}),
            **{order.order_id: order for order in (*due.expiring, *due.closing, *due.announcing)},
        }
        failing = [one.order_id for one in due.commitments if not one.is_kept]
        closing = [order.order_id for order in due.closing]
        self.bids = sql.read_bids_of(tx, [(book.book, one) for one in (*failing, *closing)])
        self.deposits = sql.read_deposits_of(
            tx, [(book.book, one.commitment_id) for one in due.commitments if one.deposits]
        )
        self.records = known_solvers(tx, log, {(book.book, one.solver) for one in due.commitments})
        self._blocked = sql.read_blocked(tx, book.book, now=now) if self.bids else set()
        sql.read_descriptions(tx, due.announcing)
        self.money = ledger.open_books(
            tx,
            accounts=self._accounts(due),
            holds=self._holds(due),
            now=now,
            starting_credits=starting_credits,
        )
        self.created: list[Commitment] = []
        self.batch: Batch | None = None
        self._ended: list[Commitment] = []
        self._orders: dict[int, Order] = {}
        self._bids: list[SolverBid] = []
        self._records: dict[tuple[str, str], SolverRecord] = {}

    # ── what is read ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _holds(self, due: Due) -> set[int]:
        held = [order.hold_id for order in (*due.expiring, *(self.orders[one.order_id] for one in due.commitments))]
        held += [hold_id for one in due.commitments for hold_id in (one.bond_hold_id, one.input_hold_id)]
        held += [row.hold_id for rows in self.deposits.values() for row in rows]
        return {hold_id for hold_id in held if hold_id is not None}

    def _accounts(self, due: Due) -> set[ledger.AccountKey]:
        """Name the accounts that no hold brings along: who is paid, and who might have to put something up."""
        keys: set[ledger.AccountKey] = set()
        for commitment in due.commitments:
            order = self.orders[commitment.order_id]
            keys |= {escrow_of(order), input_wallet(order, commitment.solver)}
        for order_id, bids in self.bids.items():
            order = self.orders[order_id]
            solvers = [bid.solver for bid in bids]
            if self.book.bond is not None:
                keys |= {ledger.wallet(name) for name in (order.owner, *solvers)}
            if order.input_budget is None:
                keys |= {input_wallet(order, name) for name in (order.owner, *solvers)}
        return keys

    # ── what decides ─────────────────────────────────────────────────────────────────────────────────────────────────

    def judge_for(self, order: Order) -> selection.Judge:
        """Return what tells why a bid on an order is not valid now."""
        blocked, now, money = self._blocked, self.now, self.money
        terms = selection.judge_terms

        def judge(bid: SolverBid) -> Reason | None:
            if reason := terms(order, bid, now=now):
                return reason
            if bid.solver in blocked:
                return "blocked"
            if order.input_budget is None and money.available(input_wallet(order, order.owner)) < bid.max_input:
                return "not_covered"
            if self.book.bond is not None and money.available(ledger.wallet(bid.solver)) < self.book.bond:
                return "bond_not_covered"
            return None

        return judge

    def record_of(self, solver: str) -> SolverRecord:
        """Return how a solver has kept its word until now."""
        return self.records[self.book.book, solver]

    # ── what is changed ──────────────────────────────────────────────────────────────────────────────────────────────

    def put_order(self, order: Order) -> None:
        self._orders[order.order_id] = order

    def put_record(self, record: SolverRecord) -> None:
        name = (record.book, record.solver)
        self.records[name] = self._records[name] = record
        if record.is_blocked(self.now):
            self._blocked.add(record.solver)

    def end(self, commitment: Commitment) -> None:
        self._ended.append(commitment)

    def spend(self, order: Order, bids: Iterable[SolverBid]) -> None:
        """Let bids count no more."""
        for bid in bids:
            bid.state = "spent"
            order.bids -= 1
            self._bids.append(SolverBid(*msgspec.structs.astuple(bid)))

    def live_bids(self, order: Order) -> Sequence[SolverBid]:
        return [bid for bid in self.bids.get(order.order_id, ()) if bid.state == "live"]

    def write(self) -> None:
        """Leave everything to the lane to be written."""
        ended = sql.put_commitments(self._ended)
        if self._ended and self.created:
            # Written before: an order's new commitment takes the place of the one that failed.
            self.log.write_later([ended])
            self.log.flush(self.tx)
            ended = sql.put_commitments([])
        self.log.write_later(
            [
                sql.put_orders(list(self._orders.values())),
                sql.put_bids(self._bids),
                ended,
                sql.insert_commitments(self.created),
                sql.put_solvers(list(self._records.values())),
                sql.insert_batches([self.batch] if self.batch else []),
                sql.put_books([self.book] if self.batch else []),
                self.journal.take_writes(),
            ]
        )
        ledger.settle(self.money, self.log)


def deposits_of(turn: Turn, commitment: Commitment) -> Sequence[DepositRow]:
    """Return what was delivered for a commitment."""
    return turn.deposits.get(commitment.commitment_id, ())
