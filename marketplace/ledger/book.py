"""How a batch gets the books into its hands, and how it leaves them: read once for all, written once for all.

books = ledger.open_books(tx, accounts=…, references=…, holds=…, now=now)
held = books.hold(ledger.wallet("ann"), ledger.revenue("spot"), 500, seq=log.next_seq, reason="lease")
…
ledger.settle(books, log)
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from marketplace.database import Log
from marketplace.foundation.clock import Instant
from marketplace.ledger import model, sql
from marketplace.ledger.model import AccountKey
from marketplace.ledger.postings import Books, Known, Reference

TOPIC = "ledger"


def open_books(
    tx: sa.Connection,
    *,
    accounts: Iterable[AccountKey] = (),
    references: Iterable[Reference] = (),
    holds: Iterable[int] = (),
    now: Instant,
    starting_credits: int = 0,
) -> Books:
    """Read what a batch may touch: accounts (open or not), (scope, reference) pairs, holds by their ids.

    A hold brings its two accounts along, and an account that of the world outside. A wallet of credits that is not open
    yet opens with `starting_credits` when it is first touched.
    """
    keys = set(accounts)
    keys |= {model.external(asset=key.asset, scope=key.scope) for key in keys}
    known_holds, ends = sql.read_holds(tx, set(holds))
    found = {account.account_id: account for account in sql.read_accounts(tx, keys)}
    of_holds = {one for hold in known_holds for one in (hold.debit_account, hold.credit_account)}
    found |= {account.account_id: account for account in sql.read_accounts_by_id(tx, of_holds - set(found))}
    unknown = {key.asset for key in keys.difference(account.key for account in found.values())}
    last_transfer_id, last_account_id = sql.read_last_ids(tx)
    known = Known(
        accounts=found.values(),
        decimals={one.asset: one.decimals for one in sql.read_assets(tx, unknown)},
        references=sql.read_references(tx, set(references)),
        holds=known_holds,
        ends=ends,
        last_transfer_id=last_transfer_id,
        last_account_id=last_account_id,
    )
    return Books(known, now=now, starting_credits=starting_credits)


def settle(books: Books, log: Log) -> None:
    """Leave all that was decided to the lane to be written, and tell the log of wallets that ran low. Call it once."""
    for low in books.lows:
        account = low.account
        said = model.WalletLow(
            account.owner, account.asset, account.written(low.available), account.written(low.low_balance)
        )
        note(log, said, account.owner, member=account.owner)
    log.write_later(
        [
            sql.insert_accounts(books.opened),
            sql.set_limits(books.limited.values()),
            sql.insert_transfers(books.transfers),
        ]
    )


def note(log: Log, said: model.Event, subject: str, *, member: str | None) -> int:
    """Append what happened and return its seq."""
    kind = str(said.__struct_config__.tag)
    return log.append(topic=TOPIC, kind=kind, subject=subject, member=member, data=said)
