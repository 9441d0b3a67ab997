"""A made-up module of the lane that uses the ledger as others do: it holds money, captures it and gives it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import Apply, Log
from marketplace.foundation.errors import Refusal
from marketplace.ledger import AccountKey, Books, Posted


class Hold(msgspec.Struct, frozen=True):
    """Outcome: Posted."""

    username: str
    amount: int
    reference: str | None = None
    to: str | None = None
    """A member; None: the house's revenue."""
    expires_at: int | None = None
    scope: str = ledger.SCOPE


class Capture(msgspec.Struct, frozen=True):
    hold_id: int
    amount: int | None = None
    reference: str | None = None
    scope: str = ledger.SCOPE


class Release(msgspec.Struct, frozen=True):
    hold_id: int
    reference: str | None = None
    scope: str = ledger.SCOPE


Command = Hold | Capture | Release


def handlers(*, starting_credits: int = 0) -> dict[type, Apply]:
    def apply(tx: sa.Connection, log: Log, commands: Sequence[Command], /, *, now: int) -> list[Any]:
        books = ledger.open_books(
            tx,
            accounts=[key for each in commands if isinstance(each, Hold) for key in sides(each)],
            references=[(each.scope, reference) for each in commands if (reference := name(each))],
            holds=[each.hold_id for each in commands if not isinstance(each, Hold)],
            now=now,
            starting_credits=starting_credits,
        )
        outcomes = [decide(books, log, command) for command in commands]
        ledger.settle(books, log)
        return outcomes

    return {Hold: apply, Capture: apply, Release: apply}


def sides(command: Hold) -> tuple[AccountKey, AccountKey]:
    house = ledger.revenue("house", scope=command.scope)
    to = ledger.wallet(command.to, scope=command.scope) if command.to else house
    return ledger.wallet(command.username, scope=command.scope), to


def name(command: Command) -> str | None:
    return command.reference and f"house/{command.reference}"


def decide(books: Books, log: Log, command: Command) -> Posted | Refusal:
    posted = ask(books, command, seq=log.next_seq, reason="lease", reference=name(command))
    if isinstance(posted, Posted) and posted.created:
        log.append(topic="house", kind="leased", subject="1", member=None, data=command)
    return posted


def ask(books: Books, command: Command, **why: Any) -> Posted | Refusal:
    match command:
        case Hold():
            return books.hold(*sides(command), command.amount, expires_at=command.expires_at, **why)
        case Capture():
            return books.capture(command.hold_id, command.amount, **why)
        case Release():
            return books.release(command.hold_id, **why)
