"""Sessions: signed in by a key, good for what the key is good for, and over with it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace import identity
from marketplace.foundation.clock import DAY, HOUR, SECOND
from marketplace.foundation.errors import Unauthenticated
from marketplace.identity import Authentication, CloseSession, ForgetSessions, OpenSession, RevokeKey, Session, tables
from marketplace.identity.jobs import forget_sessions
from tests.identity.desk import Desk, Made
from tests.services import raw
from tests.services.clock import NEW_YEAR


async def signed_in(desk: Desk, made: Made, *, for_hours: int = 12) -> str:
    """Open a session and return its id."""
    session_id = identity.make_session_id()
    command = OpenSession(identity.hash_secret(session_id), made.key.key_id, NEW_YEAR + for_hours * HOUR)
    session: Session = await desk.run(command)
    assert session.key_id == made.key.key_id
    return session_id


@pytest.fixture
def seconds() -> list[float]:
    """A stopwatch that moves only when a test says so."""
    return [0.0]


@pytest.fixture
def ask(desk: Desk, seconds: list[float]) -> Authentication:
    return Authentication(desk.database, clock=desk.clock, monotonic=lambda: seconds[0])


async def test_a_session_is_the_caller_of_its_key(desk: Desk, ask: Authentication) -> None:
    made = await desk.key("read", "trade")
    assert await ask.of_session(await signed_in(desk, made)) == await ask(made.token)


async def test_a_session_ends_within_a_second_of_its_keys_revocation(
    desk: Desk, ask: Authentication, seconds: list[float]
) -> None:
    made = await desk.key()
    session_id = await signed_in(desk, made)
    await ask.of_session(session_id)
    await desk.run(RevokeKey(made.key.key_id))
    seconds[0] += 1
    with pytest.raises(Unauthenticated, match="revoked"):
        await ask.of_session(session_id)


async def test_a_closed_session_is_over_here_at_once_and_elsewhere_within_a_second(
    desk: Desk, ask: Authentication, seconds: list[float]
) -> None:
    session_id = await signed_in(desk, await desk.key())
    elsewhere = Authentication(desk.database, clock=desk.clock, monotonic=lambda: seconds[0])
    for process in (ask, elsewhere):
        await process.of_session(session_id)
    assert await desk.run(CloseSession(identity.hash_secret(session_id))) is True
    assert await desk.run(CloseSession(identity.hash_secret(session_id))) is False
    ask.forget_session(session_id)
    seconds[0] += 1
    for process in (ask, elsewhere):
        with pytest.raises(Unauthenticated):
            await process.of_session(session_id)


async def test_a_session_lasts_until_its_time_and_never_longer_than_its_key(desk: Desk, ask: Authentication) -> None:
    lasting, short = await desk.key(), await desk.key(expires_at=NEW_YEAR + HOUR)
    of_lasting, of_short = await signed_in(desk, lasting), await signed_in(desk, short)
    desk.clock.advance(3600)
    await ask.of_session(of_lasting)
    with pytest.raises(Unauthenticated):
        await ask.of_session(of_short)
    desk.clock.advance(11 * 3600)
    with pytest.raises(Unauthenticated):
        await ask.of_session(of_lasting)


async def test_no_session_is_opened_by_a_key_that_is_of_no_use(desk: Desk) -> None:
    revoked, expired = await desk.key(), await desk.key(expires_at=NEW_YEAR + SECOND)
    await desk.run(RevokeKey(revoked.key.key_id))
    desk.clock.advance(1)
    for key_id in (revoked.key.key_id, expired.key.key_id, "f" * 16):
        command = OpenSession("a" * 64, key_id, NEW_YEAR + HOUR)
        await desk.refused(command, identity.errors.UnknownKey)


@pytest.mark.parametrize("session_id", ["", "x", "0" * 63, "0" * 65, "G" * 64, "0" * 64, "٠" * 64])
async def test_what_is_no_session_is_nobody(ask: Authentication, session_id: str) -> None:
    with pytest.raises(Unauthenticated):
        await ask.of_session(session_id)


async def test_sessions_that_are_over_are_forgotten(desk: Desk) -> None:
    made = await desk.key()
    for for_hours in (1, 2, 48):
        await signed_in(desk, made, for_hours=for_hours)
    desk.clock.advance(DAY // SECOND)
    assert await desk.run(ForgetSessions(limit=1)) == 1
    assert await forget_sessions(desk.database, desk.lane) == 1
    assert await desk.database.read(lambda tx: tx.scalar(sa.select(sa.func.count(tables.sessions.c.key_id)))) == 1


async def test_of_a_session_there_is_a_hash_and_nothing_in_the_log(desk: Desk) -> None:
    made = await desk.key()
    before = (await desk.everything())["events"]
    session_id = await signed_in(desk, made)
    stored = await desk.database.read(lambda tx: list(tx.execute(sa.select(tables.sessions))))
    assert [row.session_hash for row in stored] == [identity.hash_secret(session_id)]
    assert session_id not in str(stored)
    assert (await desk.everything())["events"] == before


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("session_hash = 'x'", "sessions_session_hash_is_hexadecimal"),
        ("expires_at = opened_at", "sessions_expires_after_opened"),
    ],
)
async def test_raw_sql_cannot_break_a_session(desk: Desk, change: str, constraint: str) -> None:
    await signed_in(desk, await desk.key())
    with pytest.raises(sa.exc.IntegrityError, match=constraint):
        await raw.execute(desk.database, f"UPDATE sessions SET {change}")
