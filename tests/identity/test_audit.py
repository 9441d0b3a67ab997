"""The audit finds what raw SQL may do to members and keys, and the database refuses the rest."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from marketplace.identity import RevokeKey
from tests.identity.desk import Desk

HASH = "a" * 64
COLUMNS = "key_id, seq, username, scopes, secret_hash, created_at"


def key_row(key_id: str = "f" * 16, *, seq: int = 9, username: str = "ann", scopes: str = "read") -> str:
    return f"INSERT INTO api_keys ({COLUMNS}) VALUES ('{key_id}', {seq}, '{username}', '{scopes}', '{HASH}', 1)"


async def test_an_honest_day_leaves_nothing_to_find(desk: Desk) -> None:
    made = await desk.key(label="bot")
    await desk.key(username="bob")
    await desk.run(RevokeKey(made.key.key_id))
    assert await desk.audit() == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE api_keys SET revoked_at = NULL", "api_keys: the row"),
        ("UPDATE api_keys SET scopes = 'admin'", "api_keys: the row"),
        ("UPDATE api_keys SET username = 'bob'", "api_keys: the row"),
        ("DELETE FROM api_keys", "api_keys: 1 rows that the log gives are missing"),
        (key_row(), "api_keys: the row"),
        ("INSERT INTO members (username, seq, created_at) VALUES ('eve', 9, 1)", "members: the row"),
        ("UPDATE events SET data = '{}' WHERE seq = 1", "the replay stops at seq 1"),
        ("DELETE FROM events WHERE seq = 1", "the replay stops at seq 2"),
    ],
)
async def test_what_the_log_does_not_tell_is_found(desk: Desk, statement: str, fault: str) -> None:
    made = await desk.key()
    await desk.member("bob")
    await desk.run(RevokeKey(made.key.key_id))
    await desk.tamper(statement)
    faults = await desk.audit()
    assert len(faults) == 1
    assert fault in faults[0]


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE api_keys SET key_id = 'short'", "api_keys_key_id_is_hexadecimal"),
        (f"UPDATE api_keys SET key_id = '{'G' * 16}'", "api_keys_key_id_is_hexadecimal"),
        (f"UPDATE api_keys SET secret_hash = '{HASH[1:]}'", "api_keys_secret_hash_is_hexadecimal"),
        ("UPDATE api_keys SET secret_hash = ''", "api_keys_secret_hash_is_hexadecimal"),
        ("UPDATE api_keys SET label = ''", "api_keys_label_length"),
        ("UPDATE api_keys SET scopes = ''", "api_keys_scopes_known_and_in_order"),
        ("UPDATE api_keys SET scopes = 'root'", "api_keys_scopes_known_and_in_order"),
        ("UPDATE api_keys SET scopes = 'trade read'", "api_keys_scopes_known_and_in_order"),
        ("UPDATE api_keys SET scopes = 'read read'", "api_keys_scopes_known_and_in_order"),
        ("UPDATE api_keys SET expires_at = created_at", "api_keys_expires_after_created"),
        ("UPDATE api_keys SET revoked_at = created_at - 1", "api_keys_revoked_after_created"),
        ("UPDATE api_keys SET last_used_at = created_at - 1", "api_keys_used_after_created"),
        ("UPDATE members SET username = ''", "members_username_length"),
        (f"INSERT INTO members (username, seq, created_at) VALUES ('{'x' * 129}', 9, 1)", "members_username_length"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused_by_name(desk: Desk, statement: str, constraint: str) -> None:
    await desk.key()
    with pytest.raises(IntegrityError, match=rf"\b{constraint}\b"):
        await desk.tamper(statement)


@pytest.mark.parametrize(
    ("statement", "on_postgres", "on_sqlite"),
    [
        (key_row(username="nobody"), "api_keys_username_fkey", "FOREIGN KEY constraint failed"),
        (key_row(seq=2), "api_keys_seq_key", "api_keys.seq"),
        ("INSERT INTO members (username, seq, created_at) VALUES ('ann', 9, 1)", "members_pkey", "members.username"),
        ("INSERT INTO members (username, seq, created_at) VALUES ('bob', 1, 1)", "members_seq_key", "members.seq"),
        ("DELETE FROM members", "api_keys_username_fkey", "FOREIGN KEY constraint failed"),
    ],
)
async def test_keys_and_members_hang_together(
    desk: Desk, engine: str, statement: str, on_postgres: str, on_sqlite: str
) -> None:
    await desk.key()
    with pytest.raises(IntegrityError, match=on_postgres if engine == "postgres" else on_sqlite):
        await desk.tamper(statement)
