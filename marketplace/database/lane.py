"""The lane: the only place that begins, commits and runs again.

Serializable transactions that run beside each other on the same hot tables abort each other about once a commit. So
the tables of a lane have one writer at a time, and requests that wait together commit together:

    1. BEGIN, then the lane's lock, then the batch is cut: what arrived meanwhile goes along, in arrival order.
    2. Each module's `apply(tx, log, commands, now=…)` reads once for all, decides each in memory, writes once for all.
    3. The lane writes the log, the answers to remember and its own row in `commits`, and commits.
    4. Everybody is told. Nobody is told anything before.

`Busy` means that nothing happened. An error in COMMIT whose outcome the driver cannot know is settled by looking for
the transaction's own row, under the lane's lock: an old transaction that still runs holds that lock.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa
import structlog

from marketplace.database import failures, idempotency, log, upkeep
from marketplace.database.engine import Database
from marketplace.database.failures import Cause
from marketplace.database.meters import LaneMeters
from marketplace.database.waiting import Answer, Encode, Entry, Key, Limits, Telling, Waiting
from marketplace.foundation import clock as clocks
from marketplace.foundation import errors, ids
from marketplace.foundation.clock import Instant

MAX_ATTEMPTS = 5
RETRY_SECONDS = 2.0
SETTLE_SECONDS = 5.0
TOLD_AT_ONCE = 4
TRANSACTION_SECONDS = 60.0
"""For everything before COMMIT, which alone may take as long as it takes."""

logger = structlog.get_logger(__name__)


class Apply(Protocol):
    """What a module gives to its lane: outcomes of the same length and order as the commands.

    A refusal is an outcome, decided before the first write. Only a command that is `alone` may raise `Abandon` later.
    """

    def __call__(
        self, tx: sa.Connection, log: log.Log, commands: Sequence[Any], /, *, now: Instant
    ) -> Sequence[Any]: ...


class Abandon(Exception):
    """Raised by `apply` for a command that runs alone: undo all its writes, and refuse it."""

    def __init__(self, refusal: errors.Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


class Lane:
    """One lane in this process. Other processes may have the same one: the database's lock is between them."""

    def __init__(
        self,
        name: str,
        database: Database,
        handlers: Mapping[type, Apply],
        *,
        limits: Limits | None = None,
        clock: Callable[[], Instant] = clocks.now,
    ) -> None:
        self.name = name
        self._database = database
        self._handlers: dict[type, Apply] = {upkeep.Forget: upkeep.apply, upkeep.Cut: upkeep.cut, **handlers}
        self._clock = clock
        self._meters = LaneMeters(name)
        works_beside = database.writer.works_beside
        self._waiting = Waiting(limits or Limits(), self._meters, divides=works_beside)
        self._telling = Telling(TOLD_AT_ONCE if works_beside else sys.maxsize)
        self._writer: asyncio.Task[None] | None = None
        self._is_closing = False
        self._planned_seq = 0
        self._kept: tuple[int, dict[str, dict[Any, Any]]] = (0, {})
        self._listeners: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Begin to serve, in a task of our own that no request can cancel."""
        self._writer = asyncio.create_task(self._write(), name=f"lane {self.name}")

    async def drain(self) -> None:
        """Accept nothing more, answer everything accepted, and stop."""
        self._is_closing = True
        self._waiting.wake()
        if self._writer:
            await self._writer
        self._telling.finish()

    async def run(self, command: Any) -> Any:
        """Run one command and return its outcome. Raises its refusal, Busy, OutcomeUnknown or Broken."""
        return await self._enter(Entry(command, key=None, encode=None))

    async def answer(self, command: Any, *, key: Key, encode: Encode) -> Answer:
        """Run one command once for all copies of a request, and return what the first one is told, byte for byte.

        `encode` makes the bytes from the outcome or the refusal. Raises what may end otherwise on another try.
        """
        answer: Answer = await self._enter(Entry(command, key=key, encode=encode))
        return answer

    def notify(self, listener: Callable[[], object]) -> None:
        """Call `listener` after each commit of this process: it must be quick, and tell others to look."""
        self._listeners.append(listener)

    @property
    def waiting_orders(self) -> int:
        return self._waiting.orders

    def oldest_waiting_seconds(self) -> float:
        return self._waiting.oldest_seconds()

    async def _enter(self, entry: Entry) -> Any:
        if self._is_closing:
            raise errors.Busy("The server is shutting down; nothing happened, try again in a second.")
        self._waiting.add(entry)
        result = await entry.future
        if isinstance(result, errors.Refusal):
            raise result
        return result

    # ── the writer ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _write(self) -> None:
        for failures_in_a_row in itertools.count():
            batch = _Batch()
            try:
                while not (self._is_closing and not self._waiting):
                    await self._waiting.arrival()
                    batch = _Batch()
                    if self._waiting:
                        await self._carry_through(batch)
                return
            except Exception:
                logger.exception("lane_writer_failed", lane=self.name)
                self._meters.restarts.inc()
                batch.resolve(lambda: errors.Broken("Something broke on our side; nothing was written."))
                await asyncio.sleep(min(0.05 * 2 ** min(failures_in_a_row, 5), 1.0))

    async def _carry_through(self, batch: _Batch) -> None:
        """Run one batch until it is committed or nothing of it can be, and tell everybody."""
        for attempt in itertools.count(1):
            try:
                await self._attempt(batch)
            except Abandon as abandon:
                batch.abandon(abandon.refusal)
                if not batch.entries:
                    return
            except Exception as error:  # noqa: BLE001 (what it means is for `failures` to say)
                if not await self._recover(batch, error, attempt):
                    return
            else:
                self._tell(batch)
                return

    async def _recover(self, batch: _Batch, error: Exception, attempt: int) -> bool:
        """Do what the cause of a failure asks for, and say whether the batch is to run again."""
        if batch.is_committing and not failures.is_certain_abort(error):
            was_committed = await self._was_committed(batch)
            if was_committed is not False:
                self._tell(batch) if was_committed else self._tell_unknown(batch)
                return False
            cause = Cause.LOST
        else:
            cause = failures.cause_of(error)
        if cause is Cause.BUG:
            await self._isolate(batch, error)
            return False
        self._meters.retried(cause.value)
        if self._gives_up(batch, cause):
            self._tell_busy(batch, cause)
            return False
        await asyncio.sleep(_pause_seconds(cause, attempt))
        return True

    def _gives_up(self, batch: _Batch, cause: Cause) -> bool:
        if not batch.entries:  # nothing was cut: whoever waits is refused by the clock, if it comes to that
            return not self._waiting
        has_tried_enough = batch.attempts >= MAX_ATTEMPTS or batch.seconds() > RETRY_SECONDS
        return cause is Cause.UNAVAILABLE or has_tried_enough

    async def _isolate(self, batch: _Batch, error: Exception) -> None:
        """Halve a batch that met a bug until the request that meets it is alone; the others are served in order."""
        if not batch.entries:
            raise error
        if len(batch.entries) == 1:
            logger.error(
                "poisonous_request", lane=self.name, command=type(batch.entries[0].command).__name__, exc_info=error
            )
            self._meters.poisonous.inc()
            batch.resolve(lambda: errors.Broken("This request met a bug of ours; nothing of it was written."))
            return
        middle = len(batch.entries) // 2
        for part in (batch.entries[:middle], batch.entries[middle:]):
            await self._carry_through(_Batch(part))

    # ── one transaction ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _attempt(self, batch: _Batch) -> None:
        batch.is_committing = False
        # A thread cannot be interrupted, and on SQLite there is nobody who could fail to answer.
        async with asyncio.timeout(TRANSACTION_SECONDS if self._database.is_postgres else None) as limit:
            await self._database.writer.run(lambda tx: self._transact(tx, batch, limit))

    def _transact(self, tx: sa.Connection, batch: _Batch, limit: asyncio.Timeout) -> None:
        with self._database.writer.turn(tx, self.name) as transaction:
            if not batch.entries:
                self._database.writer.on_loop(lambda: batch.cut(self._waiting))
            if not batch.entries:
                transaction.rollback()
                return
            batch.begin_attempt()
            head = log.read_head(tx, self.name)
            self._plan_anew(tx, head.last_seq)
            book = log.Log(
                self.name, last_seq=head.last_seq, at=max(self._clock(), head.at), kept=self._take_kept(head.last_seq)
            )
            answers = self._decide(tx, book, batch)
            if not (book.count or answers or book.is_dirty):
                transaction.rollback()
                return
            batch.token, batch.last_seq = ids.new_token(), book.last_seq
            book.finish(tx, token=batch.token, answers=answers)
            limit.reschedule(None)
            batch.is_committing = True
            transaction.commit()
            self._kept = book.last_seq, book.take_kept()

    def _take_kept(self, last_seq: int) -> dict[str, dict[Any, Any]]:
        """Return what modules kept in mind, unless somebody else has written; it stays only if this ends in COMMIT."""
        (seq, kept), self._kept = self._kept, (0, {})
        return kept if seq == last_seq else {}

    def _plan_anew(self, tx: sa.Connection, last_seq: int) -> None:
        """Let Postgres forget its plans each time that the log has grown fourfold.

        A plan made for an empty table reads all of it, and a young table outgrows its statistics within seconds.
        """
        if self._database.is_postgres and last_seq > 4 * self._planned_seq + 64:
            tx.exec_driver_sql("DISCARD PLANS")
            self._planned_seq = last_seq

    def _decide(self, tx: sa.Connection, book: log.Log, batch: _Batch) -> Sequence[log.Answered]:
        copies = idempotency.Copies(tx, self.name, batch.entries)
        outcomes: list[Any] = []
        for apply, run in itertools.groupby(copies.fresh, key=self._handler):
            entries = list(run)
            book.flush(tx)
            if apply is None:
                outcomes += [entry.abandoned for entry in entries]
            else:
                outcomes += apply(tx, book, [entry.command for entry in entries], now=book.at)
        # Told before the COMMIT: with an outcome too few, somebody would be told another one's.
        assert len(outcomes) == len(copies.fresh), "a module owes one outcome a command"
        batch.results, answers = copies.results(outcomes, at=book.at)
        return answers

    def _handler(self, entry: Entry) -> Apply | None:
        return None if entry.abandoned else self._handlers[type(entry.command)]

    async def _was_committed(self, batch: _Batch) -> bool | None:
        """Look for the batch's own row in a new connection, under the lock; None where 5 s did not suffice."""
        deadline = time.monotonic() + SETTLE_SECONDS
        for attempt in itertools.count(1):
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    return await self._database.writer.run(lambda tx: self._has_commit(tx, batch))
            except Exception as error:
                if time.monotonic() >= deadline:
                    logger.warning("commit_unsettled", lane=self.name, exc_info=error)
                    return None
                await asyncio.sleep(min(_pause_seconds(Cause.LOST, attempt), max(deadline - time.monotonic(), 0)))
        raise AssertionError("unreachable")

    def _has_commit(self, tx: sa.Connection, batch: _Batch) -> bool:
        with self._database.writer.turn(tx, self.name) as transaction:
            found = log.has_commit(tx, self.name, last_seq=batch.last_seq, token=batch.token)
            transaction.rollback()  # whoever looks has nothing to commit, where COMMIT may just be what fails
            return found

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell(self, batch: _Batch) -> None:
        if not batch.entries:
            return
        told, batch.entries = batch.entries, []  # whatever comes now, they are told this and nothing else
        self._telling.add(told, batch.results)
        for listener in self._listeners:
            listener()
        orders = sum(entry.orders for entry in told)
        self._meters.orders.inc(orders)
        self._meters.batch_orders.observe(orders)
        self._meters.wait_seconds.observe(batch.cut_at - told[0].arrived)
        self._meters.commit_seconds.observe(batch.seconds())

    def _tell_busy(self, batch: _Batch, cause: Cause) -> None:
        self._meters.busy(cause.value, len(batch.entries))
        batch.resolve(
            lambda: errors.Busy("The database is not available right now; nothing happened, try again in a second.")
        )

    def _tell_unknown(self, batch: _Batch) -> None:
        batch.resolve(
            lambda: errors.OutcomeUnknown(
                "The database went away during the commit. Send the request again with the same Idempotency-Key, "
                "or look whether it took effect."
            )
        )
        self._meters.undecided.inc(len(batch.entries))


class _Batch:
    """Requests that share a transaction, and what is known of it."""

    def __init__(self, entries: list[Entry] | None = None) -> None:
        self.entries = entries or []
        self.results: list[Any] = []
        self.cut_at = time.monotonic()
        self.attempts = 0
        self.is_committing = False
        self.token = ""
        self.last_seq = 0

    def cut(self, waiting: Waiting) -> None:
        self.entries = waiting.cut()
        self.cut_at = time.monotonic()

    def begin_attempt(self) -> None:
        """Count it: a server that cannot be reached, or a lock not had, is none."""
        self.attempts += 1
        for entry in self.entries:
            entry.attempts += 1

    def seconds(self) -> float:
        """Return how long ago it was cut."""
        return time.monotonic() - self.cut_at

    def resolve(self, refusal: Callable[[], errors.Refusal]) -> None:
        for entry in self.entries:
            entry.resolve(refusal())

    def abandon(self, refusal: errors.Refusal) -> None:
        """Refuse the one request that ran alone; with a key it goes once more, only to be remembered."""
        (entry,) = self.entries
        if entry.key and refusal.storable:
            entry.abandoned = refusal
        else:
            entry.resolve(refusal)
            self.entries = []


def _pause_seconds(cause: Cause, attempt: int) -> float:
    """A collision may go on at once; a lost server gets a little longer each time."""
    base = 0.001 if cause is Cause.COLLISION else 0.02
    return min(base * 2.0 ** min(attempt, 10), 0.5) * random.uniform(0.5, 1.0)  # noqa: S311 (spreads, hides nothing)
