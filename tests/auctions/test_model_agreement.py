"""Random orders, bids, deposits and ticks end as a plain list of dicts says: every answer, every state, every wallet;
and the books that they leave behind can be computed again from the log.

A state machine draws batches of commands, which share a transaction, and moves the clock between them. Each sequence
has a book and members of its own, so that all share one database.
"""

from __future__ import annotations

import itertools
import typing
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from marketplace.auctions import entries
from marketplace.auctions.model import CancelOrder, Deposit, OpenBook, PlaceBid, PlaceOrder, Tick
from marketplace.auctions.tables import auction_commitments, auction_log, auction_orders
from marketplace.foundation.clock import SECOND
from tests.auctions.conftest import opened
from tests.auctions.desk import Desk
from tests.auctions.simple_auction import BATCH, FULFIL, GRACE, TICK, WINDOW, SimpleAuction
from tests.services.clock import SettableClock
from tests.services.machine import Batches, play

pytestmark = pytest.mark.property

SEQUENCES, STEPS = 60, 40
LONG_SEQUENCES, LONG_STEPS = 2_000, 100

OWNERS, SOLVERS = ("ann", "bob"), ("s1", "s2", "s3")
numbers = itertools.count()

which = st.integers(0, 3)
solvers = st.sampled_from((*SOLVERS, "ann"))


class Machine(Batches):
    """Batches for one book."""

    desk: Desk

    @initialize(bond=st.sampled_from((None, None, 21)))
    def begin(self, bond: int | None) -> None:
        self.book = f"b{next(numbers)}"
        self.begin_empty(SimpleAuction(now=self.desk.clock(), bond=bond))
        times = {"tick": TICK, "bidding_window": WINDOW, "fulfil": FULFIL, "grace": GRACE}
        settings_: dict[str, Any] = {f"{name}_micros": seconds * SECOND for name, seconds in times.items()}
        self.run(self.desk.run(OpenBook(self.book, batch_size=BATCH, bond=bond, **settings_)))
        for name in (*OWNERS, *SOLVERS):
            for asset, amount in (("credit", 100), ("hour", 30)):
                self.run(self.desk.give(self.name(name), amount, asset))
                self.simple.wallets.balance[self.name(name), asset] = amount

    def name(self, name: str) -> str:
        return f"{self.book}-{name}"

    def pick(self, number: int) -> int:
        """Choose an order: mostly one of the newest."""
        known = [order["id"] for order in self.simple.orders if order["id"]][-3:]
        return known[number % len(known)] if known else 10**9

    @rule(
        owner=st.sampled_from(OWNERS),
        budget=st.sampled_from((None, 20, 50, 101)),
        limit=st.sampled_from((None, 5)),
        after=st.sampled_from((None, None, 3, 9)),
    )
    def place(self, owner: str, budget: int | None, limit: int | None, after: int | None) -> None:
        expires_at = None if after is None else self.desk.clock() + after * SECOND
        self.add(
            PlaceOrder(self.book, self.name(owner), "some hours", None, "hour", limit, "credit", budget, expires_at)
        )

    @rule(number=which)
    def cancel(self, number: int) -> None:
        if number == 3:
            self.add(CancelOrder(self.pick(number)))

    @rule(
        number=which,
        solver=solvers,
        most=st.integers(1, 60),
        rate=st.sampled_from(("90000", "200000.5", "999999")),
        valid=st.sampled_from((1, 3, 50, 5_000)),
    )
    def bid(self, number: int, solver: str, most: int, rate: str, valid: int) -> None:
        valid_till = self.desk.clock() + valid * SECOND
        self.add(PlaceBid(self.pick(number), self.name(solver), most, rate, valid_till))

    @rule(number=which, solver=st.sampled_from(SOLVERS), amount=st.one_of(st.none(), st.integers(1, 9)))
    def deposit(self, number: int, solver: str, amount: int | None) -> None:
        self.add(Deposit(self.pick(number), self.name(solver), amount))

    @rule(number=which, amount=st.sampled_from((None, None, 2)))
    def deliver(self, number: int, amount: int | None) -> None:
        """Let whoever is committed deliver."""
        self.settle()
        order_id = self.pick(number)
        if live := self.simple.live(order_id):
            self.add(Deposit(order_id, live["solver"], amount))

    @rule(after=st.sampled_from((0, 1, 2, 3, 4)))
    def tick(self, after: int) -> None:
        self.wait(after)
        self.add(Tick(self.book, "q"))

    @rule(after=st.sampled_from((1, 2, 4, 1_000)))
    def wait(self, after: int) -> None:
        """Let what waits share a transaction, and let time go by."""
        self.settle()
        self.desk.clock.advance(after)
        self.simple.now = self.desk.clock()

    @rule(
        bidders=st.lists(st.sampled_from(SOLVERS), min_size=1, max_size=4),
        owner=st.sampled_from(OWNERS),
        budget=st.sampled_from((None, 20)),
        amounts=st.lists(st.sampled_from((None, 1, 0)), min_size=1, max_size=3),
    )
    def play(self, bidders: list[str], owner: str, budget: int | None, amounts: list[int | None]) -> None:
        """Take an order from its placing to its end, among whatever else goes on."""
        self.place(owner, budget, None, None)
        for _ in range(3):
            self.tick(1)
        self.settle()
        order_id = self.simple.orders[-1]["id"] or 10**9
        for number, solver in enumerate(bidders):
            valid_till = self.desk.clock() + (5 if number == 1 else 50) * SECOND
            self.add(PlaceBid(order_id, self.name(solver), 10 + number % 2, "200000.5", valid_till))
        self.tick(WINDOW)
        for amount in amounts:
            self.settle()
            live = self.simple.live(order_id)
            if live and amount != 0:
                self.add(Deposit(order_id, live["solver"], amount))
            self.tick(FULFIL + GRACE)

    def compare(self) -> None:
        orders = self.run(self.desk.rows(auction_orders, book=self.book))
        assert [(row.order_id, row.state, row.round, row.closes_at, row.bids) for row in orders] == [
            (one["id"], one["state"], one["round"], one["closes"] if one["state"] == "open" else None, len(one["bids"]))
            for one in self.simple.orders
        ]
        commitments = self.run(self.desk.rows(auction_commitments, book=self.book))
        found = [(row.order_id, row.solver, row.state, row.deposited, row.ends_at, row.due_at) for row in commitments]
        assert found == [
            (one["order"]["id"], one["solver"], one["state"], one["deposited"], one["ends"], one["due"])
            for one in self.simple.commitments
        ]
        for name in map(self.name, (*OWNERS, *SOLVERS)):
            for asset in ("credit", "hour"):
                balance, available = self.run(self.desk.has(name, asset))
                expected = self.simple.wallets
                assert balance == expected.balance[name, asset], (name, asset)
                assert available == expected.available(name, asset), (name, asset)
        assert sum(self.simple.wallets.balance.values()) == 5 * 130


EVERY_KIND = {kind.__name__ for kind in typing.get_args(entries.BookEntry)}


async def check_kinds(desk: Desk) -> None:
    """See that the logs have entries of every kind."""
    kinds = {row.kind for row in await desk.rows(auction_log)}
    assert kinds == EVERY_KIND, "something never happened, so nothing is said of it"


def test_whatever_is_asked_the_books_end_as_a_simple_one_does(database_url: str, *, is_soak: bool) -> None:
    play(
        Machine,
        database_url,
        lambda database: opened(database, SettableClock()),
        sequences=LONG_SEQUENCES if is_soak else SEQUENCES,
        steps=LONG_STEPS if is_soak else STEPS,
        afterwards=check_kinds,
    )
