"""Wallets: what goes over the wire.

Amounts are decimal text in the asset's own unit (`"3.50"` credits), exact, with at most as many decimals as the asset
has. Every amount that is sent is more than 0.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits

TransferKind = Literal["transfer", "hold", "capture", "release", "expiry"]
"""Money moved; money set aside; and how that ends: moved, whole or in part, or given back, by somebody or the clock."""

CREDIT = "credit"


# ── wallets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Balance(Struct, frozen=True):
    """What a wallet has of an asset: available = balance - held + credit_limit.

    `low_balance` is the threshold below which the log tells of it (`wallet_low`); null: never.
    """

    asset: str
    balance: str
    held: str
    available: str
    credit_limit: str
    low_balance: str | None


class Wallet(Struct, frozen=True):
    """Credits always, other assets once there were any; by name."""

    username: str
    balances: list[Balance]


class WalletChange(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is left out stays; a `low_balance` of null ends its telling. A `credit_limit` is the operator's to give."""

    asset: limits.AssetName = CREDIT
    low_balance: limits.Amount | UnsetType | None = UNSET
    credit_limit: limits.Amount | UnsetType = UNSET


# ── moving money ─────────────────────────────────────────────────────────────────────────────────────────────────────


class NewDeposit(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Money that came in from outside. `reference` (a payment's id) makes it happen once, for ever."""

    amount: limits.Amount
    asset: limits.AssetName = CREDIT
    reason: limits.Reason = "deposit"
    reference: limits.Reference | None = None


class NewWithdrawal(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Money that is paid out. `reference` makes it happen once, for ever."""

    amount: limits.Amount
    asset: limits.AssetName = CREDIT
    reason: limits.Reason = "withdrawal"
    reference: limits.Reference | None = None


class NewTransfer(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """From the wallet of `username` (who calls, where it is left out) to that of another member."""

    to: limits.Username
    amount: limits.Amount
    username: limits.Username | None = None
    asset: limits.AssetName = CREDIT
    reason: limits.Reason = "transfer"
    reference: limits.Reference | None = None


class Movement(Struct, frozen=True):
    """What was moved, and the wallet of `username` after it. `seq` is its entry in the log of the lane `money`."""

    transfer_id: int
    seq: int
    at: datetime
    username: str
    to: str | None
    amount: str
    asset: str
    reason: str
    reference: str
    balance: str
    available: str


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Cause(Struct, frozen=True):
    """The entry of the log that caused it: /api/v1/events?lane=LANE&after=SEQ-1&limit=1."""

    lane: str
    seq: int


class Line(Struct, frozen=True):
    """What a transfer changed, and what there was after it. `change` and `held_change` may be negative.

    `counterparty` is the other member; null where the other side is the world outside, or the operator's.
    """

    transfer_id: int
    at: datetime
    kind: TransferKind
    change: str
    held_change: str
    balance: str
    held: str
    counterparty: str | None
    reason: str
    reference: str
    caused_by: Cause
    hold_id: int | None
    expires_at: datetime | None


class Statement(Struct, frozen=True):
    """Newest first."""

    items: list[Line]
    next: str | None = None


# ── assets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewAsset(Struct, frozen=True, forbid_unknown_fields=True):
    """`decimals` stay as they are for ever."""

    asset: limits.AssetName
    decimals: Annotated[int, Meta(ge=0, le=12)]


class Asset(Struct, frozen=True):
    asset: str
    decimals: int
    added_at: datetime


class Assets(Struct, frozen=True):
    items: list[Asset]
    next: str | None = None
