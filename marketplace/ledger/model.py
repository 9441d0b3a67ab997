"""The words of the ledger.

Amounts are integers of an asset's smallest unit, at most MAX_AMOUNT; instants are microseconds since the epoch.
Moving an amount debits one account and credits another: what goes out here comes in there.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from marketplace.foundation import money
from marketplace.foundation.clock import Instant
from marketplace.foundation.kinds import Kind

AccountKind = Literal["wallet", "escrow", "revenue", "external"]
TransferKind = Literal["transfer", "hold", "capture", "release", "expiry"]

SCOPE = "default"
CREDIT = "credit"
CREDIT_DECIMALS = 6
ONE_CREDIT = 1_000_000
MAX_DECIMALS = 12
MAX_AMOUNT = 10**15
"""The most that one transfer may move: a thousand million credits."""
MAX_TOTAL = 4 * 10**18
"""What no total of an account is let pass; the tables take a little more."""


def starting_credits(credits_: int) -> int:
    """Return whole credits, as the setting has them, in the unit of the books."""
    return credits_ * ONE_CREDIT


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class AccountKey(NamedTuple):
    """Which account. No transfer leads from one scope or asset to another."""

    scope: str
    owner: str
    asset: str
    kind: AccountKind


def wallet(username: str, *, asset: str = CREDIT, scope: str = SCOPE) -> AccountKey:
    """Name a member's wallet."""
    return AccountKey(scope, username, asset, "wallet")


def escrow(name: str = "", *, asset: str = CREDIT, scope: str = SCOPE) -> AccountKey:
    """Name an account where money waits for what will become of it; `name` tells one of a module's from another."""
    return AccountKey(scope, name, asset, "escrow")


def revenue(name: str = "", *, asset: str = CREDIT, scope: str = SCOPE) -> AccountKey:
    """Name an account of what the operator has earned."""
    return AccountKey(scope, name, asset, "revenue")


def external(*, asset: str = CREDIT, scope: str = SCOPE) -> AccountKey:
    """Name the world outside, where deposits come from; the only account that is below zero without a limit."""
    return AccountKey(scope, "", asset, "external")


class Account(msgspec.Struct):
    """An account with its totals; `account_id` is 0 until it is opened, by the first transfer that touches it.

    Keeps: pending_debits + posted_debits <= posted_credits + credit_limit, unless it is external.
    """

    account_id: int
    scope: str
    owner: str
    asset: str
    kind: AccountKind
    posted_debits: int = 0
    posted_credits: int = 0
    pending_debits: int = 0
    pending_credits: int = 0
    credit_limit: int = 0
    low_balance: int | None = None
    last_transfer_id: int = 0
    opened_at: Instant = 0
    decimals: int = CREDIT_DECIMALS

    @property
    def key(self) -> AccountKey:
        return AccountKey(self.scope, self.owner, self.asset, self.kind)

    @property
    def is_open(self) -> bool:
        return self.account_id > 0

    @property
    def balance(self) -> int:
        """What is posted, held amounts included."""
        return self.posted_credits - self.posted_debits

    @property
    def available(self) -> int:
        """What can be spent or held now: the balance less what is held, and the credit limit."""
        return self.balance - self.pending_debits + self.credit_limit

    def written(self, units: int) -> str:
        """Write an amount of the account's asset."""
        return money.format_amount(units, decimals=self.decimals)


class Transfer(msgspec.Struct, frozen=True):
    """A row of the books. A hold sets `amount` aside; its end names it by `hold_id` and moves `amount` of it, or none.

    For a release or an expiry `amount` is what was set free.
    """

    transfer_id: int
    scope: str
    kind: TransferKind
    debit_account: int
    credit_account: int
    asset: str
    amount: int
    hold_id: int | None
    held_amount: int | None
    reason: str
    reference: str
    seq: int
    at: Instant
    expires_at: Instant | None


class Posted(msgspec.Struct, frozen=True):
    """A transfer that is in the books; `created` where this very call put it there, and not an earlier one."""

    transfer: Transfer
    created: bool = True


class Asset(msgspec.Struct, frozen=True):
    asset: str
    decimals: int
    added_at: Instant


# ── commands of the lane ─────────────────────────────────────────────────────────────────────────────────────────────


class Deposit(msgspec.Struct, frozen=True):
    """Bring money in from outside. Outcome: Paid.

    `reference` (a payment's id) makes it happen once: the same again is answered with the first one.
    """

    username: str
    amount: int
    asset: str = CREDIT
    reason: str = "deposit"
    reference: str | None = None
    scope: str = SCOPE


class Withdraw(msgspec.Struct, frozen=True):
    """Take money out. Outcome: Paid."""

    username: str
    amount: int
    asset: str = CREDIT
    reason: str = "withdrawal"
    reference: str | None = None
    scope: str = SCOPE


class Pay(msgspec.Struct, frozen=True):
    """Move money from one member to another. Outcome: Paid."""

    username: str
    to: str
    amount: int
    asset: str = CREDIT
    reason: str = "transfer"
    reference: str | None = None
    scope: str = SCOPE


class Paid(msgspec.Struct, frozen=True):
    """What a Deposit, a Withdraw or a Pay did, and the wallet of its `username` after it."""

    transfer: Transfer
    wallet: Account
    to: str | None = None
    created: bool = True


class SetWallet(msgspec.Struct, frozen=True):
    """Change a wallet's threshold or credit limit, opening it where it is not. Outcome: Account.

    `low_balance` None: never tell.
    """

    username: str
    asset: str = CREDIT
    low_balance: int | UnsetType | None = UNSET
    credit_limit: int | UnsetType = UNSET
    scope: str = SCOPE


class AddAsset(msgspec.Struct, frozen=True):
    """Add something to keep accounts in. Outcome: Asset."""

    asset: str
    decimals: int


class ExpireHolds(msgspec.Struct, frozen=True):
    """End at most `limit` holds whose time has come. Outcome: how many."""

    limit: int = 500


class NoteAudit(msgspec.Struct, frozen=True):
    """Remember how many faults an audit found, for the metrics. Outcome: None; the log has no entry of it."""

    violations: int


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# Amounts are decimal text, as everywhere outside.


class Deposited(msgspec.Struct, frozen=True, tag="deposited"):
    transfer_id: int
    username: str
    amount: str
    asset: str
    reason: str
    reference: str


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    transfer_id: int
    username: str
    amount: str
    asset: str
    reason: str
    reference: str


class Transferred(msgspec.Struct, frozen=True, tag="transferred"):
    transfer_id: int
    username: str
    to: str
    amount: str
    asset: str
    reason: str
    reference: str


class Received(msgspec.Struct, frozen=True, tag="received"):
    """The other side of `transferred`; the payer's reference is the payer's alone."""

    transfer_id: int
    username: str
    sender: str
    amount: str
    asset: str
    reason: str


class HoldExpired(msgspec.Struct, frozen=True, tag="hold_expired"):
    """`reference` is the hold's own."""

    transfer_id: int
    hold_id: int
    owner: str
    amount: str
    asset: str
    reason: str
    reference: str


class WalletSet(msgspec.Struct, frozen=True, tag="wallet_set"):
    username: str
    asset: str
    low_balance: str | None
    credit_limit: str


class WalletLow(msgspec.Struct, frozen=True, tag="wallet_low"):
    """Less than the threshold has become available."""

    username: str
    asset: str
    available: str
    low_balance: str


class AssetAdded(msgspec.Struct, frozen=True, tag="asset_added"):
    asset: str
    decimals: int


Event = Deposited | Withdrawn | Transferred | Received | HoldExpired | WalletSet | WalletLow | AssetAdded

TOPIC = "ledger"

KINDS = (
    Kind(TOPIC, Deposited, "money from outside into a wallet"),
    Kind(TOPIC, Withdrawn, "money out of a wallet"),
    Kind(TOPIC, Transferred, "a payment of one member to another"),
    Kind(TOPIC, Received, "the same, told to who was paid"),
    Kind(TOPIC, HoldExpired, "money that was set aside, free again since its time had come"),
    Kind(TOPIC, WalletSet, "another threshold or credit limit of a wallet"),
    Kind(TOPIC, WalletLow, "a wallet of which less than its threshold has become available"),
    Kind(TOPIC, AssetAdded, "an asset", is_public=True),
)
