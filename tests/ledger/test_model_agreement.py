"""Random operations end as a plain list of moves says: every answer, every balance, after every step; and the books
that they leave behind balance.

A state machine draws batches of commands, which share a transaction, and moves the clock between them. Each sequence
has a scope of its own, so that all share one database.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from marketplace import ledger
from marketplace.foundation.clock import SECOND
from marketplace.ledger import Account, Deposit, ExpireHolds, Pay, SetWallet, Withdraw
from tests.ledger.conftest import opened
from tests.ledger.desk import Desk
from tests.ledger.house import Capture, Hold, Release
from tests.ledger.simple_ledger import HOUSE, OUTSIDE, STARTING, SimpleLedger
from tests.services.clock import SettableClock
from tests.services.machine import Batches, play

pytestmark = pytest.mark.property

SEQUENCES, STEPS = 120, 30
LONG_SEQUENCES, LONG_STEPS = 2_000, 100

NAMES = ("ann", "bob", "cy")
numbers = itertools.count()

names = st.sampled_from(NAMES)
amounts = st.integers(1, 60)
references = st.one_of(st.none(), st.sampled_from("pqrs"))
seconds = st.one_of(st.none(), st.integers(1, 3))


class Machine(Batches):
    """Batches for one scope."""

    desk: Desk

    @initialize()
    def begin(self) -> None:
        self.scope = f"s{next(numbers)}"
        self.begin_empty(SimpleLedger(now=self.desk.clock()))

    @property
    def hold_ids(self) -> list[int]:
        return list(self.simple.holds)

    @rule(name=names, amount=amounts, reference=references)
    def deposit(self, name: str, amount: int, reference: str | None) -> None:
        self.add(Deposit(name, amount, reference=reference, scope=self.scope))

    @rule(name=names, amount=amounts, reference=references)
    def withdraw(self, name: str, amount: int, reference: str | None) -> None:
        self.add(Withdraw(name, amount, reference=reference, scope=self.scope))

    @rule(name=names, to=names, amount=amounts, reference=references)
    def pay(self, name: str, to: str, amount: int, reference: str | None) -> None:
        self.add(Pay(name, to, amount, reference=reference, scope=self.scope))

    @rule(name=names, to=st.one_of(st.none(), names), amount=amounts, reference=references, after=seconds)
    def hold(self, name: str, to: str | None, amount: int, reference: str | None, after: int | None) -> None:
        expires_at = None if after is None else self.desk.clock() + after * SECOND
        self.add(Hold(name, amount, reference, to if to != name else None, expires_at, self.scope))

    @rule(which=st.integers(0, 9), amount=st.one_of(st.none(), amounts), reference=references)
    def capture(self, which: int, amount: int | None, reference: str | None) -> None:
        self.add(Capture(self.pick(which), amount, reference, self.scope))

    @rule(which=st.integers(0, 9), reference=references)
    def release(self, which: int, reference: str | None) -> None:
        self.add(Release(self.pick(which), reference, self.scope))

    def pick(self, which: int) -> int:
        """Choose a hold: mostly one of the last few, so that several want the same one."""
        known = self.hold_ids[-2:]
        return known[which % len(known)] if known and which else 10**9

    @rule(name=names, limit=st.sampled_from((0, 20, 40)))
    def limit(self, name: str, limit: int) -> None:
        self.add(SetWallet(name, credit_limit=limit, scope=self.scope))

    @rule(after=st.integers(0, 3))
    def wait(self, after: int) -> None:
        """Let what waits share a transaction, and let time go by."""
        self.settle()
        self.desk.clock.advance(after)
        self.simple.now = self.desk.clock()

    @rule()
    def expire(self) -> None:
        """Let the clock come by."""
        self.settle()
        self.run(self.desk.run(ExpireHolds(10**6)))
        self.simple.expire(10**6)

    @rule(name=names, to=names, amount=amounts, after=st.integers(0, 3))
    def hold_and_end_twice(self, name: str, to: str, amount: int, after: int) -> None:
        """Make a hold of two seconds and let two want to end it at once, in time or late."""
        self.settle()
        self.hold(name, to, amount, None, 2)
        self.wait(after)
        self.capture(1, max(amount - 1, 1), None)
        self.release(1, None)

    def compare(self) -> None:
        keys = {name: ledger.wallet(name, scope=self.scope) for name in NAMES}
        keys |= {HOUSE: ledger.revenue("house", scope=self.scope), OUTSIDE: ledger.external(scope=self.scope)}
        total = 0
        for name, key in keys.items():
            found: Account | None = self.run(self.desk.read(ledger.balance, key))
            one = found or Account(0, *key)
            held = self.simple.held(name)
            assert (one.balance, one.pending_debits) == (self.simple.balance(name), held), name
            assert name == OUTSIDE or one.available >= 0
            total += one.balance
        assert total == 0


def test_random_operations_end_as_a_plain_list_of_moves_says(database_url: str, is_soak: bool) -> None:
    play(
        Machine,
        database_url,
        lambda database: opened(database, SettableClock(), starting_credits=STARTING),
        sequences=LONG_SEQUENCES if is_soak else SEQUENCES,
        steps=LONG_STEPS if is_soak else STEPS,
    )
