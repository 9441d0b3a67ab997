"""Show the ledger in reports: three views, which docs/reporting.md describes column by column.

One text a view for both engines; what they must say in different words stands in `Postgres` and `SQLite`.
"""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


class Postgres:
    """Amounts are NUMERIC and exact."""

    @staticmethod
    def instant(micros: str) -> str:
        return f"timestamptz 'epoch' + {micros} * INTERVAL '1 microsecond'"

    @staticmethod
    def amount(units: str, decimals: str) -> str:
        return f"trim_scale(({units}) * power(10::numeric, -{decimals}))"


class SQLite:
    """No NUMERIC: an amount is the nearest double, and the units beside it are exact."""

    @staticmethod
    def instant(micros: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%S', {micros} / 1000000, 'unixepoch') || printf('.%06dZ', {micros} % 1000000)"

    @staticmethod
    def amount(units: str, decimals: str) -> str:
        return f"({units}) / CAST('1e' || {decimals} AS REAL)"


Engine = Postgres | SQLite


def accounts(engine: Engine) -> str:
    return f"""
CREATE VIEW report_accounts AS
SELECT accounts.account_id,
       accounts.scope,
       accounts.owner,
       accounts.asset,
       accounts.kind,
       accounts.posted_credits - accounts.posted_debits AS balance_units,
       accounts.pending_debits AS held_units,
       accounts.pending_credits AS incoming_units,
       accounts.credit_limit AS credit_limit_units,
       CASE WHEN accounts.kind <> 'external'
            THEN accounts.posted_credits - accounts.posted_debits - accounts.pending_debits + accounts.credit_limit
       END AS available_units,
       {engine.amount("accounts.posted_credits - accounts.posted_debits", "assets.decimals")} AS balance,
       {engine.instant("accounts.opened_at")} AS opened_at
  FROM accounts
  JOIN assets ON assets.asset = accounts.asset
"""


def wallet_statement(engine: Engine) -> str:
    running = "sum(lines.change_units) OVER (PARTITION BY lines.account_id ORDER BY lines.transfer_id)"
    return f"""
CREATE VIEW report_wallet_statement AS
WITH lines AS (
    SELECT transfers.*,
           transfers.debit_account AS account_id,
           transfers.credit_account AS other_account,
           CASE WHEN kind IN ('transfer', 'capture') THEN -amount ELSE 0 END AS change_units,
           CASE kind WHEN 'transfer' THEN 0 WHEN 'hold' THEN amount ELSE -held_amount END AS held_change_units
      FROM transfers
     UNION ALL
    SELECT transfers.*, transfers.credit_account, transfers.debit_account, amount, 0
      FROM transfers
     WHERE kind IN ('transfer', 'capture')
)
SELECT accounts.owner AS username,
       lines.asset,
       lines.transfer_id,
       lines.scope,
       {engine.instant("lines.at")} AS at,
       lines.kind,
       lines.change_units,
       lines.held_change_units,
       {running} AS balance_units,
       CASE WHEN others.kind = 'wallet' THEN others.owner END AS counterparty,
       lines.reason,
       lines.reference,
       lines.seq,
       {engine.amount("lines.change_units", "assets.decimals")} AS change,
       {engine.amount(running, "assets.decimals")} AS balance
  FROM lines
  JOIN accounts ON accounts.account_id = lines.account_id AND accounts.kind = 'wallet'
  JOIN accounts AS others ON others.account_id = lines.other_account
  JOIN assets ON assets.asset = lines.asset
"""


def trial_balance(engine: Engine) -> str:
    balance = "sum(accounts.posted_credits - accounts.posted_debits)"
    return f"""
CREATE VIEW report_trial_balance AS
SELECT accounts.scope,
       accounts.asset,
       accounts.kind,
       count(*) AS accounts,
       sum(accounts.posted_debits) AS debit_units,
       sum(accounts.posted_credits) AS credit_units,
       {balance} AS balance_units,
       sum(accounts.pending_debits) AS held_units,
       {engine.amount(balance, "assets.decimals")} AS balance
  FROM accounts
  JOIN assets ON assets.asset = accounts.asset
 GROUP BY accounts.scope, accounts.asset, accounts.kind, assets.decimals
"""


VIEWS = {"accounts": accounts, "wallet_statement": wallet_statement, "trial_balance": trial_balance}


def upgrade() -> None:
    engine = Postgres() if op.get_context().dialect.name == "postgresql" else SQLite()
    for define in VIEWS.values():
        op.execute(define(engine))


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW report_{name}")
