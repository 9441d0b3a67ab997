"""The rule of the ledger: what may be moved or held, and what that does to the totals of both sides.

    transfer   debits one account and credits another
    hold       sets an amount of the debited account aside for the credited one
    capture    ends a hold: the amount, or a part of it, is moved, the rest is free again
    release    ends a hold: all of it is free again; an expiry is a release by the clock

What leaves an account, held amounts included, never exceeds what came in and its credit limit; the world outside alone
may go below zero. So the sum over all accounts of an asset is 0, always. A hold ends exactly once, and is not captured
from its expiry on, whether or not the clock has come by. A reference is carried out once: the same again is answered
with the first one, anything else under it is refused.

    ann has 100, and 30 of it are held for the house:      balance 100, available 70
    she pays bob 80                                        refused: 70 available, 80 needed
    she pays bob 70                                        balance 30, available 0; bob has 70
    20 of the hold are captured                            balance 10, available 10; the house has 20
    the hold is captured once more                         refused: it has ended

Nothing here reads or writes: `Books` are what a batch has read, changed in memory, with the rows to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal
from marketplace.ledger import errors, model
from marketplace.ledger.model import MAX_AMOUNT, MAX_TOTAL, Account, AccountKey, Posted, Transfer, TransferKind

Reference = tuple[str, str]
"""A scope, and a reference in it."""

STARTING_REASON = "starting credits"
_ENDED = {"capture": "it was captured", "release": "it was released", "expiry": "it expired"}


class Low(NamedTuple):
    """A wallet of which less than its threshold has become available."""

    account: Account
    available: int
    low_balance: int


class Known(msgspec.Struct, frozen=True):
    """What was read for a batch: accounts that are open, assets by their decimals, transfers by their references,
    the holds asked for with their ends; and the last ids."""

    accounts: Iterable[Account]
    decimals: Mapping[str, int]
    references: Iterable[Transfer]
    holds: Iterable[Transfer]
    ends: Iterable[Transfer]
    last_transfer_id: int
    last_account_id: int


class Books:
    """The part of the books that a batch has in its hands.

    Each call decides at once and returns `Posted` or a refusal; a refusal changes nothing. `seq` is that of the log's
    entry which the caller appends if the call is accepted. `reference` None makes up a new one.
    """

    def __init__(self, known: Known, *, now: Instant, starting_credits: int = 0) -> None:
        self.now = now
        self._starting_credits = starting_credits
        self._accounts = {account.key: account for account in known.accounts}
        self._by_id = {account.account_id: account for account in self._accounts.values()}
        self._decimals = known.decimals
        self._references = {(one.scope, one.reference): one for one in known.references}
        self._holds = {one.transfer_id: one for one in known.holds}
        self._ends = {one.hold_id: one for one in known.ends}
        self._last_transfer_id = known.last_transfer_id
        self._last_account_id = known.last_account_id
        self.opened: list[Account] = []
        self.limited: dict[int, Account] = {}
        """Accounts that were open before and whose limits have changed, by id."""
        self.transfers: list[Transfer] = []
        self.lows: list[Low] = []

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def account(self, key: AccountKey) -> Account | errors.UnknownAsset:
        """Return an account as it is now; one that nobody has touched yet is empty and not open."""
        found = self._accounts.get(key)
        if found is None:
            decimals = self._decimals.get(key.asset)
            if decimals is None:
                return errors.UnknownAsset(key.asset)
            found = self._accounts[key] = Account(0, *key, decimals=decimals)
        return found

    def available(self, key: AccountKey) -> int:
        """Return what can be spent or held now; of an unknown asset nothing."""
        account = self.account(key)
        return 0 if isinstance(account, Refusal) else self._available(account)

    def account_of(self, account_id: int) -> Account:
        """Return an open account by its id."""
        return self._by_id[account_id]

    def hold_of(self, hold_id: int) -> Transfer | None:
        """Return a hold that was asked for, or made here, if there is one; it may have ended."""
        return self._holds.get(hold_id)

    # ── moving ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def deposit(
        self, to: AccountKey, amount: int, *, seq: int, reason: str, reference: str | None = None
    ) -> Posted | Refusal:
        """Bring an amount in from outside."""
        outside = model.external(asset=to.asset, scope=to.scope)
        return self.transfer(outside, to, amount, seq=seq, reason=reason, reference=reference)

    def withdraw(
        self, account: AccountKey, amount: int, *, seq: int, reason: str, reference: str | None = None
    ) -> Posted | Refusal:
        """Take an amount out. Refused: NotCovered."""
        outside = model.external(asset=account.asset, scope=account.scope)
        return self.transfer(account, outside, amount, seq=seq, reason=reason, reference=reference)

    def transfer(
        self,
        debit: AccountKey,
        credit: AccountKey,
        amount: int,
        *,
        seq: int,
        reason: str,
        reference: str | None = None,
    ) -> Posted | Refusal:
        """Move an amount between accounts. Refused: NotCovered, AccountFull, ReferenceTaken, UnknownAsset."""
        return self._start("transfer", debit, credit, amount=amount, seq=seq, reason=reason, reference=reference)

    # ── holding ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def hold(
        self,
        debit: AccountKey,
        credit: AccountKey,
        amount: int,
        *,
        seq: int,
        reason: str,
        reference: str | None = None,
        expires_at: Instant | None = None,
    ) -> Posted | Refusal:
        """Set an amount aside for another account; the transfer's id is the hold's. Refused as `transfer` is."""
        assert expires_at is None or expires_at > self.now, "a hold ends later than it begins"
        return self._start(
            "hold", debit, credit, amount=amount, seq=seq, reason=reason, reference=reference, expires_at=expires_at
        )

    def capture(
        self, hold_id: int, amount: int | None = None, *, seq: int, reason: str, reference: str | None = None
    ) -> Posted | Refusal:
        """Move a held amount, or a part of it, where it was held for; the rest is free again.

        Refused: UnknownHold, HoldEnded, BeyondHold, ReferenceTaken.
        """
        return self._end("capture", hold_id, amount, seq=seq, reason=reason, reference=reference)

    def release(self, hold_id: int, *, seq: int, reason: str, reference: str | None = None) -> Posted | Refusal:
        """Set a held amount free again. Refused: UnknownHold, HoldEnded, ReferenceTaken."""
        return self._end("release", hold_id, None, seq=seq, reason=reason, reference=reference)

    def expire(self, hold_id: int, *, seq: int) -> Posted | Refusal:
        """End a hold whose time has come. Refused: UnknownHold, HoldEnded."""
        return self._end("expiry", hold_id, None, seq=seq, reason="expired", reference=None)

    # ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def limit(
        self, key: AccountKey, *, seq: int, low_balance: int | None, credit_limit: int
    ) -> Account | errors.UnknownAsset | errors.LimitInUse:
        """Set a wallet's threshold and credit limit, opening it where it is not."""
        account = self.account(key)
        if isinstance(account, Refusal):
            return account
        used = account.pending_debits - account.balance
        if used > credit_limit:
            return errors.LimitInUse(account.owner, used=account.written(used))
        was_open = account.is_open
        self._open(account, seq=seq)
        account.low_balance, account.credit_limit = low_balance, credit_limit
        if was_open:
            self.limited[account.account_id] = account
        return account

    # ── how it is done ───────────────────────────────────────────────────────────────────────────────────────────────

    def _start(
        self,
        kind: TransferKind,
        debit: AccountKey,
        credit: AccountKey,
        *,
        amount: int,
        seq: int,
        reason: str,
        reference: str | None,
        expires_at: Instant | None = None,
    ) -> Posted | Refusal:
        assert 1 <= amount <= MAX_AMOUNT, "whoever asks has bounded the amount"
        assert debit.scope == credit.scope, "no transfer leads out of its scope"
        assert debit.asset == credit.asset, "no transfer makes one asset of another"
        payer, payee = self.account(debit), self.account(credit)
        if isinstance(payer, Refusal):
            return payer
        assert isinstance(payee, Account)
        if first := self._references.get((debit.scope, reference or "")):
            sides = (payer.account_id, payee.account_id)
            return _again(first, (kind, *sides, amount, None, reason))
        if payer.kind != "external" and self._available(payer) < amount:
            return errors.NotCovered(
                payer.owner,
                payer.asset,
                available=payer.written(self._available(payer)),
                needed=payer.written(amount),
            )
        if _is_full(payer, payee, amount):
            return errors.AccountFull(payee.owner, payee.asset)
        self._open(payer, seq=seq)
        self._open(payee, seq=seq)
        return self._post(
            kind, payer, payee, amount=amount, seq=seq, reason=reason, reference=reference, expires_at=expires_at
        )

    def _end(
        self,
        kind: TransferKind,
        hold_id: int,
        amount: int | None,
        *,
        seq: int,
        reason: str,
        reference: str | None,
    ) -> Posted | Refusal:
        hold = self._holds.get(hold_id)
        if hold is None:
            return errors.UnknownHold(hold_id)
        amount = hold.amount if amount is None else amount
        assert 1 <= amount <= MAX_AMOUNT, "whoever asks has bounded the amount"
        if first := self._references.get((hold.scope, reference or "")):
            return _again(first, (kind, hold.debit_account, hold.credit_account, amount, hold_id, reason))
        if end := self._ends.get(hold_id):
            return errors.HoldEnded(hold_id, _ENDED[end.kind])
        is_over = hold.expires_at is not None and hold.expires_at <= self.now
        assert is_over or kind != "expiry", "the clock ends what is over"
        if is_over and kind == "capture":
            return errors.HoldEnded(hold_id, _ENDED["expiry"])
        payer, payee = self._by_id[hold.debit_account], self._by_id[hold.credit_account]
        if amount > hold.amount:
            return errors.BeyondHold(hold_id, held=payer.written(hold.amount), needed=payer.written(amount))
        return self._post(kind, payer, payee, amount=amount, seq=seq, reason=reason, reference=reference, hold=hold)

    def _post(
        self,
        kind: TransferKind,
        payer: Account,
        payee: Account,
        *,
        amount: int,
        seq: int,
        reason: str,
        reference: str | None,
        hold: Transfer | None = None,
        expires_at: Instant | None = None,
    ) -> Posted:
        """Put a transfer that was decided into the books."""
        self._last_transfer_id += 1
        number = self._last_transfer_id
        transfer = Transfer(
            number,
            payer.scope,
            kind,
            payer.account_id,
            payee.account_id,
            payer.asset,
            amount,
            hold.transfer_id if hold else None,
            hold.amount if hold else None,
            reason,
            reference or f"#{number}",
            seq,
            self.now,
            expires_at,
        )
        before = payer.available
        _count(transfer, payer, payee)
        if payer.low_balance is not None and payer.available < payer.low_balance <= before:
            self.lows.append(Low(payer, payer.available, payer.low_balance))
        self.transfers.append(transfer)
        self._references[transfer.scope, transfer.reference] = transfer
        if kind == "hold":
            self._holds[number] = transfer
        if hold:
            self._ends[hold.transfer_id] = transfer
        return Posted(transfer)

    def _starting(self, account: Account) -> int:
        """Return what an account opens with."""
        has_some = account.kind == "wallet" and account.asset == model.CREDIT
        return self._starting_credits if has_some and not account.is_open else 0

    def _available(self, account: Account) -> int:
        return account.available + self._starting(account)

    def _open(self, account: Account, *, seq: int) -> None:
        """Open an account that a transfer is going to touch, with its starting credits."""
        if account.is_open:
            return
        starting = self._starting(account)
        self._last_account_id += 1
        account.account_id, account.opened_at = self._last_account_id, self.now
        self._by_id[account.account_id] = account
        self.opened.append(account)
        if starting:
            outside = self.account(model.external(asset=account.asset, scope=account.scope))
            assert isinstance(outside, Account)
            self._open(outside, seq=seq)
            self._post("transfer", outside, account, amount=starting, seq=seq, reason=STARTING_REASON, reference=None)


def _again(first: Transfer, asked: tuple[object, ...]) -> Posted | errors.ReferenceTaken:
    """Answer a reference that was carried out before."""
    done = (first.kind, first.debit_account, first.credit_account, first.amount, first.hold_id, first.reason)
    return Posted(first, created=False) if done == asked else errors.ReferenceTaken(first.reference)


def _is_full(payer: Account, payee: Account, amount: int) -> bool:
    return (
        payer.posted_debits + payer.pending_debits + amount > MAX_TOTAL
        or payee.posted_credits + payee.pending_credits + amount > MAX_TOTAL
    )


def _count(transfer: Transfer, payer: Account, payee: Account) -> None:
    """Add a transfer to the totals of both sides; the database's triggers do the same."""
    posted = transfer.amount if transfer.kind in ("transfer", "capture") else 0
    pending = transfer.amount if transfer.kind == "hold" else -(transfer.held_amount or 0)
    payer.posted_debits += posted
    payee.posted_credits += posted
    payer.pending_debits += pending
    payee.pending_credits += pending
    payer.last_transfer_id = payee.last_transfer_id = transfer.transfer_id
