"""Random operations end as a plain list of moves says: every answer, every balance, after every step; and the books
that they leave behind balance.

A state machine draws batches of commands, which share a transaction, and moves the clock between them. Each sequence
has a scope of its own, so that all share one database.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from marketplace import ledger
from marketplace.foundation.clock import SECOND
from marketplace.ledger import Account, Deposit, ExpireHolds, Pay, SetWallet, Withdraw
from tests.ledger.conftest import opened
from tests.ledger.desk import Desk
from tests.ledger.house import Capture, Hold, Release
from tests.ledger.simple_ledger import HOUSE, OUTSIDE, STARTING, SimpleLedger
from tests.services.clock import SettableClock

pytestmark = pytest.mark.property

SEQUENCES, STEPS = 200, 30
LONG_SEQUENCES, LONG_STEPS = 2_000, 100

NAMES = ("ann", "bob", "cy")
numbers = itertools.count()

names = st.sampled_from(NAMES)
amounts = st.integers(1, 60)
references = st.one_of(st.none(), st.sampled_from("pqrs"))
seconds = st.one_of(st.none(), st.integers(1, 3))


class Machine(RuleBasedStateMachine):
    """Batches for one scope. `desk` and `run` are given by the test."""

    desk: Desk
    run: Any

    @initialize()
    def begin(self) -> None:
        self.scope = f"s{next(numbers)}"
        self.simple = SimpleLedger(now=self.desk.clock())
        self.waiting: list[Any] = []

    @property
    def hold_ids(self) -> list[int]:
        return list(self.simple.holds)

    def add(self, command: Any) -> None:
        self.waiting.append(command)

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

    def settle(self) -> None:
        batch, self.waiting = self.waiting, []
        for command, outcome in zip(batch, self.run(self.desk.together(*batch)), strict=True):
            self.simple.check(command, outcome)

    @invariant()
    def books_agree(self) -> None:
        if len(getattr(self, "waiting", ())) >= 5:
            self.settle()
            self.compare()

    def teardown(self) -> None:
        if hasattr(self, "waiting"):
            self.settle()
            self.compare()

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


class Loop:
    """An event loop in a thread of its own: a state machine is driven by plain calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_random_operations_end_as_a_plain_list_of_moves_says(database_url: str, is_soak: bool) -> None:
    from marketplace.database import open_database

    loop = Loop()
    try:
        database = open_database(database_url)
        manager = opened(database, SettableClock(), starting_credits=STARTING)
        desk = loop.run(manager.__aenter__())
        machine = type("MachineOnADesk", (Machine,), {"desk": desk, "run": staticmethod(loop.run)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=LONG_SEQUENCES if is_soak else SEQUENCES,
                stateful_step_count=LONG_STEPS if is_soak else STEPS,
                suppress_health_check=list(HealthCheck),
                deadline=None,
            ),
        )
        loop.run(manager.__aexit__(None, None, None))
        loop.run(database.close())
    finally:
        loop.close()
