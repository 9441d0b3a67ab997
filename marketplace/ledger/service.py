"""What the lane runs for the ledger itself: money in and out, from member to member, limits, assets, expiries."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from msgspec import UNSET

from marketplace.database import Apply, Log
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal
from marketplace.ledger import errors, model, sql
from marketplace.ledger.book import note, open_books, settle
from marketplace.ledger.model import Account, AccountKey, Deposit, Paid, Pay, Transfer, Withdraw
from marketplace.ledger.postings import Books


def handlers(*, starting_credits: int = 0) -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it.

    `starting_credits`, in micro-credits, are what a wallet opens with.
    """
    paying = functools.partial(apply_payments, starting_credits=starting_credits)
    setting = functools.partial(apply_settings, starting_credits=starting_credits)
    return {
        **dict.fromkeys((Deposit, Withdraw, Pay), paying),
        # Apart from payments: a limit that one of them needs, or needs no longer, is then written before or after it.
        model.SetWallet: setting,
        model.AddAsset: apply_assets,
        model.ExpireHolds: apply_expiries,
        model.NoteAudit: apply_audits,
    }


# ── payments ─────────────────────────────────────────────────────────────────────────────────────────────────────────


_PREFIXES = {Deposit: "deposit", Withdraw: "withdrawal", Pay: "transfer"}


class _Order(NamedTuple):
    """A payment as the books see it. `mine` is the wallet of who is named first."""

    debit: AccountKey
    credit: AccountKey
    mine: AccountKey
    reference: str | None


def apply_payments(
    tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant, starting_credits: int
) -> list[Any]:
    """Run deposits, withdrawals and payments in arrival order. A refusal is an outcome and writes nothing."""
    orders = [_order(command) for command in commands]
    books = open_books(
        tx,
        accounts={key for order in orders for key in (order.debit, order.credit)},
        references={(order.mine.scope, order.reference) for order in orders if order.reference},
        now=now,
        starting_credits=starting_credits,
    )
    outcomes = [_pay(books, log, command, order) for command, order in zip(commands, orders, strict=True)]
    settle(books, log)
    return outcomes


def _order(command: Deposit | Withdraw | Pay) -> _Order:
    """Say what a command asks of the books. A caller's reference is of that caller and kind alone."""
    mine = model.wallet(command.username, asset=command.asset, scope=command.scope)
    outside = model.external(asset=command.asset, scope=command.scope)
    reference = command.reference and f"{_PREFIXES[type(command)]}/{command.reference}/{command.username}"
    match command:
        case Deposit():
            return _Order(outside, mine, mine, reference)
        case Withdraw():
            return _Order(mine, outside, mine, reference)
        case Pay():
            return _Order(mine, mine._replace(owner=command.to), mine, reference)


def _pay(books: Books, log: Log, command: Deposit | Withdraw | Pay, order: _Order) -> Paid | Refusal:
    if order.debit == order.credit:
        return errors.SameWallet(command.username)
    posted = books.transfer(
        order.debit,
        order.credit,
        command.amount,
        seq=log.next_seq,
        reason=command.reason,
        reference=order.reference,
    )
    if isinstance(posted, Refusal):
        return posted
    wallet = books.account(order.mine)
    assert isinstance(wallet, Account)
    if posted.created:
        note(log, _said(command, posted.transfer, wallet), command.username, member=command.username)
        if isinstance(command, Pay):  # an entry has one reader, and this is news to two
            note(log, _received(command, posted.transfer, wallet), command.to, member=command.to)
    to = command.to if isinstance(command, Pay) else None
    return Paid(posted.transfer, copy.copy(wallet), to=to, created=posted.created)


def _said(command: Deposit | Withdraw | Pay, done: Transfer, wallet: Account) -> model.Event:
    amount = wallet.written(done.amount)
    match command:
        case Deposit():
            return model.Deposited(done.transfer_id, command.username, amount, done.asset, done.reason, done.reference)
        case Withdraw():
            return model.Withdrawn(done.transfer_id, command.username, amount, done.asset, done.reason, done.reference)
        case Pay():
            return model.Transferred(
                done.transfer_id, command.username, command.to, amount, done.asset, done.reason, done.reference
            )


def _received(command: Pay, done: Transfer, wallet: Account) -> model.Received:
    amount = wallet.written(done.amount)
    return model.Received(done.transfer_id, command.to, command.username, amount, done.asset, done.reason)


# ── limits and assets ────────────────────────────────────────────────────────────────────────────────────────────────


def apply_settings(
    tx: sa.Connection, log: Log, commands: Sequence[model.SetWallet], /, *, now: Instant, starting_credits: int
) -> list[Any]:
    """Change thresholds and credit limits. A limit never falls below what a wallet uses of it."""
    keys = [model.wallet(one.username, asset=one.asset, scope=one.scope) for one in commands]
    books = open_books(tx, accounts=keys, now=now, starting_credits=starting_credits)
    outcomes = [_set(books, log, command, key) for command, key in zip(commands, keys, strict=True)]
    settle(books, log)
    return outcomes


def _set(books: Books, log: Log, command: model.SetWallet, key: AccountKey) -> Account | Refusal:
    account = books.account(key)
    if isinstance(account, Refusal):
        return account
    low_balance = account.low_balance if command.low_balance is UNSET else command.low_balance
    credit_limit = account.credit_limit if command.credit_limit is UNSET else command.credit_limit
    if account.is_open and (low_balance, credit_limit) == (account.low_balance, account.credit_limit):
        return copy.copy(account)
    done = books.limit(key, seq=log.next_seq, low_balance=low_balance, credit_limit=credit_limit)
    if isinstance(done, Refusal):
        return done
    threshold = None if low_balance is None else account.written(low_balance)
    said = model.WalletSet(account.owner, account.asset, threshold, account.written(credit_limit))
    note(log, said, account.owner, member=account.owner)
    return copy.copy(done)


def apply_assets(
    tx: sa.Connection, log: Log, commands: Sequence[model.AddAsset], /, *, now: Instant
) -> list[model.Asset | errors.AssetExists]:
    """Add assets. They stay for ever, with the decimals that they have."""
    taken = {one.asset for one in sql.read_assets(tx, {command.asset for command in commands})}
    outcomes: list[model.Asset | errors.AssetExists] = []
    for command in commands:
        if command.asset in taken:
            outcomes.append(errors.AssetExists(command.asset))
            continue
        taken.add(command.asset)
        outcomes.append(model.Asset(command.asset, command.decimals, now))
        note(log, model.AssetAdded(command.asset, command.decimals), command.asset, member=None)
    log.write_later([sql.insert_assets([one for one in outcomes if isinstance(one, model.Asset)])])
    return outcomes


# ── what the clock asks for ──────────────────────────────────────────────────────────────────────────────────────────


def apply_expiries(tx: sa.Connection, log: Log, commands: Sequence[model.ExpireHolds], /, *, now: Instant) -> list[int]:
    """End holds whose time has come, the longest overdue first; each is an entry of the log."""
    due = sql.read_due(tx, now=now, limit=sum(command.limit for command in commands))
    books = open_books(tx, holds=due, now=now)
    rest = iter(due)
    outcomes = [sum(1 for _ in _expire(books, log, rest, limit=command.limit)) for command in commands]
    settle(books, log)
    return outcomes


def _expire(books: Books, log: Log, due: Iterator[int], *, limit: int) -> Iterator[Transfer]:
    for _, hold_id in zip(range(limit), due, strict=False):
        posted = books.expire(hold_id, seq=log.next_seq)
        assert isinstance(posted, model.Posted), "a hold that is open and over can expire"
        hold, owner = books.hold_of(hold_id), books.account_of(posted.transfer.debit_account)
        assert hold
        amount = owner.written(hold.amount)
        said = model.HoldExpired(
            posted.transfer.transfer_id, hold_id, owner.owner, amount, hold.asset, hold.reason, hold.reference
        )
        note(log, said, owner.owner, member=owner.owner if owner.kind == "wallet" else None)
        yield posted.transfer


def apply_audits(_tx: sa.Connection, log: Log, commands: Sequence[model.NoteAudit], /, *, now: Instant) -> list[None]:
    """Remember how the last audit ended."""
    log.write_later([sql.put_audit(scope=model.SCOPE, violations=commands[-1].violations, now=now)])
    log.is_dirty = True
    return [None] * len(commands)
