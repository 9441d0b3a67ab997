"""Raw SQL that would break the books is refused by the database, on both engines, by the name of the rule it breaks.

The books are written here by raw SQL too: no program is needed to keep them right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from marketplace.database import Database
from tests.services import raw

BIG = 10**15
ACCOUNT_COLUMNS = (
    "account_id, scope, owner, asset, kind, posted_debits, posted_credits, pending_debits, pending_credits, "
    "credit_limit, low_balance, last_transfer_id, opened_at"
)
TRANSFER_COLUMNS = (
    "transfer_id, scope, kind, debit_account, credit_account, asset, amount, hold_id, held_amount, reason, reference, "
    "seq, at, expires_at"
)
TABLES = ("assets", "accounts", "transfers", "open_holds")


def account(account_id: int, owner: str = "zoe", **other: Any) -> str:
    row = {"account_id": account_id, "scope": "default", "owner": owner, "asset": "credit", "kind": "wallet"}
    return insert("accounts", ACCOUNT_COLUMNS, row | {"opened_at": 0} | other, otherwise=0, nulls=("low_balance",))


def transfer(transfer_id: int, debit: int, credit: int, amount: int, **other: Any) -> str:
    row = {"transfer_id": transfer_id, "scope": "default", "kind": "transfer", "asset": "credit", "seq": 1, "at": 5}
    row |= {"debit_account": debit, "credit_account": credit, "amount": amount, "reason": "r"}
    nulls = ("hold_id", "held_amount", "expires_at")
    return insert("transfers", TRANSFER_COLUMNS, {"reference": f"ref-{transfer_id}"} | row | other, nulls=nulls)


def end(kind: str, hold_id: int, held: int, *, amount: int | None = None, **other: Any) -> str:
    given: dict[str, Any] = {
        "kind": kind,
        "hold_id": hold_id,
        "held_amount": held,
        "debit": 2,
        "credit": 4,
        "transfer_id": 6,
    } | other
    return transfer(
        given.pop("transfer_id"), given.pop("debit"), given.pop("credit"), held if amount is None else amount, **given
    )


def insert(table: str, columns: str, row: dict[str, Any], *, otherwise: Any = None, nulls: Sequence[str] = ()) -> str:
    values = (row.get(name, None if name in nulls else otherwise) for name in columns.split(", "))
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join('NULL' if v is None else repr(v) for v in values)})"


@pytest.fixture
async def books(database: Database) -> Database:
    """Ann got 100 and gave bob 40; of her 60 she holds 10 for the house (4, until 50) and 5 (5, for ever)."""
    await raw.execute(
        database,
        account(1, "", kind="external"),
        account(2, "ann"),
        account(3, "bob"),
        account(4, "", kind="revenue"),
        account(5, "ann", asset="hour"),
        account(6, "ann", scope="other"),
        transfer(1, 1, 2, 100),
        transfer(2, 2, 3, 40),
        transfer(3, 3, 2, 1),
        transfer(4, 2, 4, 10, kind="hold", expires_at=50),
        transfer(5, 2, 4, 5, kind="hold"),
    )
    return database


async def rows(database: Database, table: str) -> list[tuple[Any, ...]]:
    return await database.read(
        lambda tx: [tuple(row) for row in tx.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1"))]
    )


async def balances(database: Database) -> dict[int, tuple[int, ...]]:
    """Return posted debits and credits, pending debits and credits by account."""
    return {row[0]: row[5:9] for row in await rows(database, "accounts")}


async def refused(database: Database, statement: str, *, rule: str, kind: type[DBAPIError] = IntegrityError) -> None:
    before = [await rows(database, table) for table in TABLES]
    with pytest.raises(kind) as caught:
        await raw.execute(database, statement)
    assert re.search(rule, str(caught.value.orig)), statement
    assert [await rows(database, table) for table in TABLES] == before


# ── what holds by itself ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_balances_follow_transfers_by_themselves(books: Database) -> None:
    assert await balances(books) == {
        1: (100, 0, 0, 0),
        2: (40, 101, 15, 0),
        3: (1, 40, 0, 0),
        4: (0, 0, 0, 15),
        5: (0, 0, 0, 0),
        6: (0, 0, 0, 0),
    }
    assert await rows(books, "open_holds") == [(4, 2, 4, 10, 50), (5, 2, 4, 5, None)]
    await raw.execute(books, end("capture", 4, 10, amount=7), end("release", 5, 5, transfer_id=7))
    assert (await balances(books))[2] == (47, 101, 0, 0)
    assert (await balances(books))[4] == (0, 7, 0, 0)
    assert await rows(books, "open_holds") == []


async def test_many_rows_of_one_statement_are_posted_together(books: Database) -> None:
    statement = transfer(6, 2, 3, 46) + transfer(7, 3, 2, 85).partition(" VALUES ")[2].join((", ", ""))
    await raw.execute(books, statement)
    assert (await balances(books))[2] == (86, 186, 15, 0)
    assert (await balances(books))[3] == (86, 86, 0, 0)


# ── what does not ────────────────────────────────────────────────────────────────────────────────────────────────────

SAME_ON_BOTH = [
    # transfers that are not covered
    (transfer(6, 2, 3, 47), "accounts_debits_covered"),
    (transfer(6, 3, 2, 40), "accounts_debits_covered"),
    (transfer(6, 4, 2, 1), "accounts_debits_covered"),
    (transfer(6, 2, 4, 47, kind="hold"), "accounts_debits_covered"),
    # transfers that make no sense
    (transfer(6, 2, 3, 0), "transfers_amount_positive"),
    (transfer(6, 2, 3, -5), "transfers_amount_positive"),
    (transfer(6, 1, 3, BIG + 1), "transfers_amount_positive"),
    (transfer(6, 2, 2, 1), "transfers_two_accounts"),
    (transfer(6, 2, 3, 1, kind="gift"), "transfers_kind_known"),
    (transfer(6, 2, 3, 1, reason=""), "transfers_reason_length"),
    (transfer(6, 2, 3, 1, reason="x" * 65), "transfers_reason_length"),
    (transfer(6, 2, 3, 1, reference=""), "transfers_reference_length"),
    (transfer(6, 2, 3, 1, reference="x" * 301), "transfers_reference_length"),
    (transfer(6, 2, 3, 1, seq=0), "transfers_seq_positive"),
    (transfer(6, 2, 3, 1, expires_at=9), "transfers_holds_expire_later"),
    (transfer(6, 2, 3, 1, kind="hold", expires_at=5), "transfers_holds_expire_later"),
    # transfers out of order
    (transfer(7, 2, 3, 1), "transfers_without_gaps"),
    (transfer(0, 2, 3, 1), "transfers_without_gaps"),
    (transfer(-1, 2, 3, 1), "transfers_without_gaps"),
    # ends of no hold, of another one, too much, too late, too early
    (end("capture", 9, 10), "transfers_end_an_open_hold"),
    (end("capture", 2, 40, credit=3), "transfers_end_an_open_hold"),
    (end("capture", 4, 9), "transfers_end_an_open_hold"),
    (end("capture", 4, 10, credit=3), "transfers_end_an_open_hold"),
    (end("release", 4, 10, debit=3), "transfers_end_an_open_hold"),
    (end("capture", 4, 10, at=50), "transfers_end_an_open_hold"),
    (end("expiry", 4, 10, at=49), "transfers_end_an_open_hold"),
    (end("expiry", 5, 5, at=99), "transfers_end_an_open_hold"),
    (end("capture", 4, 10, amount=11), "transfers_captured_within_hold"),
    (end("release", 4, 10, amount=9), "transfers_set_free_as_a_whole"),
    (transfer(6, 2, 4, 10, kind="capture"), "transfers_ends_a_hold"),
    (end("transfer", 4, 10), "transfers_ends_a_hold"),
    (transfer(6, 2, 3, 1, held_amount=1), "transfers_held_amount_of_a_hold"),
    # balances written by hand
    ("UPDATE accounts SET posted_credits = posted_credits + 1 WHERE account_id = 3", "accounts_posted_only"),
    ("UPDATE accounts SET posted_debits = 0 WHERE account_id = 2", "accounts_posted_only"),
    ("UPDATE accounts SET pending_debits = 0 WHERE account_id = 2", "accounts_posted_only"),
    ("UPDATE accounts SET pending_credits = 1", "accounts_posted_only"),
    ("UPDATE accounts SET last_transfer_id = 5 WHERE account_id = 3", "accounts_posted_only"),
    (
        "UPDATE accounts SET last_transfer_id = 0, posted_debits = 0, posted_credits = 0 WHERE account_id = 3",
        "accounts_posted_only",
    ),
    ("UPDATE accounts SET posted_credits = 5, last_transfer_id = 9 WHERE account_id = 5", "accounts_posted_only"),
    ("UPDATE accounts SET posted_debits = -1 WHERE account_id = 2", "accounts_p"),
    (account(7, posted_credits=5), "accounts_open_empty"),
    (account(7, pending_credits=5), "accounts_open_empty"),
    (account(7, last_transfer_id=3), "accounts_open_empty"),
    # accounts that change who they are, or go
    ("UPDATE accounts SET owner = 'zoe' WHERE account_id = 2", "accounts_posted_only"),
    ("UPDATE accounts SET scope = 'x' WHERE account_id = 5", "accounts_posted_only"),
    ("UPDATE accounts SET asset = 'hour' WHERE account_id = 3", "accounts_posted_only"),
    ("UPDATE accounts SET kind = 'external' WHERE account_id = 3", "accounts_posted_only"),
    ("UPDATE accounts SET account_id = 9 WHERE account_id = 6", "accounts_posted_only"),
    ("UPDATE accounts SET opened_at = 9", "accounts_posted_only"),
    ("DELETE FROM accounts WHERE account_id = 6", "accounts are never changed or deleted"),
    # accounts that make no sense
    (account(0), "accounts_account_id_positive"),
    (account(7, ""), "accounts_owner_length"),
    (account(7, "x" * 129), "accounts_owner_length"),
    (account(7, scope=""), "accounts_scope_length"),
    (account(7, kind="purse"), "accounts_kind_known"),
    (account(7, credit_limit=-1), "accounts_credit_limit_bounded"),
    (account(7, credit_limit=BIG + 1), "accounts_credit_limit_bounded"),
    (account(7, low_balance=-1), "accounts_low_balance_bounded"),
    (account(7, "x", kind="revenue", credit_limit=1), "accounts_limits_are_of_wallets"),
    (account(7, "x", kind="escrow", low_balance=1), "accounts_limits_are_of_wallets"),
    # the past
    ("UPDATE transfers SET amount = 1 WHERE transfer_id = 2", "transfers are never changed or deleted"),
    ("UPDATE transfers SET reason = 'x'", "transfers are never changed or deleted"),
    ("DELETE FROM transfers WHERE transfer_id = 5", "transfers are never changed or deleted"),
    # holds without transfers
    ("INSERT INTO open_holds VALUES (2, 2, 3, 40, NULL)", "open_holds_posted_only"),
    ("INSERT INTO open_holds VALUES (9, 2, 3, 40, NULL)", "open_holds_posted_only"),
    ("UPDATE open_holds SET amount = 1", "open_holds_posted_only"),
    ("UPDATE open_holds SET expires_at = NULL", "open_holds_posted_only"),
    ("DELETE FROM open_holds WHERE hold_id = 4", "open_holds_posted_only"),
    # assets
    ("UPDATE assets SET decimals = 2", "assets are never changed or deleted"),
    ("DELETE FROM assets WHERE asset = 'hour'", "assets are never changed or deleted"),
    ("INSERT INTO assets VALUES ('', 2, 0)", "assets_asset_length"),
    ("INSERT INTO assets VALUES ('gram', 13, 0)", "assets_decimals_bounded"),
    ("INSERT INTO assets VALUES ('gram', -1, 0)", "assets_decimals_bounded"),
]


async def test_every_illegal_statement_is_refused_by_name(books: Database) -> None:
    for statement, rule in SAME_ON_BOTH:
        await refused(books, statement, rule=rule)


KEYS = [
    (transfer(5, 2, 3, 1), "transfers_pkey", "transfers_without_gaps"),  # a transfer twice
    (
        transfer(6, 2, 3, 1, reference="ref-2"),
        "transfers_reference_key",
        "transfers_reference_key",
    ),  # a reference twice
    (account(7, "ann"), "accounts_one_of_a_kind", "accounts_one_of_a_kind"),  # a wallet twice
    (account(2), "accounts_pkey", "accounts_one_of_a_kind"),  # an account twice
    ("INSERT INTO assets VALUES ('credit', 2, 0)", "assets_pkey", "assets_pkey"),  # an asset twice
    (account(7, asset="gold"), "accounts_asset_fkey", "FOREIGN KEY"),  # an account in nothing
    (transfer(6, 2, 9, 1), "transfers_account_fkey", "transfers_posted"),  # to nobody
    (transfer(6, 9, 2, 1), "transfers_account_fkey", "transfers_posted"),  # from nobody
    (transfer(6, 1, 5, 1), "transfers_account_fkey", "FOREIGN KEY"),  # into another asset
    (transfer(6, 1, 2, 1, asset="hour"), "transfers_account_fkey", "FOREIGN KEY"),  # as another asset
    (transfer(6, 1, 6, 1), "transfers_account_fkey", "FOREIGN KEY"),  # into another scope
    (transfer(6, 1, 2, 1, scope="other"), "transfers_account_fkey", "FOREIGN KEY"),  # as another scope
]


async def test_what_is_twice_or_not_there_is_refused(books: Database, engine: str) -> None:
    for statement, on_postgres, on_sqlite in KEYS:
        await refused(books, statement, rule=on_postgres if engine == "postgres" else on_sqlite)


async def test_a_hold_ends_exactly_once(books: Database) -> None:
    await raw.execute(books, end("capture", 4, 10, amount=7))
    for kind in ("capture", "release", "expiry"):
        await refused(
            books, end(kind, 4, 10, transfer_id=7, at=99), rule="transfers_end_an_open_hold|transfers_by_hold"
        )


async def test_two_ends_in_one_statement_are_refused(books: Database) -> None:
    both = end("capture", 4, 10) + end("release", 4, 10, transfer_id=7).partition(" VALUES ")[2].join((", ", ""))
    await refused(books, both, rule="transfers_end_an_open_hold|transfers_by_hold")


MERGE = """
MERGE INTO accounts USING (VALUES (2)) AS other (id) ON account_id = id
 WHEN MATCHED THEN UPDATE SET posted_credits = 500
"""
SWAP = """
UPDATE accounts
   SET posted_credits = CASE account_id WHEN 2 THEN 40 ELSE 101 END, posted_debits = 0, pending_debits = 0
 WHERE account_id IN (2, 3)
"""


ONLY_POSTGRES = [
    ("TRUNCATE transfers", "transfers are never changed or deleted"),
    ("TRUNCATE accounts", "accounts are never changed or deleted"),
    ("TRUNCATE assets CASCADE", "are never changed or deleted"),
    ("TRUNCATE open_holds", "open_holds_posted_only"),
    (transfer(2, 2, 3, 40) + " ON CONFLICT (transfer_id) DO UPDATE SET amount = 1", "transfers are never changed"),
    (
        account(2) + " ON CONFLICT (account_id) DO UPDATE SET posted_credits = 500",
        "accounts_posted_only",
    ),
    (MERGE, "accounts_posted_only"),
    (SWAP, "accounts_posted_only"),
]


@pytest.mark.parametrize("engine", ["postgres"])
async def test_what_only_postgres_can_say_is_refused(books: Database) -> None:
    for statement, rule in ONLY_POSTGRES:
        await refused(books, statement, rule=rule, kind=DBAPIError)


ONLY_SQLITE = [
    (transfer(6, 2, 3, 47).replace("INSERT", "INSERT OR IGNORE"), "transfers_posted"),
    (transfer(6, 2, 9, 1).replace("INSERT", "INSERT OR IGNORE"), "transfers_posted"),
    (transfer(2, 2, 3, 1).replace("INSERT", "REPLACE"), "transfers_without_gaps"),
    (transfer(6, 2, 3, 1, reference="ref-2").replace("INSERT", "REPLACE"), "transfers_reference_key"),
    (end("capture", 9, 5).replace("INSERT", "INSERT OR IGNORE"), "transfers_end_an_open_hold"),
    (account(2, "ann").replace("INSERT", "REPLACE"), "accounts_one_of_a_kind"),
    (account(7, "ann").replace("INSERT", "REPLACE"), "accounts_one_of_a_kind"),
    (account(7, posted_credits=5).replace("INSERT", "INSERT OR IGNORE"), "accounts_open_empty"),
    ("UPDATE OR REPLACE accounts SET account_id = 3 WHERE account_id = 2", "accounts_posted_only"),
    ("UPDATE OR IGNORE accounts SET posted_credits = 500", "accounts_posted_only"),
    ("REPLACE INTO open_holds VALUES (4, 2, 4, 10, 50)", "open_holds_posted_only"),
    ("REPLACE INTO open_holds VALUES (4, 2, 4, 9, 50)", "open_holds_posted_only"),
    ("REPLACE INTO assets VALUES ('credit', 2, 0)", "assets_pkey"),
]


@pytest.mark.parametrize("engine", ["sqlite"])
async def test_what_only_sqlite_can_say_is_refused(books: Database) -> None:
    for statement, rule in ONLY_SQLITE:
        await refused(books, statement, rule=rule)


async def test_a_limit_lets_a_wallet_go_below_zero_and_is_not_taken_away_then(books: Database) -> None:
    await raw.execute(books, "UPDATE accounts SET credit_limit = 10 WHERE account_id = 3", transfer(6, 3, 2, 49))
    await refused(books, transfer(7, 3, 2, 1), rule="accounts_debits_covered")
    await refused(books, "UPDATE accounts SET credit_limit = 9 WHERE account_id = 3", rule="accounts_debits_covered")


def test_at_least_forty_illegal_statements_are_tried() -> None:
    assert len({re.sub(r"\s+", " ", statement) for statement, _ in SAME_ON_BOTH}) == len(SAME_ON_BOTH) >= 40
