"""The data dictionary of the ledger. Only the lane `money` writes these tables.

Amounts are integers of an asset's smallest unit (a micro-credit, an hour). Instants (`*_at`, `at`) are microseconds
since 1970-01-01T00:00:00Z. Programs add accounts and transfers, and change limits; balances and the rows of
`open_holds` are written by triggers of `transfers` and by nobody else, so that no statement can break the books.
"""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.database.metadata import BY_TRIGGER, metadata
from marketplace.ledger.model import MAX_AMOUNT, MAX_DECIMALS

MAX_TOTAL = 45 * 10**17
"""What no total of an account may pass, so that the sum of two fits 63 bits."""

TOTALS = ("posted_debits", "posted_credits", "pending_debits", "pending_credits")

assets = sa.Table(
    "assets",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True, comment="its name, as credit"),
    sa.Column("decimals", sa.SmallInteger, nullable=False, comment="digits after the point: 10^-decimals is a unit"),
    sa.Column("added_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("length(asset) BETWEEN 1 AND 64", name="asset_length"),
    sa.CheckConstraint(f"decimals BETWEEN 0 AND {MAX_DECIMALS}", name="decimals_bounded"),
    comment="what accounts are kept in; rows are only ever added. `credit` and `hour` are there from the start",
    sqlite_with_rowid=False,
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="from 1, as they are opened"),
    sa.Column("scope", sa.Text, nullable=False, comment="a set of books of its own; no transfer leads out of it"),
    sa.Column("owner", sa.Text, nullable=False, comment="a wallet's member; else what a module calls it, or nothing"),
    sa.Column("asset", sa.Text, sa.ForeignKey("assets.asset"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False, comment="wallet, escrow, revenue, or external: the world outside"),
    sa.Column("posted_debits", sa.BigInteger, nullable=False, comment="sum of what went out"),
    sa.Column("posted_credits", sa.BigInteger, nullable=False, comment="sum of what came in"),
    sa.Column("pending_debits", sa.BigInteger, nullable=False, comment="held: sum of the open holds on it"),
    sa.Column("pending_credits", sa.BigInteger, nullable=False, comment="sum of the open holds that would come to it"),
    sa.Column("credit_limit", sa.BigInteger, nullable=False, comment="how far below zero it may go; 0: prepaid"),
    sa.Column("low_balance", sa.BigInteger, nullable=True, comment="tell when less is available; null: never"),
    sa.Column("last_transfer_id", sa.BigInteger, nullable=False, comment="the last one in the balances; 0: none"),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("account_id >= 1", name="account_id_positive"),
    sa.CheckConstraint("length(scope) BETWEEN 1 AND 64", name="scope_length"),
    sa.CheckConstraint("length(owner) <= 128 AND (kind <> 'wallet' OR owner <> '')", name="owner_length"),
    sa.CheckConstraint("kind IN ('wallet', 'escrow', 'revenue', 'external')", name="kind_known"),
    *(sa.CheckConstraint(f"{total} BETWEEN 0 AND {MAX_TOTAL}", name=f"{total}_bounded") for total in TOTALS),
    sa.CheckConstraint(f"credit_limit BETWEEN 0 AND {MAX_AMOUNT}", name="credit_limit_bounded"),
    sa.CheckConstraint(f"low_balance BETWEEN 0 AND {MAX_AMOUNT}", name="low_balance_bounded"),
    sa.CheckConstraint("kind = 'wallet' OR (credit_limit = 0 AND low_balance IS NULL)", name="limits_are_of_wallets"),
    sa.CheckConstraint(
        "kind = 'external' OR pending_debits + posted_debits <= posted_credits + credit_limit", name="debits_covered"
    ),
    sa.UniqueConstraint("scope", "owner", "asset", "kind", name="accounts_one_of_a_kind"),
    # What a transfer refers to, so that both of its accounts are of its scope and asset.
    sa.UniqueConstraint("account_id", "scope", "asset", name="accounts_scope_asset_key"),
    comment="who has what; balance = posted_credits - posted_debits, available = balance - pending_debits + limit",
    sqlite_with_rowid=False,
)

transfers = sa.Table(
    "transfers",
    metadata,
    sa.Column("transfer_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="from 1, without gaps"),
    sa.Column("scope", sa.Text, nullable=False, comment="that of both accounts"),
    sa.Column("kind", sa.Text, nullable=False, comment="transfer, hold, or a hold's end: capture, release, expiry"),
    sa.Column("debit_account", sa.BigInteger, nullable=False, comment="where it comes from"),
    sa.Column("credit_account", sa.BigInteger, nullable=False, comment="where it goes"),
    sa.Column("asset", sa.Text, nullable=False, comment="that of both accounts"),
    sa.Column("amount", sa.BigInteger, nullable=False, comment="moved, held, captured of the hold, or set free"),
    sa.Column("hold_id", sa.BigInteger, nullable=True, comment="transfer_id of the hold that it ends; else null"),
    sa.Column("held_amount", sa.BigInteger, nullable=True, comment="that hold's amount; null where it ends none"),
    sa.Column("reason", sa.Text, nullable=False, comment="what for, in a word or a few"),
    sa.Column("reference", sa.Text, nullable=False, comment="made up by who asked: the same one is carried out once"),
    sa.Column("seq", sa.BigInteger, nullable=False, comment="of the entry in the lane's log that caused it"),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=True, comment="a hold ends then by itself; null: never"),
    sa.CheckConstraint("kind IN ('transfer', 'hold', 'capture', 'release', 'expiry')", name="kind_known"),
    sa.CheckConstraint("debit_account <> credit_account", name="two_accounts"),
    sa.CheckConstraint(f"amount BETWEEN 1 AND {MAX_AMOUNT}", name="amount_positive"),
    sa.CheckConstraint("(kind IN ('capture', 'release', 'expiry')) = (hold_id IS NOT NULL)", name="ends_a_hold"),
    sa.CheckConstraint("(hold_id IS NULL) = (held_amount IS NULL)", name="held_amount_of_a_hold"),
    sa.CheckConstraint("amount <= held_amount", name="captured_within_hold"),
    sa.CheckConstraint("kind = 'capture' OR amount = held_amount", name="set_free_as_a_whole"),
    sa.CheckConstraint("expires_at IS NULL OR (kind = 'hold' AND expires_at > at)", name="holds_expire_later"),
    sa.CheckConstraint("length(reason) BETWEEN 1 AND 64", name="reason_length"),
    sa.CheckConstraint("length(reference) BETWEEN 1 AND 300", name="reference_length"),
    sa.CheckConstraint("seq >= 1", name="seq_positive"),
    # On Postgres the trigger that posts them holds these two for all rows of a statement at once; see 0007.
    *(
        sa.ForeignKeyConstraint(
            [f"{side}_account", "scope", "asset"],
            ["accounts.account_id", "accounts.scope", "accounts.asset"],
            name=f"transfers_{side}_account_fkey",
            info=BY_TRIGGER,
        )
        for side in ("debit", "credit")
    ),
    sa.UniqueConstraint("scope", "reference", name="transfers_reference_key"),
    # Ended once, whoever writes.
    sa.Index(
        "transfers_by_hold",
        "hold_id",
        unique=True,
        postgresql_where=sa.text("hold_id IS NOT NULL"),
        sqlite_where=sa.text("hold_id IS NOT NULL"),
    ),
    # Statements and sums of an account.
    sa.Index("transfers_by_debit", "debit_account", "transfer_id"),
    sa.Index("transfers_by_credit", "credit_account", "transfer_id"),
    comment="money moved or held; rows are only ever added, the database refuses anything else",
    sqlite_with_rowid=False,
)

open_holds = sa.Table(
    "open_holds",
    metadata,
    sa.Column("hold_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="its transfer_id"),
    sa.Column("debit_account", sa.BigInteger, nullable=False),
    sa.Column("credit_account", sa.BigInteger, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=True, comment="null: never"),
    # Those whose time has come.
    sa.Index(
        "open_holds_expiring",
        "expires_at",
        "hold_id",
        postgresql_where=sa.text("expires_at IS NOT NULL"),
        sqlite_where=sa.text("expires_at IS NOT NULL"),
    ),
    comment="holds that have not ended: put in and taken out by triggers of `transfers`",
    sqlite_with_rowid=False,
)

ledger_audits = sa.Table(
    "ledger_audits",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True, comment="all of it, in this version: always `default`"),
    sa.Column("audited_at", sa.BigInteger, nullable=False),
    sa.Column("violations", sa.BigInteger, nullable=False, comment="faults that the last quick audit found"),
    sa.CheckConstraint("violations >= 0", name="violations_not_negative"),
    comment="how the last timed audit ended, for the metrics of every process",
)
