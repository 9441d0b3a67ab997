"""The statements of keys walk their index among 20 000 keys: no sort, no scan of a table."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace import identity
from marketplace.database import Database
from marketplace.identity import lookups, sql
from tests.services import plans
from tests.services.clock import NEW_YEAR
from tests.services.plans import Hot

pytestmark = pytest.mark.slow

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
MEMBERS = f"""
INSERT INTO members (username, seq, created_at)
{NUMBERS.format(count=5_000)}
SELECT 'u' || n, n, {NEW_YEAR} FROM numbers
"""
KEYS = f"""
INSERT INTO api_keys (key_id, seq, username, scopes, secret_hash, created_at)
{NUMBERS.format(count=20_000)}
SELECT {{key_id}}, 10000 + n, 'u' || (1 + n % 5000), 'read trade', '{"a" * 64}', {NEW_YEAR} FROM numbers
"""
SESSIONS = f"""
INSERT INTO sessions (session_hash, key_id, opened_at, expires_at)
{NUMBERS.format(count=20_000)}
SELECT {{session_hash}}, {{key_id}}, {NEW_YEAR}, {NEW_YEAR} + n FROM numbers
"""
HEXADECIMAL = {"postgresql": "lpad(to_hex(n), 16, '0')", "sqlite": "printf('%016x', n)"}

HOT = {
    "whose key it is": Hot(("api_keys_pkey",), lambda tx: identity.find_key(tx, f"{700:016x}")),
    "keys of a batch": Hot(("api_keys_pkey",), lambda tx: sql.read_keys(tx, [f"{7:016x}", f"{9000:016x}"])),
    "members of a batch": Hot(("members_pkey",), lambda tx: sql.read_members(tx, ["u7", "u4000"])),
    "a member's keys": Hot(
        ("api_keys_by_member",), lambda tx: identity.list_keys(tx, username="u7", after=10_100, limit=2)
    ),
    "all keys": Hot(("api_keys_seq_key",), lambda tx: identity.list_keys(tx, username=None, after=15_000, limit=100)),
    "whose session it is": Hot(("sessions_pkey",), lambda tx: identity.find_session(tx, f"{700:064x}")),
    "sessions that are over": Hot(("sessions_by_expiry",), lambda tx: lookups.has_old_session(tx, now=NEW_YEAR + 1)),
    "all members": Hot(("members_seq_key",), lambda tx: identity.list_members(tx, after=2_000, limit=100)),
}


async def test_the_statements_of_keys_walk_their_index(database: Database) -> None:
    faults = await database.writer.run(fill_and_check)
    assert faults == [], "\n\n".join(faults)


def fill_and_check(tx: sa.Connection) -> list[str]:
    with tx.begin() as transaction:
        key_id = HEXADECIMAL[tx.dialect.name]
        of_sessions = SESSIONS.format(key_id=key_id, session_hash=key_id.replace("16", "64"))
        for statement in (MEMBERS, KEYS.format(key_id=key_id), of_sessions, "ANALYZE"):
            tx.exec_driver_sql(statement)
        faults = plans.check_all(tx, HOT, tables=("members", "api_keys", "sessions"), ignoring="nothing")
        transaction.rollback()
    return faults
