"""State machines before a lane: batches of commands, which share a transaction, against a simple model of the module.

A sequence has a scope of its own, so that all share one database.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test

from marketplace.database import Database, open_database

BATCH = 5


class Batches(RuleBasedStateMachine):
    """Rules of a module `add` commands. `desk` and `run` are given by `play`; `simple` is the model."""

    desk: Any
    run: Any
    simple: Any

    def begin_empty(self, simple: Any) -> None:
        """Begin a sequence with a model that knows of nothing."""
        self.simple = simple
        self.waiting: list[Any] = []

    def add(self, command: Any) -> None:
        self.waiting.append(command)

    def settle(self) -> None:
        """Run what waits in one transaction, and hold each answer against the model's."""
        batch, self.waiting = self.waiting, []
        for command, outcome in zip(batch, self.run(self.desk.together(*batch)), strict=True):
            self.simple.check(command, outcome)

    def compare(self) -> None:
        """Hold the books against the model."""
        raise NotImplementedError

    @invariant()
    def books_agree(self) -> None:
        if len(getattr(self, "waiting", ())) >= BATCH:
            self.settle()
            self.compare()

    def teardown(self) -> None:
        if hasattr(self, "waiting"):
            self.settle()
            self.compare()


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


def play(
    machine: type[Batches],
    database_url: str,
    opened: Callable[[Database], AbstractAsyncContextManager[Any]],
    *,
    sequences: int,
    steps: int,
    afterwards: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Play a machine's sequences on a desk, which `opened` opens and checks at its end."""
    loop = Loop()
    try:
        database = open_database(database_url)
        manager = opened(database)
        desk = loop.run(manager.__aenter__())
        on_a_desk = type("MachineOnADesk", (machine,), {"desk": desk, "run": staticmethod(loop.run)})
        long_enough = settings(
            max_examples=sequences,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        run_state_machine_as_test(on_a_desk, settings=long_enough)
        if afterwards is not None:
            loop.run(afterwards(desk))
        loop.run(manager.__aexit__(None, None, None))
        loop.run(database.close())
    finally:
        loop.close()
