"""`wallet`: money from the keyboard and from scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from marketplace.cli import terminal
from marketplace.cli.connection import DEFAULT_URL, Key, Url, connect

if TYPE_CHECKING:
    from marketplace.wire import ledger

CREDIT = "credit"
NEVER = "never"

Asset = Annotated[str, Parameter(help="What is moved or looked at.")]
Reason = Annotated[str | None, Parameter(help="What for, in a few words; the statement shows it.")]
Reference = Annotated[str | None, Parameter(help="Such as a payment's id: the same one again does nothing.")]
Json = Annotated[bool, Parameter(negative="", help="A JSON document a line, for other programs.")]


def show(username: str, *, json: Json = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show what a member has."""
    with connect(url, key) as client:
        found = client.wallet(username)
    if json:
        terminal.print_json(found)
        return
    numbers = ("balance", "held", "available", "credit limit", "low balance")
    shown = terminal.table("asset", *numbers, right=numbers)
    for one in found.balances:
        terminal.add_row(
            shown, one.asset, one.balance, one.held, one.available, one.credit_limit, one.low_balance or NEVER
        )
    terminal.output().print(shown)


def statement(
    username: str,
    *,
    asset: Asset = CREDIT,
    limit: Annotated[int, Parameter(name=["--limit", "-n"])] = 100,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List what happened to a wallet, newest first.

    Parameters
    ----------
    limit
        How many lines at most.
    """
    with connect(url, key) as client:
        terminal.print_first(
            limit, lambda size: client.statement(username, asset=asset, page_size=size), _print_lines, as_json=json
        )


def deposit(
    username: str,
    amount: str,
    *,
    asset: Asset = CREDIT,
    reason: Reason = None,
    reference: Reference = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Bring money into a wallet from outside.

    Parameters
    ----------
    amount
        How much, as 12 or 3.50.
    """
    with connect(url, key) as client:
        done = client.deposit(username, amount, asset=asset, reason=reason or "deposit", reference=reference)
    _print_movement(done, as_json=json)


def withdraw(
    username: str,
    amount: str,
    *,
    asset: Asset = CREDIT,
    reason: Reason = None,
    reference: Reference = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Take money out of a wallet.

    Parameters
    ----------
    amount
        How much, as 12 or 3.50.
    """
    with connect(url, key) as client:
        done = client.withdraw(username, amount, asset=asset, reason=reason or "withdrawal", reference=reference)
    _print_movement(done, as_json=json)


def transfer(
    username: str,
    to: str,
    amount: str,
    *,
    asset: Asset = CREDIT,
    reason: Reason = None,
    reference: Reference = None,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Pay from one wallet to another.

    Parameters
    ----------
    username
        Who pays.
    to
        Who is paid.
    amount
        How much, as 12 or 3.50.
    """
    with connect(url, key) as client:
        done = client.transfer(
            to, amount, username=username, asset=asset, reason=reason or "transfer", reference=reference
        )
    _print_movement(done, as_json=json)


def set_(
    username: str,
    *,
    low_balance: str | None = None,
    credit_limit: str | None = None,
    asset: Asset = CREDIT,
    json: Json = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Change a wallet's threshold or credit limit.

    Parameters
    ----------
    low_balance
        The log tells when less than this is available; `never` ends that.
    credit_limit
        How far below zero the wallet may go.
    """
    if low_balance is None and credit_limit is None:
        raise terminal.Stop("Say what to change: --low-balance or --credit-limit.", exit_code=2)
    from msgspec import UNSET

    low = UNSET if low_balance is None else None if low_balance == NEVER else low_balance
    with connect(url, key) as client:
        changed = client.set_wallet(
            username, asset=asset, low_balance=low, credit_limit=UNSET if credit_limit is None else credit_limit
        )
    if json:
        terminal.print_json(changed)
        return
    threshold = f"told of below {changed.low_balance}" if changed.low_balance else "never told of"
    terminal.output().print(f"{username}: credit limit {changed.credit_limit} {asset}, {threshold}.", soft_wrap=True)


# ── printing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _print_movement(done: ledger.Movement, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(done)
        return
    to = f" to {done.to}" if done.to else ""
    terminal.output().print(
        f"{done.reason}: {done.amount} {done.asset}{to}; {done.username} has {done.balance}, "
        f"{done.available} of it available.",
        soft_wrap=True,
    )


def _print_lines(rows: list[ledger.Line]) -> None:
    numbers = ("change", "held", "balance")
    shown = terminal.table("at", "kind", *numbers, "with", "reason", "seq", right=(*numbers, "seq"))
    for one in rows:
        at = one.at.strftime("%Y-%m-%d %H:%M:%S")
        terminal.add_row(
            shown,
            at,
            one.kind,
            one.change,
            one.held_change,
            one.balance,
            one.counterparty,
            one.reason,
            one.caused_by.seq,
        )
    terminal.output().print(shown if rows else "Nothing has happened yet.")
