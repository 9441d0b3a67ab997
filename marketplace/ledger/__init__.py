"""The ledger: wallets, and what moves between them. Double entry, nothing lost, every transfer once.

How a payment is made: `routes` hand `Pay` to the lane `money`; the lane calls `service`, which opens the books of all
accounts that the batch names, decides each command by the rule (`postings`) and leaves the rows to be written. The
database's own triggers bring each transfer into the balances, and refuse whatever else would change them.

    commands        Deposit Withdraw Pay SetWallet AddAsset ExpireHolds NoteAudit
    reads           lookups, reports: functions of a read-only tx
    handlers()      what the lane needs to run the commands
    audit           proves the books

For other modules of the lane, within their own `apply`, with their `tx` (see `book` for the three steps):

    open_books()    reads the accounts, references and holds of a whole batch, once
    Books           .hold() .capture() .release() .transfer() .deposit() .withdraw() .available(), each decided at once
    settle()        leaves what was decided to the lane to be written
    wallet() escrow() revenue() external()      which account
"""

from marketplace.ledger.audit import audit, quick
from marketplace.ledger.book import open_books, settle
from marketplace.ledger.lookups import (
    LastAudit,
    Line,
    Place,
    Statement,
    balance,
    find_asset,
    find_wallets,
    has_due_holds,
    last_audit,
    list_assets,
    received,
    statement,
)
from marketplace.ledger.model import (
    CREDIT,
    CREDIT_DECIMALS,
    KINDS,
    MAX_AMOUNT,
    SCOPE,
    Account,
    AccountKey,
    AddAsset,
    Asset,
    Deposit,
    ExpireHolds,
    NoteAudit,
    Paid,
    Pay,
    Posted,
    SetWallet,
    Transfer,
    Withdraw,
    escrow,
    external,
    revenue,
    starting_credits,
    wallet,
)
from marketplace.ledger.postings import Books
from marketplace.ledger.reports import REPORTS, read_report
from marketplace.ledger.service import handlers

__all__ = [
    "CREDIT",
    "CREDIT_DECIMALS",
    "KINDS",
    "MAX_AMOUNT",
    "REPORTS",
    "SCOPE",
    "Account",
    "AccountKey",
    "AddAsset",
    "Asset",
    "Books",
    "Deposit",
    "ExpireHolds",
    "LastAudit",
    "Line",
    "NoteAudit",
    "Paid",
    "Pay",
    "Place",
    "Posted",
    "SetWallet",
    "Statement",
    "Transfer",
    "Withdraw",
    "audit",
    "balance",
    "escrow",
    "external",
    "find_asset",
    "find_wallets",
    "handlers",
    "has_due_holds",
    "last_audit",
    "list_assets",
    "open_books",
    "quick",
    "read_report",
    "received",
    "revenue",
    "settle",
    "starting_credits",
    "statement",
    "wallet",
]
