"""What can be asked of the ledger: functions of a read-only `tx`, run by `database.read` or `read_one`."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from marketplace.foundation.clock import Instant
from marketplace.ledger import errors, model, sql
from marketplace.ledger.model import Account, Asset
from marketplace.ledger.tables import accounts, assets, ledger_audits, open_holds, transfers

# ── wallets ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_find_wallets = (
    sa.select(*sql.ACCOUNT_COLUMNS)
    .where(accounts.c.scope == sa.bindparam("scope"), accounts.c.owner == sa.bindparam("owner"))
    .where(accounts.c.kind == "wallet")
    .order_by(accounts.c.asset)
)


def find_wallets(
    tx: sa.Connection, username: str, *, starting_credits: int = 0, scope: str = model.SCOPE
) -> list[Account]:
    """Return a member's wallets by asset. A single statement.

    That of credits is always among them: where nobody has touched it yet, it is shown as it would open.
    """
    found = [Account(*row) for row in tx.execute(_find_wallets, {"scope": scope, "owner": username})]
    if all(one.asset != model.CREDIT for one in found):
        found.append(Account(0, scope, username, model.CREDIT, "wallet", posted_credits=starting_credits))
        found.sort(key=lambda one: one.asset)
    return found


def balance(tx: sa.Connection, key: model.AccountKey) -> Account | None:
    """Return any account as it stands; None where nothing has touched it yet."""
    found = sql.read_accounts(tx, [key])
    return found[0] if found else None


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Place(NamedTuple):
    """Where a page of a statement ended: its last transfer, and what the wallet had before it."""

    transfer_id: int
    balance: int
    held: int


class Line(msgspec.Struct, frozen=True):
    """A transfer as the owner of an account sees it: what it changed, and what there was after it.

    `counterparty` is None for the world outside and for accounts that are no member's.
    """

    transfer: model.Transfer
    change: int
    held_change: int
    balance: int
    held: int
    counterparty: str | None
    other_kind: model.AccountKind

    @property
    def before(self) -> Place:
        return Place(self.transfer.transfer_id, self.balance - self.change, self.held - self.held_change)


class Statement(msgspec.Struct, frozen=True):
    """A page of an account's history, newest first; no account where nothing has touched it yet."""

    account: Account | None
    lines: list[Line]


_limit = sa.bindparam("limit", type_=sa.Integer)
_account_id = sa.bindparam("account_id", type_=sa.BigInteger)
_before = sa.bindparam("before", type_=sa.BigInteger)


def _statement() -> sa.Select[Any]:
    """Both sides of an account, each by its own index, and of both the newest.

    Holds that would come to it, and what became of them without money moving, are no part of its history.
    """

    def side(mine: sa.Column[int], other: sa.Column[int], *more: sa.ColumnElement[bool]) -> sa.Select[Any]:
        page = (
            sa.select(*transfers.c, other.label("other_account"))
            .where(mine == _account_id, transfers.c.transfer_id < _before, *more)
            .order_by(transfers.c.transfer_id.desc())
            .limit(_limit)
        )
        return sa.select(page.subquery())

    comes_in = transfers.c.kind.in_(("transfer", "capture"))
    both = sa.union_all(
        side(transfers.c.debit_account, transfers.c.credit_account),
        side(transfers.c.credit_account, transfers.c.debit_account, comes_in),
    ).subquery("both")
    newest = sa.select(both).order_by(both.c.transfer_id.desc()).limit(_limit).subquery("newest")
    return (
        sa.select(newest, accounts.c.owner, accounts.c.kind.label("other_kind"))
        .join(accounts, accounts.c.account_id == newest.c.other_account)
        .order_by(newest.c.transfer_id.desc())
    )


_find_lines = _statement()
_FOREVER = 2**62


def statement(tx: sa.Connection, key: model.AccountKey, *, after: Place | None, limit: int) -> Statement:
    """Return a page of an account's history, newest first. The running balance goes on from where a page ended."""
    account = balance(tx, key)
    if account is None:
        return Statement(None, [])
    at = after or Place(_FOREVER, account.balance, account.pending_debits)
    lines = []
    for row in tx.execute(_find_lines, {"account_id": account.account_id, "before": at.transfer_id, "limit": limit}):
        lines.append(_line(account, row, at))
        at = lines[-1].before
    return Statement(account, lines)


def _line(account: Account, row: Any, at: Place) -> Line:
    """Make a line of a row; `at` is what there was after it."""
    transfer = model.Transfer(*row[: len(model.Transfer.__struct_fields__)])
    is_out = transfer.debit_account == account.account_id
    moved = transfer.amount if transfer.kind in ("transfer", "capture") else 0
    pending = transfer.amount if transfer.kind == "hold" else -(transfer.held_amount or 0)
    return Line(
        transfer,
        change=-moved if is_out else moved,
        held_change=pending if is_out else 0,
        balance=at.balance,
        held=at.held,
        counterparty=row.owner if row.other_kind == "wallet" else None,
        other_kind=row.other_kind,
    )


def received(tx: sa.Connection, key: model.AccountKey, *, references: str) -> int:
    """Return what an account has received, less what it gave back, by transfers whose references begin so."""
    account = balance(tx, key)
    if account is None:
        return 0

    def total(side: sa.Column[int]) -> int:
        query = sa.select(sa.func.coalesce(sa.func.sum(transfers.c.amount), 0)).where(
            side == account.account_id,
            transfers.c.kind.in_(("transfer", "capture")),
            transfers.c.reference.startswith(references, autoescape=True),
        )
        return int(tx.scalar(query) or 0)

    return total(transfers.c.credit_account) - total(transfers.c.debit_account)


# ── assets, the clock, the metrics ───────────────────────────────────────────────────────────────────────────────────

_find_asset = sa.select(*assets.c).where(assets.c.asset == sa.bindparam("asset"))
_has_due = sa.select(sa.exists().where(open_holds.c.expires_at <= sa.bindparam("now", type_=sa.BigInteger)))


def find_asset(tx: sa.Connection, asset: str) -> Asset:
    """Return an asset. A single statement. Raises UnknownAsset."""
    row = tx.execute(_find_asset, {"asset": asset}).first()
    if row is None:
        raise errors.UnknownAsset(asset)
    return Asset(*row)


def list_assets(tx: sa.Connection, *, after: str | None, limit: int) -> list[Asset]:
    """Return assets by name."""
    query = sa.select(*assets.c).order_by(assets.c.asset).limit(limit)
    if after is not None:
        query = query.where(assets.c.asset > after)
    return [Asset(*row) for row in tx.execute(query)]


def has_due_holds(tx: sa.Connection, *, now: Instant) -> bool:
    """Tell whether a hold's time has come. A single statement."""
    return bool(tx.scalar(_has_due, {"now": now}))


class LastAudit(NamedTuple):
    audited_at: Instant
    violations: int


def last_audit(tx: sa.Connection) -> LastAudit | None:
    """Return how the last timed audit ended, None before the first. A single statement."""
    row = tx.execute(sa.select(ledger_audits.c.audited_at, ledger_audits.c.violations)).first()
    return LastAudit(*row) if row else None
