"""The page of a wallet: what there is, what is held, what caused each line, and how long it lasts."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.response import Stream
from msgspec import UNSET

from marketplace import events, identity, ledger
from marketplace.dashboard import forms, live, pages, visits
from marketplace.dashboard.live import Parts, Watched
from marketplace.dashboard.pages import HttpRequest
from marketplace.dashboard.visits import Viewer
from marketplace.database import Lane, money
from marketplace.database.log import read_head
from marketplace.foundation import clock, errors
from marketplace.foundation import money as amounts
from marketplace.http import cursors, params
from marketplace.http.resources import database, resources
from marketplace.wire import ledger as wire

HERE = "wallet"
LINES = 50


class Purse(msgspec.Struct, frozen=True):
    """A member's wallets, the latest of its credits' history, and what went out of those in the last hour."""

    wallets: list[ledger.Account]
    statement: ledger.Statement
    spent_last_hour: int
    seq: int

    @property
    def hours_left(self) -> float | None:
        """How long the credits last if the next hours are as the last one; None where nothing was spent."""
        available = next(one.available for one in self.wallets if one.asset == ledger.CREDIT)
        return max(available, 0) / self.spent_last_hour if self.spent_last_hour else None


def read_purse(tx: Any, /, username: str, *, starting_credits: int, after: ledger.Place | None) -> Purse:
    """Read a wallet. Run it in a snapshot."""
    key = ledger.wallet(username)
    return Purse(
        ledger.find_wallets(tx, username, starting_credits=starting_credits),
        ledger.statement(tx, key, after=after, limit=LINES),
        ledger.spent_since(tx, key, clock.now() - clock.HOUR),
        read_head(tx, money.LANE).last_seq,
    )


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


@get("/dashboard/wallet", opt={"scope": "read"})
async def show(request: HttpRequest, after: params.AfterLine = None) -> Response[str]:
    """Show the wallet of whom one acts for."""
    viewer = visits.viewer(request)
    place = ledger.Place(*last) if (last := cursors.to_line(after)) else None
    purse = await _read(request, viewer, place)
    # A page of the past does not move.
    stream = f"/dashboard/wallet/stream?after={money.LANE}:{purse.seq}" if purse and place is None else None
    return pages.page(
        request,
        "wallet/page.html",
        here=HERE,
        viewer=viewer,
        parts={"purse": _render(purse, viewer)},
        stream=stream,
        once=forms.once,
    )


@get("/dashboard/wallet/stream", opt={"scope": "read"})
async def follow(request: HttpRequest) -> Stream:
    """Follow the wallet of whom one acts for."""
    viewer = visits.viewer(request)

    async def read(at_least: int) -> Parts:
        purse = await _read(request, viewer, None)
        return Parts(purse.seq if purse else at_least, {"purse": _render(purse, viewer)})

    wanted = events.Wanted(sees_all=False, member=viewer.username)
    return live.respond(request, Watched(money.LANE, wanted, read))


async def _read(request: HttpRequest, viewer: Viewer, after: ledger.Place | None) -> Purse | None:
    if viewer.username is None:
        return None
    starting = ledger.starting_credits(resources(request).settings.starting_credits)
    return await database(request).read(read_purse, viewer.username, starting_credits=starting, after=after)


def _render(purse: Purse | None, viewer: Viewer) -> str:
    if purse is None:
        return pages.render("wallet/nobody.html")
    lines = purse.statement.lines
    older = cursors.next_after(lines, LINES, lambda line: cursors.of_line(line.before))
    return pages.render("wallet/purse.html", purse=purse, viewer=viewer, lines=lines, older=older)


# ── what can be done ─────────────────────────────────────────────────────────────────────────────────────────────────


@post("/dashboard/wallet/transfers", status_code=200, opt={"scope": "trade"})
async def pay(request: HttpRequest) -> Response[str]:
    """Pay another member."""
    form = await forms.read(request)
    data = form.as_(wire.NewTransfer)
    username = visits.viewer(request).caller.acting_for(data.username)
    await _check_member(request, data.to)
    command = ledger.Pay(username, data.to, _units(data.amount), reason=data.reason)
    return await _run(request, form, command, lambda _paid: f"{data.amount} credits went to {data.to}.")


@post("/dashboard/wallet/deposits", status_code=200, opt={"scope": "admin"})
async def deposit(request: HttpRequest) -> Response[str]:
    """Bring money in from outside."""
    form = await forms.read(request)
    data = form.as_(wire.NewDeposit)
    username = visits.read_username(form.text("username") or "")
    await _check_member(request, username)
    command = ledger.Deposit(username, _units(data.amount), reason=data.reason, reference=data.reference)
    return await _run(request, form, command, lambda _paid: f"{data.amount} credits came in for {username}.")


@post("/dashboard/wallet/withdrawals", status_code=200, opt={"scope": "admin"})
async def withdraw(request: HttpRequest) -> Response[str]:
    """Take money out."""
    form = await forms.read(request)
    data = form.as_(wire.NewWithdrawal)
    username = visits.read_username(form.text("username") or "")
    command = ledger.Withdraw(username, _units(data.amount), reason=data.reason, reference=data.reference)
    return await _run(request, form, command, lambda _paid: f"{data.amount} credits were paid out to {username}.")


@post("/dashboard/wallet/threshold", status_code=200, opt={"scope": "trade"})
async def set_threshold(request: HttpRequest) -> Response[str]:
    """Say below which balance the log tells of it; never, where the field is empty."""
    form = await forms.read(request)
    data = form.as_(wire.WalletChange)
    caller = visits.viewer(request).caller
    username = caller.acting_for(form.text("username"))
    low = _units(data.low_balance, least=0) if isinstance(data.low_balance, str) else None
    command = ledger.SetWallet(username, ledger.CREDIT, low, UNSET)
    return await _run(request, form, command, lambda _account: f"The threshold of {username} is set.")


async def _run(request: HttpRequest, form: forms.Form, command: Any, say: Any) -> Response[str]:
    said = await forms.run(request, form, _lane(request), command, say=say)
    return forms.answer(request, said, back="/dashboard/wallet", here=HERE)


async def _check_member(request: HttpRequest, username: str) -> None:
    """Where members have keys, bring no money to who is none. Raises UnknownMember."""
    if visits.has_keys(request):
        await database(request).read_one(identity.find_member, username)


def _units(text: str, *, least: int = 1) -> int:
    """Read an amount of credits. Raises Invalid."""
    try:
        units = amounts.parse_amount(text, decimals=ledger.CREDIT_DECIMALS)
    except ValueError as error:
        raise errors.Invalid(f"The amount cannot be read: {error}.", field="amount") from None
    if not least <= units <= ledger.MAX_AMOUNT:
        raise errors.Invalid("An amount is more than 0 and at most a thousand million credits.", field="amount")
    return units


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


HANDLERS = (show, follow, pay, deposit, withdraw, set_threshold)
