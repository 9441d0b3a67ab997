"""Every statement by which the ledger decides: what a batch reads, and what it writes.

Balances are not among what is written: triggers count each transfer, and nothing else changes them. No row is locked:
the lane's turn keeps other writers out, and the database refuses whoever ignores it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import Instant
from marketplace.ledger.model import Account, AccountKey, Asset, Transfer
from marketplace.ledger.tables import accounts, assets, ledger_audits, open_holds, transfers

# ── reads ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_decimals = sa.select(assets.c.decimals).where(assets.c.asset == accounts.c.asset).scalar_subquery().label("decimals")
ACCOUNT_COLUMNS: list[Any] = [*accounts.c, _decimals]
"""Those of an Account, in its order."""

_find_accounts = bulk.find_in(accounts, {name: name for name in AccountKey._fields}, ACCOUNT_COLUMNS)
_find_accounts_by_id = bulk.find_in(accounts, {"account_id": "account_id"}, ACCOUNT_COLUMNS)
_find_references = bulk.find_in(transfers, {"scope": "scope", "reference": "reference"}, list(transfers.c))
_find_holds = bulk.find_in(transfers, {"hold_id": "transfer_id"}, list(transfers.c))
_find_ends = bulk.find_in(transfers, {"hold_id": "hold_id"}, list(transfers.c))
_find_assets = bulk.find_in(assets, {"asset": "asset"}, list(assets.c))
_find_last_ids = sa.select(
    sa.select(sa.func.coalesce(sa.func.max(transfers.c.transfer_id), 0)).scalar_subquery(),
    sa.select(sa.func.coalesce(sa.func.max(accounts.c.account_id), 0)).scalar_subquery(),
)
_find_due = (
    sa.select(open_holds.c.hold_id)
    .where(open_holds.c.expires_at <= sa.bindparam("now", type_=sa.BigInteger))
    .order_by(open_holds.c.expires_at, open_holds.c.hold_id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


def _fetch(statement: bulk.Bulk, tx: sa.Connection, given: Sequence[Any]) -> Sequence[Any]:
    return statement.fetch(tx, given)


def read_accounts(tx: sa.Connection, keys: Iterable[AccountKey]) -> list[Account]:
    """Return those of the named accounts that are open."""
    return [Account(*row) for row in _fetch(_find_accounts, tx, [key._asdict() for key in sorted(keys)])]


def read_accounts_by_id(tx: sa.Connection, ids: Iterable[int]) -> list[Account]:
    return [Account(*row) for row in _fetch(_find_accounts_by_id, tx, [{"account_id": one} for one in sorted(ids)])]


def read_references(tx: sa.Connection, asked: Iterable[tuple[str, str]]) -> list[Transfer]:
    """Return the transfers that have these (scope, reference) pairs."""
    given = [{"scope": scope, "reference": reference} for scope, reference in sorted(asked)]
    return [Transfer(*row) for row in _fetch(_find_references, tx, given)]


def read_holds(tx: sa.Connection, ids: Iterable[int]) -> tuple[list[Transfer], list[Transfer]]:
    """Return the holds of these ids, and the ends of those that have ended."""
    given = [{"hold_id": one} for one in sorted(ids)]
    found = (Transfer(*row) for row in _fetch(_find_holds, tx, given))
    holds = [one for one in found if one.kind == "hold"]
    return holds, [Transfer(*row) for row in _fetch(_find_ends, tx, given)]


def read_assets(tx: sa.Connection, names: Iterable[str]) -> list[Asset]:
    """Return those of the named assets that there are."""
    return [Asset(*row) for row in _fetch(_find_assets, tx, [{"asset": name} for name in sorted(names)])]


def read_last_ids(tx: sa.Connection) -> tuple[int, int]:
    """Return the last transfer's and the last account's id, 0 where there is none."""
    last_transfer_id, last_account_id = tx.execute(_find_last_ids).one()
    return last_transfer_id, last_account_id


def read_due(tx: sa.Connection, *, now: Instant, limit: int) -> list[int]:
    """Return the ids of open holds whose time has come, the longest overdue first."""
    return list(tx.execute(_find_due, {"now": now, "limit": limit}).scalars())


# ── writes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_insert_accounts = bulk.insert_into(accounts, *accounts.c.keys())
_insert_transfers = bulk.insert_into(transfers, *transfers.c.keys())
_insert_assets = bulk.insert_into(assets, *assets.c.keys())
_put_audits = bulk.put_into(ledger_audits, *ledger_audits.c.keys(), changing=["audited_at", "violations"])


def _set_limits() -> bulk.Bulk:
    names = ("account_id", "credit_limit", "low_balance")

    def build(rows: sa.FromClause) -> Any:
        limits = {name: rows.c[name] for name in names[1:]}
        return sa.update(accounts).values(limits).where(accounts.c.account_id == rows.c.account_id)

    return bulk.Bulk({name: accounts.c[name].type for name in names}, build)


_update_limits = _set_limits()


def insert_accounts(opened: Iterable[Account]) -> bulk.Write:
    """Write accounts as they are opened: with nothing in them, which is for the transfers to change."""
    return _insert_accounts, [
        {
            "account_id": one.account_id,
            **one.key._asdict(),
            "posted_debits": 0,
            "posted_credits": 0,
            "pending_debits": 0,
            "pending_credits": 0,
            "credit_limit": one.credit_limit,
            "low_balance": one.low_balance,
            "last_transfer_id": 0,
            "opened_at": one.opened_at,
        }
        for one in opened
    ]


def insert_transfers(made: Sequence[Transfer]) -> bulk.Write:
    return _insert_transfers, made


def set_limits(limited: Iterable[Account]) -> bulk.Write:
    """Write the thresholds and credit limits of accounts."""
    return _update_limits, [
        {"account_id": one.account_id, "credit_limit": one.credit_limit, "low_balance": one.low_balance}
        for one in limited
    ]


def insert_assets(added: Sequence[Asset]) -> bulk.Write:
    return _insert_assets, added


def put_audit(*, scope: str, violations: int, now: Instant) -> bulk.Write:
    """Write how an audit ended over how the one before did."""
    return _put_audits, [{"scope": scope, "audited_at": now, "violations": violations}]
