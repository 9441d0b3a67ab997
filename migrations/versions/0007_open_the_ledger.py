"""Open the ledger: assets, accounts, transfers and holds, and triggers that let no statement break the books."""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MAX_AMOUNT = 10**15
MAX_TOTAL = 45 * 10**17
FROM_THE_START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, the same on every database

TOTALS = ("posted_debits", "posted_credits", "pending_debits", "pending_credits")
NAMES = ("account_id", "scope", "owner", "asset", "kind", "opened_at")

# What a transfer does to the two totals of one side of it.
POSTS = "CASE WHEN {row}.kind IN ('transfer', 'capture') THEN {row}.amount ELSE 0 END"
PENDS = "CASE {row}.kind WHEN 'transfer' THEN 0 WHEN 'hold' THEN {row}.amount ELSE -{row}.held_amount END"
# Whether an end fits the hold that is still open: same accounts and amount, no capture too late, no expiry too early.
FITS = """{hold}.hold_id = {row}.hold_id AND {hold}.amount = {row}.held_amount
           AND ({hold}.debit_account, {hold}.credit_account) = ({row}.debit_account, {row}.credit_account)
           AND ({row}.kind <> 'capture' OR {hold}.expires_at IS NULL OR {hold}.expires_at > {row}.at)
           AND ({row}.kind <> 'expiry' OR {hold}.expires_at <= {row}.at)"""


def on_postgres() -> bool:
    return op.get_context().dialect.name == "postgresql"


def upgrade() -> None:
    create_assets()
    create_accounts()
    create_transfers()
    create_open_holds()
    op.create_table(
        "ledger_audits",
        text("scope", "all of it, in this version: always `default`"),
        number("audited_at"),
        number("violations", "faults that the last quick audit found"),
        *checks("ledger_audits", violations_not_negative="violations >= 0"),
        sa.PrimaryKeyConstraint("scope", name=op.f("ledger_audits_pkey")),
        comment="how the last timed audit ended, for the metrics of every process",
    )
    for statement in POSTGRES if on_postgres() else SQLITE:
        op.execute(statement)


def text(name: str, comment: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, comment=comment)


def number(name: str, comment: str | None = None, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, autoincrement=False, comment=comment)


def checks(table: str, **rules: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(rule, name=op.f(f"{table}_{name}")) for name, rule in rules.items()]


def create_assets() -> None:
    assets = op.create_table(
        "assets",
        text("asset", "its name, as credit"),
        sa.Column(
            "decimals", sa.SmallInteger, nullable=False, comment="digits after the point: 10^-decimals is a unit"
        ),
        number("added_at"),
        *checks("assets", asset_length="length(asset) BETWEEN 1 AND 64", decimals_bounded="decimals BETWEEN 0 AND 12"),
        sa.PrimaryKeyConstraint("asset", name=op.f("assets_pkey")),
        comment="what accounts are kept in; rows are only ever added. `credit` and `hour` are there from the start",
        sqlite_with_rowid=False,
    )
    there = (("credit", 6), ("hour", 0))
    op.bulk_insert(assets, [{"asset": a, "decimals": d, "added_at": FROM_THE_START} for a, d in there])


def create_accounts() -> None:
    op.create_table(
        "accounts",
        number("account_id", "from 1, as they are opened"),
        text("scope", "a set of books of its own; no transfer leads out of it"),
        text("owner", "a wallet's member; else what a module calls it, or nothing"),
        text("asset"),
        text("kind", "wallet, escrow, revenue, or external: the world outside"),
        number("posted_debits", "sum of what went out"),
        number("posted_credits", "sum of what came in"),
        number("pending_debits", "held: sum of the open holds on it"),
        number("pending_credits", "sum of the open holds that would come to it"),
        number("credit_limit", "how far below zero it may go; 0: prepaid"),
        number("low_balance", "tell when less is available; null: never", null=True),
        number("last_transfer_id", "the last one in the balances; 0: none"),
        number("opened_at"),
        *checks(
            "accounts",
            account_id_positive="account_id >= 1",
            scope_length="length(scope) BETWEEN 1 AND 64",
            owner_length="length(owner) <= 128 AND (kind <> 'wallet' OR owner <> '')",
            kind_known="kind IN ('wallet', 'escrow', 'revenue', 'external')",
            **{f"{total}_bounded": f"{total} BETWEEN 0 AND {MAX_TOTAL}" for total in TOTALS},
            credit_limit_bounded=f"credit_limit BETWEEN 0 AND {MAX_AMOUNT}",
            low_balance_bounded=f"low_balance BETWEEN 0 AND {MAX_AMOUNT}",
            limits_are_of_wallets="kind = 'wallet' OR (credit_limit = 0 AND low_balance IS NULL)",
            debits_covered="kind = 'external' OR pending_debits + posted_debits <= posted_credits + credit_limit",
        ),
        sa.ForeignKeyConstraint(["asset"], ["assets.asset"], name=op.f("accounts_asset_fkey")),
        sa.UniqueConstraint("scope", "owner", "asset", "kind", name=op.f("accounts_one_of_a_kind")),
        sa.UniqueConstraint("account_id", "scope", "asset", name=op.f("accounts_scope_asset_key")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("accounts_pkey")),
        comment="who has what; balance = posted_credits - posted_debits, available = balance - pending_debits + limit",
        sqlite_with_rowid=False,
    )
    if on_postgres():
        # The balances of a few change with each transfer: room for the new versions beside the old, on the same page.
        op.execute("ALTER TABLE accounts SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)")


def create_transfers() -> None:
    op.create_table(
        "transfers",
        number("transfer_id", "from 1, without gaps"),
        text("scope", "that of both accounts"),
        text("kind", "transfer, hold, or a hold's end: capture, release, expiry"),
        number("debit_account", "where it comes from"),
        number("credit_account", "where it goes"),
        text("asset", "that of both accounts"),
        number("amount", "moved, held, captured of the hold, or set free"),
        number("hold_id", "transfer_id of the hold that it ends; else null", null=True),
        number("held_amount", "that hold's amount; null where it ends none", null=True),
        text("reason", "what for, in a word or a few"),
        text("reference", "made up by who asked: the same one is carried out once"),
        number("seq", "of the entry in the lane's log that caused it"),
        number("at"),
        number("expires_at", "a hold ends then by itself; null: never", null=True),
        *checks(
            "transfers",
            kind_known="kind IN ('transfer', 'hold', 'capture', 'release', 'expiry')",
            two_accounts="debit_account <> credit_account",
            amount_positive=f"amount BETWEEN 1 AND {MAX_AMOUNT}",
            ends_a_hold="(kind IN ('capture', 'release', 'expiry')) = (hold_id IS NOT NULL)",
            held_amount_of_a_hold="(hold_id IS NULL) = (held_amount IS NULL)",
            captured_within_hold="amount <= held_amount",
            set_free_as_a_whole="kind = 'capture' OR amount = held_amount",
            holds_expire_later="expires_at IS NULL OR (kind = 'hold' AND expires_at > at)",
            reason_length="length(reason) BETWEEN 1 AND 64",
            reference_length="length(reference) BETWEEN 1 AND 300",
            seq_positive="seq >= 1",
        ),
        *([] if on_postgres() else map(reference, ("debit_account", "credit_account"))),
        sa.UniqueConstraint("scope", "reference", name=op.f("transfers_reference_key")),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f("transfers_pkey")),
        comment="money moved or held; rows are only ever added, the database refuses anything else",
        sqlite_with_rowid=False,
    )
    where: Any = dict.fromkeys(("postgresql_where", "sqlite_where"), sa.text("hold_id IS NOT NULL"))
    op.create_index("transfers_by_hold", "transfers", ["hold_id"], unique=True, **where)
    op.create_index("transfers_by_debit", "transfers", ["debit_account", "transfer_id"])
    op.create_index("transfers_by_credit", "transfers", ["credit_account", "transfer_id"])


def reference(side: str) -> sa.ForeignKeyConstraint:
    parent = ["accounts.account_id", "accounts.scope", "accounts.asset"]
    return sa.ForeignKeyConstraint([side, "scope", "asset"], parent, name=f"transfers_{side}_fkey")


def create_open_holds() -> None:
    op.create_table(
        "open_holds",
        number("hold_id", "its transfer_id"),
        number("debit_account"),
        number("credit_account"),
        number("amount"),
        number("expires_at", "null: never", null=True),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("open_holds_pkey")),
        comment="holds that have not ended: put in and taken out by triggers of `transfers`",
        sqlite_with_rowid=False,
    )
    where: Any = dict.fromkeys(("postgresql_where", "sqlite_where"), sa.text("expires_at IS NOT NULL"))
    op.create_index("open_holds_expiring", "open_holds", ["expires_at", "hold_id"], **where)


# ── Postgres: what a statement wrote, at once ────────────────────────────────────────────────────────────────────────

# The one way by which balances and open holds change. Each account is looked up by its key, whatever the planner
# believes of the table's size: hence the settings. An account that is not there, or is of another scope or asset
# than the transfer says, is not found; that is the foreign key, which a constraint would check row by row.
POST = f"""
CREATE FUNCTION transfers_post() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    lowest bigint; highest bigint; added bigint; ends bigint; wanted bigint; found bigint;
BEGIN
    SELECT min(transfer_id), max(transfer_id), count(*), count(hold_id) INTO lowest, highest, added, ends FROM written;
    SELECT coalesce(max(transfer_id), 0) INTO found FROM transfers WHERE transfer_id < lowest;
    IF (lowest, highest) <> (found + 1, found + added) THEN
        RAISE check_violation USING CONSTRAINT = 'transfers_without_gaps', MESSAGE = 'transfers_without_gaps';
    END IF;
    INSERT INTO open_holds (hold_id, debit_account, credit_account, amount, expires_at)
    SELECT transfer_id, debit_account, credit_account, amount, expires_at FROM written WHERE kind = 'hold';
    IF ends > 0 THEN
        DELETE FROM open_holds USING written
         WHERE {FITS.format(hold="open_holds", row="written")};
        GET DIAGNOSTICS found = ROW_COUNT;
        IF found <> ends THEN
            RAISE check_violation USING CONSTRAINT = 'transfers_end_an_open_hold',
                MESSAGE = 'no hold is open: transfers_end_an_open_hold';
        END IF;
    END IF;
    WITH sides AS (
        SELECT debit_account AS account_id, scope, asset, transfer_id, {POSTS.format(row="written")} AS out_posted,
               {PENDS.format(row="written")} AS out_pending, 0 AS in_posted, 0 AS in_pending
          FROM written
         UNION ALL
        SELECT credit_account, scope, asset, transfer_id, 0, 0, {POSTS.format(row="written")},
               {PENDS.format(row="written")}
          FROM written
    ), sums AS MATERIALIZED (
        SELECT account_id, scope, asset, max(transfer_id) AS transfer_id,
               sum(out_posted)::bigint AS out_posted, sum(out_pending)::bigint AS out_pending,
               sum(in_posted)::bigint AS in_posted, sum(in_pending)::bigint AS in_pending
          FROM sides
         GROUP BY account_id, scope, asset
    ), posted AS (
        UPDATE accounts
           SET posted_debits = posted_debits + out_posted, pending_debits = pending_debits + out_pending,
               posted_credits = posted_credits + in_posted, pending_credits = pending_credits + in_pending,
               last_transfer_id = sums.transfer_id
          FROM sums
         WHERE (accounts.account_id, accounts.scope, accounts.asset) = (sums.account_id, sums.scope, sums.asset)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM sums), (SELECT count(*) FROM posted) INTO wanted, found;
    IF found <> wanted THEN
        RAISE foreign_key_violation USING CONSTRAINT = 'transfers_account_fkey', MESSAGE = 'transfers_account_fkey';
    END IF;
    RETURN NULL;
END $$
"""

# Depth 1 is a statement of somebody's own; deeper is what `transfers_post` does.
POSTED_ONLY = """
CREATE FUNCTION {table}_are_posted_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 AND {condition} THEN
        RAISE check_violation USING CONSTRAINT = '{table}_posted_only', MESSAGE = '{table}_posted_only';
    END IF;
    RETURN NULL;
END $$
"""
OPENED_EMPTY = f"""
CREATE FUNCTION accounts_open_empty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM written WHERE ({", ".join(TOTALS)}, last_transfer_id) <> (0, 0, 0, 0, 0)) THEN
        RAISE check_violation USING CONSTRAINT = 'accounts_open_empty', MESSAGE = 'accounts_open_empty';
    END IF;
    RETURN NULL;
END $$
"""
STAY = """
CREATE FUNCTION ledger_rows_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING TABLE = TG_TABLE_NAME, MESSAGE = TG_TABLE_NAME || ' are never changed or deleted';
END $$
"""


def trigger(name: str, when: str, function: str | None = None) -> str:
    return f"CREATE TRIGGER {name} {when} FOR EACH STATEMENT EXECUTE FUNCTION {function or name}()"


KEPT = ", ".join((*NAMES, *TOTALS, "last_transfer_id"))
SUMS_ONLY = f"EXISTS (SELECT {KEPT} FROM before EXCEPT SELECT {KEPT} FROM written)"
WRITTEN = "REFERENCING NEW TABLE AS written"
POSTGRES = (
    POST,
    trigger("transfers_post", f"AFTER INSERT ON transfers {WRITTEN}"),
    OPENED_EMPTY,
    trigger("accounts_open_empty", f"AFTER INSERT ON accounts {WRITTEN}"),
    POSTED_ONLY.format(table="accounts", condition=SUMS_ONLY),
    trigger("accounts_are_posted_only", f"AFTER UPDATE ON accounts {WRITTEN} OLD TABLE AS before"),
    POSTED_ONLY.format(table="open_holds", condition="true"),
    trigger("open_holds_are_posted_only", "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON open_holds"),
    STAY,
    trigger("transfers_stay", "BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers", "ledger_rows_stay"),
    trigger("accounts_stay", "BEFORE DELETE OR TRUNCATE ON accounts", "ledger_rows_stay"),
    trigger("assets_stay", "BEFORE UPDATE OR DELETE OR TRUNCATE ON assets", "ledger_rows_stay"),
)


# ── SQLite: row by row ───────────────────────────────────────────────────────────────────────────────────────────────


def guard(name: str, event: str, **broken: str) -> str:
    """Make a trigger that refuses what would break a rule, given as rule=condition.

    It holds under OR IGNORE, which passes over constraints; and OR REPLACE, which deletes what is in its way without
    asking the triggers of that: so rows that would be in the way are looked for first.
    """
    steps = "".join(f"\n    SELECT RAISE(ABORT, '{rule}') WHERE {condition};" for rule, condition in broken.items())
    return f"CREATE TRIGGER {name} BEFORE {event} BEGIN{steps}\nEND"


def stay(table: str, event: str) -> str:
    rule = {f"{table} are never changed or deleted": "true"}
    return guard(f"{table}_no_{event}", f"{event} ON {table}", **rule)


def post(side: str) -> str:
    """Return the steps that bring a new transfer into the totals of one of its accounts."""
    return f"""
    UPDATE accounts
       SET posted_{side}s = posted_{side}s + {POSTS.format(row="NEW")},
           pending_{side}s = pending_{side}s + {PENDS.format(row="NEW")},
           last_transfer_id = NEW.transfer_id
     WHERE account_id = NEW.{side}_account;
    SELECT RAISE(ABORT, 'transfers_posted')
     WHERE (SELECT last_transfer_id FROM accounts WHERE account_id = NEW.{side}_account) IS NOT NEW.transfer_id;"""


def miscounts(side: str) -> str:
    """Tell whether totals have changed by other than the transfers since."""
    return f"""(NEW.posted_{side}s - OLD.posted_{side}s, NEW.pending_{side}s - OLD.pending_{side}s) <> (
        SELECT coalesce(sum({POSTS.format(row="transfers")}), 0), coalesce(sum({PENDS.format(row="transfers")}), 0)
          FROM transfers
         WHERE transfers.{side}_account = OLD.account_id
           AND transfers.transfer_id > OLD.last_transfer_id
           AND transfers.transfer_id <= NEW.last_transfer_id)"""


LOST_COUNT = """NEW.last_transfer_id IS NOT OLD.last_transfer_id
       AND (NEW.last_transfer_id < OLD.last_transfer_id OR NOT EXISTS (
        SELECT 1 FROM transfers
         WHERE transfer_id = NEW.last_transfer_id AND OLD.account_id IN (debit_account, credit_account)))"""
SAME_REFERENCE = "scope = NEW.scope AND reference = NEW.reference"
SAME_ACCOUNT = """account_id = NEW.account_id
            OR (scope = NEW.scope AND owner = NEW.owner AND asset = NEW.asset AND kind = NEW.kind)"""
ITS_HOLD = """transfer_id = NEW.hold_id AND kind = 'hold' AND debit_account = NEW.debit_account
            AND credit_account = NEW.credit_account AND amount = NEW.amount AND expires_at IS NEW.expires_at"""
OPEN_FIT = f"SELECT 1 FROM open_holds WHERE {FITS.format(hold='open_holds', row='NEW')}"
SQLITE = (
    guard(
        "transfers_come_in_order",
        "INSERT ON transfers",
        transfers_without_gaps="NEW.transfer_id IS NOT coalesce((SELECT max(transfer_id) FROM transfers), 0) + 1",
        transfers_reference_key=f"EXISTS (SELECT 1 FROM transfers WHERE {SAME_REFERENCE})",
        transfers_end_an_open_hold=f"NEW.hold_id IS NOT NULL AND NOT EXISTS ({OPEN_FIT})",
    ),
    f"""
CREATE TRIGGER transfers_post AFTER INSERT ON transfers BEGIN{post("debit")}{post("credit")}
    INSERT INTO open_holds (hold_id, debit_account, credit_account, amount, expires_at)
    SELECT NEW.transfer_id, NEW.debit_account, NEW.credit_account, NEW.amount, NEW.expires_at WHERE NEW.kind = 'hold';
    DELETE FROM open_holds WHERE hold_id = NEW.hold_id;
END""",
    guard(
        "accounts_open_empty",
        "INSERT ON accounts",
        accounts_open_empty=" OR ".join(f"NEW.{total} IS NOT 0" for total in (*TOTALS, "last_transfer_id")),
        accounts_one_of_a_kind=f"EXISTS (SELECT 1 FROM accounts WHERE {SAME_ACCOUNT})",
    ),
    guard(
        "accounts_are_posted_only",
        "UPDATE ON accounts",
        accounts_posted_only=" OR ".join(
            (*(f"NEW.{name} IS NOT OLD.{name}" for name in NAMES), LOST_COUNT, miscounts("debit"), miscounts("credit"))
        ),
    ),
    guard(
        "open_holds_come_with_transfers",
        "INSERT ON open_holds",
        open_holds_posted_only=f"""NOT EXISTS (SELECT 1 FROM transfers WHERE {ITS_HOLD})
        OR EXISTS (SELECT 1 FROM transfers WHERE hold_id = NEW.hold_id)
        OR EXISTS (SELECT 1 FROM open_holds WHERE hold_id = NEW.hold_id)""",
    ),
    guard(
        "open_holds_go_with_transfers",
        "DELETE ON open_holds",
        open_holds_posted_only="NOT EXISTS (SELECT 1 FROM transfers WHERE hold_id = OLD.hold_id)",
    ),
    guard("open_holds_no_update", "UPDATE ON open_holds", open_holds_posted_only="true"),
    guard("assets_no_replace", "INSERT ON assets", assets_pkey="NEW.asset IN (SELECT asset FROM assets)"),
    *(stay(table, event) for table in ("transfers", "assets") for event in ("UPDATE", "DELETE")),
    stay("accounts", "DELETE"),
)


def downgrade() -> None:
    for table in ("ledger_audits", "open_holds", "transfers", "accounts", "assets"):
        op.drop_table(table)
    if on_postgres():
        of_tables = ("accounts_open_empty", "accounts_are_posted_only", "open_holds_are_posted_only")
        for function in ("transfers_post", *of_tables, "ledger_rows_stay"):
            op.execute(f"DROP FUNCTION {function}()")
