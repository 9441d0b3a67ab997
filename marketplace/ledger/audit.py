"""Proves the books of the ledger. The database's triggers keep them right; this tells if they were ever got around.

quick     the sum over all accounts is 0, for each scope and asset; what is held is what the open holds say
audit     that, and: each balance is the sum of its transfers, they are numbered without gaps, no open hold is
          without the transfer that made it, nor the reverse; and each was caused by an entry of the log
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from marketplace.database import log, money, proofs
from marketplace.database.proofs import SHOWN
from marketplace.ledger.tables import TOTALS, accounts, open_holds, transfers

PAGE = 100_000
"""Transfers that one statement looks at; a large ledger would outlast its time limit."""


def audit(tx: sa.Connection) -> list[str]:
    """Return what is wrong with the books, a sentence each; nothing for books that balance."""
    last_seq = log.read_head(tx, money.LANE).last_seq
    faults = itertools.chain(_check_balances(tx), _check_transfers(tx, last_seq), _check_holds(tx))
    return [*quick(tx), *faults, *proofs.check_log(tx, money.LANE)]


def quick(tx: sa.Connection) -> list[str]:
    """Return what is wrong as far as accounts and open holds alone can tell: cheap, however long the history is."""
    return [*_check_zero(tx), *_check_pending(tx, "debit"), *_check_pending(tx, "credit")]


# ── sums over accounts ───────────────────────────────────────────────────────────────────────────────────────────────


def _check_zero(tx: sa.Connection) -> Iterator[str]:
    posted = sa.func.sum(accounts.c.posted_credits - accounts.c.posted_debits)
    pending = sa.func.sum(accounts.c.pending_credits - accounts.c.pending_debits)
    query = (
        sa.select(accounts.c.scope, accounts.c.asset, posted.label("posted"), pending.label("pending"))
        .group_by(accounts.c.scope, accounts.c.asset)
        .having(sa.or_(posted != 0, pending != 0))
        .order_by(accounts.c.scope, accounts.c.asset)
        .limit(SHOWN)
    )
    for row in tx.execute(query):
        yield f"accounts: {row.asset} of {row.scope} sums up to {row.posted}, pending {row.pending}; both should be 0"


def _check_pending(tx: sa.Connection, side: str) -> Iterator[str]:
    """Compare what is pending on a side of the accounts with the open holds on it."""
    account_id, pending = open_holds.c[f"{side}_account"], accounts.c[f"pending_{side}s"]
    sums = (
        sa.select(account_id.label("account_id"), sa.func.sum(open_holds.c.amount).label("held"))
        .group_by(account_id)
        .subquery()
    )
    held = sa.func.coalesce(sums.c.held, 0)
    query = (
        sa.select(accounts.c.account_id, pending.label("pending"), held.label("held"))
        .outerjoin(sums, sums.c.account_id == accounts.c.account_id)
        .where(pending != held)
        .order_by(accounts.c.account_id)
        .limit(SHOWN)
    )
    for row in tx.execute(query):
        yield f"accounts: {row.account_id} has pending {side}s of {row.pending}, and open holds of {row.held}"


# ── sums of transfers ────────────────────────────────────────────────────────────────────────────────────────────────


def _check_balances(tx: sa.Connection) -> Iterator[str]:
    """Add up the transfers of each account, a page of accounts at a time."""
    rows = proofs.pages(tx, accounts, [accounts.c.account_id])
    shown = 0
    while page := list(itertools.islice(rows, proofs.PAGE)):
        first, last = page[0].account_id, page[-1].account_id
        debits, credits_ = (_sums(tx, side, first=first, last=last) for side in ("debit", "credit"))
        for row in page:
            (out, out_pending, out_last), (into, into_pending, into_last) = (
                sums.get(row.account_id, (0, 0, 0)) for sums in (debits, credits_)
            )
            has = (*(getattr(row, total) for total in TOTALS), row.last_transfer_id)
            should = (out, into, out_pending, into_pending, max(out_last, into_last))
            if has != should and (shown := shown + 1) <= SHOWN:
                yield f"accounts: {row.account_id} has the totals {has}, and its transfers give {should}"


def _sums(tx: sa.Connection, side: str, *, first: int, last: int) -> dict[int, tuple[int, int, int]]:
    """Return what was posted, what is pending, and the last transfer, on one side of each account of a range."""
    account_id, kind = transfers.c[f"{side}_account"], transfers.c.kind
    posted = sa.case((kind.in_(("transfer", "capture")), transfers.c.amount), else_=0)
    pending = sa.case((kind == "transfer", 0), (kind == "hold", transfers.c.amount), else_=-transfers.c.held_amount)
    query = (
        sa.select(account_id, sa.func.sum(posted), sa.func.sum(pending), sa.func.max(transfers.c.transfer_id))
        .where(account_id.between(first, last))
        .group_by(account_id)
    )
    return {row[0]: (int(row[1]), int(row[2]), row[3]) for row in tx.execute(query)}


def _check_transfers(tx: sa.Connection, last_seq: int) -> Iterator[str]:
    """Look whether the ids are without gaps, and each transfer has an entry of the log that may have caused it."""
    last = tx.scalar(sa.select(sa.func.max(transfers.c.transfer_id))) or 0
    for first in range(1, last + 1, PAGE):
        end = min(first + PAGE - 1, last)
        query = sa.select(sa.func.count(), sa.func.max(transfers.c.seq))
        count, seq = tx.execute(query.where(transfers.c.transfer_id.between(first, end))).one()
        if count != end - first + 1:
            yield f"transfers: {count} are numbered {first} to {end}"
        if (seq or 0) > last_seq:
            yield f"transfers: one says that entry {seq} of the log caused it, which ends at {last_seq}"


def _check_holds(tx: sa.Connection) -> Iterator[str]:
    """Look for holds that are open on one side of the books alone."""
    last = tx.scalar(sa.select(sa.func.max(transfers.c.transfer_id))) or 0
    ends = transfers.alias("ends")
    has_ended = sa.exists().where(ends.c.hold_id == transfers.c.transfer_id)
    is_open = sa.exists().where(_is_of(open_holds, transfers))
    for first in range(1, last + 1, PAGE):
        lost = (
            sa.select(transfers.c.transfer_id)
            .where(transfers.c.transfer_id.between(first, first + PAGE - 1), transfers.c.kind == "hold")
            .where(has_ended == is_open)
            .order_by(transfers.c.transfer_id)
            .limit(SHOWN)
        )
        for hold_id in tx.execute(lost).scalars():
            yield f"open_holds: the hold {hold_id} has not ended and is not open, or both"
    made = sa.exists().where(transfers.c.kind == "hold", _is_of(open_holds, transfers))
    unmade = sa.select(open_holds.c.hold_id).where(~made).order_by(open_holds.c.hold_id).limit(SHOWN)
    for hold_id in tx.execute(unmade).scalars():
        yield f"open_holds: {hold_id} is none that a transfer made"


def _is_of(hold: sa.Table, made: sa.Table) -> Any:
    """Tell whether an open hold is what a transfer made, to the last column."""
    same = (hold.c[name] == made.c[name] for name in ("debit_account", "credit_account", "amount"))
    return sa.and_(
        hold.c.hold_id == made.c.transfer_id, *same, hold.c.expires_at.is_not_distinct_from(made.c.expires_at)
    )
