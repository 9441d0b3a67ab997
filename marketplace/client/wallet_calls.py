"""The endpoints of wallets, as functions that return a request as a value, for both clients.

Amounts are decimal text, such as "3.50", or whole numbers; never floats. What moves money takes an `idempotency_key`;
one is drawn where none is given. A `reference` is kept for ever, where a key is kept for 72 hours.
"""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

from marketplace.client.requests import PAGE_SIZE, Call, Listing, create, query_of
from marketplace.wire import ledger

Amount = str | int | Decimal

TRANSFERS = "/api/v1/transfers"
ASSETS = "/api/v1/assets"


def wallet(username: str) -> Call[ledger.Wallet]:
    """Read what a member has."""
    return Call("GET", _wallet(username), ledger.Wallet)


def statement(username: str, *, asset: str = ledger.CREDIT, page_size: int = PAGE_SIZE) -> Listing[ledger.Line]:
    """List what happened to a wallet, newest first, each line with the balance after it."""
    query = query_of(asset=asset, limit=page_size)
    return Listing(Call("GET", f"{_wallet(username)}/statement", ledger.Statement, query))


def deposit(
    username: str,
    amount: Amount,
    *,
    asset: str = ledger.CREDIT,
    reason: str = "deposit",
    reference: str | None = None,
    idempotency_key: str | None = None,
) -> Call[ledger.Movement]:
    """Bring money in from outside. Conflict where the reference was used for something else."""
    body = ledger.NewDeposit(text_of(amount), asset, reason, reference)
    return create(f"{_wallet(username)}/deposits", body, ledger.Movement, key=idempotency_key)


def withdraw(
    username: str,
    amount: Amount,
    *,
    asset: str = ledger.CREDIT,
    reason: str = "withdrawal",
    reference: str | None = None,
    idempotency_key: str | None = None,
) -> Call[ledger.Movement]:
    """Take money out. Unaffordable where less is available."""
    body = ledger.NewWithdrawal(text_of(amount), asset, reason, reference)
    return create(f"{_wallet(username)}/withdrawals", body, ledger.Movement, key=idempotency_key)


def transfer(
    to: str,
    amount: Amount,
    *,
    username: str | None = None,
    asset: str = ledger.CREDIT,
    reason: str = "transfer",
    reference: str | None = None,
    idempotency_key: str | None = None,
) -> Call[ledger.Movement]:
    """Pay another member, from the wallet of `username`. Unaffordable where less is available."""
    body = ledger.NewTransfer(to, text_of(amount), username, asset, reason, reference)
    return create(TRANSFERS, body, ledger.Movement, key=idempotency_key)


def set_wallet(
    username: str,
    *,
    asset: str = ledger.CREDIT,
    low_balance: Amount | UnsetType | None = UNSET,
    credit_limit: Amount | UnsetType = UNSET,
) -> Call[ledger.Balance]:
    """Change the threshold below which the log tells of a wallet (None: never), or its credit limit."""
    low = low_balance if low_balance is UNSET or low_balance is None else text_of(low_balance)
    limit = credit_limit if credit_limit is UNSET else text_of(credit_limit)
    body = msgspec.json.encode(ledger.WalletChange(asset, low, limit))
    return Call("PATCH", _wallet(username), ledger.Balance, body=body)


def assets(*, page_size: int = PAGE_SIZE) -> Listing[ledger.Asset]:
    """List what wallets may be kept in, by name."""
    return Listing(Call("GET", ASSETS, ledger.Assets, query_of(limit=page_size)))


def add_asset(asset: str, *, decimals: int, idempotency_key: str | None = None) -> Call[ledger.Asset]:
    """Add an asset. Conflict where there is one of that name."""
    return create(ASSETS, ledger.NewAsset(asset, decimals), ledger.Asset, key=idempotency_key)


def _wallet(username: str) -> str:
    return f"/api/v1/wallets/{quote(username, safe='')}"


def text_of(amount: Amount) -> str:
    """Write an amount as the service reads it."""
    return format(amount, "f") if isinstance(amount, Decimal) else str(amount)
