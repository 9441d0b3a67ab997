"""Whatever error the server raises, at any statement or at COMMIT: one effect and a true answer, or a clean Busy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace.database import Database, Lane, writer
from marketplace.database.waiting import Entry, Waiting
from marketplace.foundation import errors
from tests.database.counters import Add, Books, NotEnough, Take
from tests.database.lanes import PATIENCE_SECONDS, Lanes, ask, insist, outcomes, pile_up, until
from tests.services import raw

KILL = "SELECT pg_terminate_backend(pg_backend_pid())"
COLLISIONS = ["40001", "40P01"]
TIMEOUTS = ["55P03", "57014"]
DEATH = "death"
CAUSES = [*COLLISIONS, *TIMEOUTS, DEATH]

ALWAYS = 10_000


def failing_statement(cause: str) -> str:
    return KILL if cause == DEATH else f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{cause}'; END $$"


class Faults:
    """Puts a failing statement in the place of the `at`th of a transaction, for `times` transactions."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.times, self.statement = 0, 0, ""
        self.statements: list[str] = []
        """Those of the last transaction, from its BEGIN to the last before its end."""
        sa.event.listen(database.writer.sync_engine, "before_cursor_execute", self._replace, retval=True)
        send = writer.PostgresTransaction.send

        def send_or_fail(transaction: writer.PostgresTransaction, statements: str) -> None:
            if statements.startswith("BEGIN"):
                self.statements = []
                statements = self._next(statements)
            send(transaction, statements)

        monkeypatch.setattr(writer.PostgresTransaction, "send", send_or_fail)

    def arm(self, cause: str, *, at: int, times: int) -> None:
        self.at, self.times, self.statement = at, times, failing_statement(cause)

    def _replace(
        self, _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        chosen = self._next(statement)
        return chosen, parameters if chosen == statement else ()

    def _next(self, statement: str) -> str:
        place = len(self.statements)
        self.statements.append(statement)
        if not self.times or place != self.at:
            return statement
        self.times -= 1
        return self.statement


@pytest.fixture
def faults(database: Database, lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(database, monkeypatch)


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Entry]]:
    """Every request that comes before a lane, which counts its attempts."""
    seen: list[Entry] = []
    add = Waiting.add

    def watch(self: Waiting, entry: Entry) -> None:
        seen.append(entry)
        add(self, entry)

    monkeypatch.setattr(Waiting, "add", watch)
    yield seen
    assert max(entry.attempts for entry in seen) <= 5


async def fail_in_commit(database: Database, cause: str, *, times: int) -> None:
    """Let the next COMMITs that have an effect fail; a sequence counts them, since it is not rolled back."""
    statements = [
        "CREATE SEQUENCE failed",
        f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $f$
            BEGIN
              IF nextval('failed') <= {times} THEN EXECUTE $s${failing_statement(cause)}$s$; END IF;
              RETURN NULL;
            END $f$""",
        """CREATE CONSTRAINT TRIGGER fail_in_commit AFTER INSERT ON effects
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()""",
    ]
    await raw.execute(database, *statements)


async def count_statements(lane: Lane, faults: Faults) -> int:
    """Run a request with a key through a lane that knows the way, and return how many statements that took."""
    for number in range(3):
        await ask(lane, Add(0), f"warm {number}")
    return len(faults.statements)


# ── at each statement ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cause", [*COLLISIONS, DEATH])
async def test_a_passing_error_at_any_statement_ends_in_exactly_one_effect(
    cause: str, lanes: Lanes, books: Books, faults: Faults, entries: list[Entry]
) -> None:
    lane = await lanes.start()
    amounts = [0, 0, 0]
    for at in range(await count_statements(lane, faults)):
        async with lanes.held():
            tasks = await pile_up(lane, [Add(at), Take(10_000), Add(at)])
            tasks.append(asyncio.create_task(ask(lane, Add(at), f"key {at}")))
            await until(lambda: lane.waiting_orders == 4)
            # The one before the pile waits for its lock already, so its first statement is behind it.
            faults.arm(cause, at=at, times=1)
            if at == 0:
                await interrupt_waiting_writer(lanes.database)
        told = await outcomes(tasks)
        assert isinstance(told[1], NotEnough)
        assert (told[3].status, told[3].replayed) == (200, False)
        amounts += [at] * 3
        assert await books.amounts() == amounts, f"after {cause} at statement {at}"
        assert (faults.times, len({entry.attempts for entry in entries[-4:]})) == (0, 1)
    await books.check()


async def interrupt_waiting_writer(database: Database) -> None:
    """Let the writer, which waits for the lane's lock, try again: it meets what is armed for its first statement."""
    statement = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'marketplace writer' AND wait_event_type = 'Lock'"
    )
    async with database.snapshots.connect() as connection:
        await connection.exec_driver_sql(statement)


@pytest.mark.parametrize("cause", TIMEOUTS)
async def test_a_timeout_at_any_statement_ends_in_a_clean_busy(
    cause: str, lanes: Lanes, books: Books, faults: Faults, entries: list[Entry]
) -> None:
    # The first statement is the wait for the lane: nobody was cut yet, so it simply waits again.
    lane = await lanes.start()
    count = await count_statements(lane, faults)
    for at in range(1, count):
        faults.arm(cause, at=at, times=1)
        with pytest.raises(errors.Busy):
            await ask(lane, Add(at), "key")
        assert (faults.times, entries[-1].attempts) == (0, 1)
    faults.arm(cause, at=0, times=1)
    assert not (await ask(lane, Add(7), "key")).replayed
    assert await books.amounts() == [0, 0, 0, 7]
    await books.check()


@pytest.mark.parametrize("cause", [*COLLISIONS, DEATH])
async def test_an_error_that_stays_ends_in_a_clean_busy_after_five_attempts(
    cause: str, lanes: Lanes, books: Books, faults: Faults, entries: list[Entry]
) -> None:
    lane = await lanes.start()
    count = await count_statements(lane, faults)
    for at in range(1, count):
        faults.arm(cause, at=at, times=ALWAYS)
        with pytest.raises(errors.Busy):
            await ask(lane, Add(at), "key")
        assert (entries[-1].attempts, ALWAYS - faults.times) == (5, 5)
    faults.arm(cause, at=0, times=0)
    assert (await lane.run(Add(7))).seq == 4
    assert await books.amounts() == [0, 0, 0, 7]


@pytest.mark.parametrize("cause", CAUSES)
async def test_a_lane_whose_lock_cannot_be_had_ends_in_a_clean_busy(
    cause: str, lanes: Lanes, books: Books, faults: Faults, entries: list[Entry]
) -> None:
    lane = await lanes.start(max_waiting_seconds=1.0)
    faults.arm(cause, at=0, times=ALWAYS)
    with pytest.raises(errors.Busy):
        await lane.run(Add(1))
    assert entries[-1].attempts == 0
    faults.arm(cause, at=0, times=0)
    assert (await insist(lambda: lane.run(Add(7)))).seq == 1
    assert await books.amounts() == [7]


async def test_waiting_long_for_the_lock_spends_no_attempt(lanes: Lanes, books: Books, faults: Faults) -> None:
    # The lane was out of reach for a while; the first collision afterwards is a first one.
    lane = await lanes.start(max_waiting_seconds=PATIENCE_SECONDS)
    faults.arm("55P03", at=0, times=8)
    task = asyncio.create_task(lane.run(Add(1)))
    await until(lambda: faults.times == 0)
    faults.arm("40001", at=1, times=1)
    assert (await asyncio.wait_for(task, PATIENCE_SECONDS)).seq == 1
    assert await books.amounts() == [1]


# ── at COMMIT ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("times", [1, 4])
async def test_a_passing_error_in_commit_ends_in_exactly_one_effect(
    cause: str, times: int, lanes: Lanes, books: Books, entries: list[Entry]
) -> None:
    lane = await lanes.start()
    await fail_in_commit(lanes.database, cause, times=times)
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Take(10_000)])
        tasks.append(asyncio.create_task(ask(lane, Add(2), "key")))
        await until(lambda: lane.waiting_orders == 3)
    told = await outcomes(tasks)
    assert (told[0].seq, type(told[1]), told[2].status) == (1, NotEnough, 200)
    assert (await ask(lane, Add(2), "key")).replayed
    assert await books.amounts() == [1, 2]
    assert entries[0].attempts == times + 1
    await books.check()


@pytest.mark.parametrize("cause", CAUSES)
async def test_an_error_in_commit_that_stays_ends_in_a_clean_busy_after_five_attempts(
    cause: str, lanes: Lanes, books: Books, entries: list[Entry]
) -> None:
    lane = await lanes.start()
    await fail_in_commit(lanes.database, cause, times=5)
    with pytest.raises(errors.Busy):
        await ask(lane, Add(1), "key")
    assert entries[0].attempts == 5
    assert await books.amounts() == []
    assert not (await ask(lane, Add(1), "key")).replayed
    assert await books.amounts() == [1]


async def test_a_bug_found_in_commit_is_answered_to_its_request_alone(lanes: Lanes, books: Books) -> None:
    lane = await lanes.start()
    await raw.execute(
        lanes.database,
        """CREATE FUNCTION check_note() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN
             IF NEW.note = 'bad' THEN RAISE EXCEPTION USING ERRCODE = '23514'; END IF;
             RETURN NULL;
           END $$""",
        """CREATE CONSTRAINT TRIGGER good_notes AFTER INSERT ON effects
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_note()""",
    )
    async with lanes.held():
        tasks = await pile_up(lane, [Add(1), Add(2, note="bad"), Add(3), Add(4)])
    told = await outcomes(tasks)
    assert [isinstance(each, errors.Broken) for each in told] == [False, True, False, False]
    assert await books.amounts() == [1, 3, 4]
