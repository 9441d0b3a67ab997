"""HTTP of the ledger: parse, hand the request to the lane (or read), shape the answer. No SQL, no rules."""

from __future__ import annotations

from typing import Any, cast

from litestar import Controller, Request, get, patch, post
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from marketplace import identity, ledger
from marketplace.database import Lane, money
from marketplace.foundation import clock
from marketplace.foundation import errors as kinds
from marketplace.foundation import money as amounts
from marketplace.http import callers, cursors, idempotency, params
from marketplace.http.resources import database, resources
from marketplace.ledger import errors, model
from marketplace.wire import ledger as wire

HttpRequest = Request[Any, Any, Any]

ASSETS = "ledger_assets"
"""Where the application's state has the assets it has seen: they never change, so each is read once."""

_MOVING = (errors.BadAmount, errors.UnknownAsset, errors.ReferenceTaken, errors.AccountFull)


def _lane(request: HttpRequest) -> Lane:
    return resources(request).lanes[money.LANE]


def _starting_credits(request: HttpRequest) -> int:
    return ledger.starting_credits(resources(request).settings.starting_credits)


async def _check_member(request: HttpRequest, username: str) -> None:
    """Where members have keys, refuse to bring money to who is none. Raises UnknownMember; who is one stays one."""
    if resources(request).settings.auth == "keys":
        await database(request).read_one(identity.find_member, username)


class Wallets(Controller):
    path = "/api/v1/wallets/{username:str}"
    tags = ("wallets",)

    @get(opt={"scope": "read", "refuses": (errors.UnknownWallet,)})
    async def read_wallet(self, username: params.UsernameInPath, request: HttpRequest) -> wire.Wallet:
        """Read what a member has. A wallet that nobody has touched yet is shown as it would open."""
        _see(request, username)
        starting = _starting_credits(request)
        found = await database(request).read_one(ledger.find_wallets, username, starting_credits=starting)
        return wire.Wallet(username, [_balance(one) for one in found])

    @get("/statement", opt={"scope": "read", "refuses": (errors.UnknownWallet, errors.UnknownAsset)})
    async def read_statement(
        self,
        username: params.UsernameInPath,
        request: HttpRequest,
        asset: params.Asset = ledger.CREDIT,
        limit: params.PageSize = params.DEFAULT_PAGE,
        after: params.AfterLine = None,
    ) -> wire.Statement:
        """List what happened to a wallet, newest first, each line with the balance after it."""
        _see(request, username)
        kept_in = await _asset(request, asset)
        last = cursors.to_line(after)
        place = ledger.Place(*last) if last else None
        key = ledger.wallet(username, asset=asset)
        found = await database(request).read(ledger.statement, key, after=place, limit=limit)
        following = cursors.next_after(found.lines, limit, lambda line: cursors.of_line(line.before))
        return wire.Statement([_line(one, kept_in.decimals) for one in found.lines], following)

    @post("/deposits", opt={"scope": "admin", "refuses": (*_MOVING, identity.errors.UnknownMember), "idempotent": True})
    async def deposit(
        self, username: params.UsernameInPath, data: JSONBody[wire.NewDeposit], request: HttpRequest
    ) -> wire.Movement:
        """Bring money in from outside. The same `reference` again is answered as the first time."""
        await _check_member(request, username)
        amount = await _amount(request, data)
        return await _move(request, model.Deposit(username, amount, data.asset, data.reason, data.reference))

    @post("/withdrawals", opt={"scope": "admin", "refuses": (*_MOVING, errors.NotCovered), "idempotent": True})
    async def withdraw(
        self, username: params.UsernameInPath, data: JSONBody[wire.NewWithdrawal], request: HttpRequest
    ) -> wire.Movement:
        """Take money out. 402 where less is available."""
        amount = await _amount(request, data)
        return await _move(request, model.Withdraw(username, amount, data.asset, data.reason, data.reference))

    @patch(
        opt={
            "scope": "trade",
            "refuses": (
                errors.BadAmount,
                errors.UnknownAsset,
                errors.UnknownWallet,
                errors.LimitInUse,
                kinds.Forbidden,
            ),
        }
    )
    async def change_wallet(
        self, username: params.UsernameInPath, data: JSONBody[wire.WalletChange], request: HttpRequest
    ) -> wire.Balance:
        """Change the threshold of a wallet, or its credit limit, which is the operator's to give."""
        _see(request, username)
        if data.credit_limit is not UNSET and not callers.caller(request).is_admin:
            raise kinds.Forbidden("Only an admin gives credit: leave credit_limit out.")
        asset = await _asset(request, data.asset)
        limit = UNSET if data.credit_limit is UNSET else _units(data.credit_limit, asset, field="credit_limit")
        low: int | UnsetType | None = UNSET
        if data.low_balance is not UNSET:
            low = None if data.low_balance is None else _units(data.low_balance, asset, field="low_balance")
        changed = await _lane(request).run(model.SetWallet(username, data.asset, low, limit))
        return _balance(changed)


@post(
    "/api/v1/transfers",
    tags=["wallets"],
    opt={
        "scope": "trade",
        "refuses": (*_MOVING, errors.NotCovered, errors.SameWallet, identity.errors.UnknownMember, kinds.Forbidden),
        "idempotent": True,
    },
)
async def transfer(data: JSONBody[wire.NewTransfer], request: HttpRequest) -> wire.Movement:
    """Pay another member. 402 where less is available, and then nothing was moved."""
    username = callers.caller(request).acting_for(data.username)
    await _check_member(request, data.to)
    amount = await _amount(request, data)
    return await _move(request, model.Pay(username, data.to, amount, data.asset, data.reason, data.reference))


class Assets(Controller):
    path = "/api/v1/assets"
    tags = ("wallets",)

    @get(opt={"scope": "read"})
    async def list_assets(
        self, request: HttpRequest, limit: params.PageSize = params.DEFAULT_PAGE, after: params.AfterName = None
    ) -> wire.Assets:
        """List what wallets may be kept in, by name."""
        found = await database(request).read_one(ledger.list_assets, after=cursors.to_name(after), limit=limit)
        following = cursors.next_after(found, limit, lambda one: cursors.of_name(one.asset))
        return wire.Assets([_shape_asset(one) for one in found], following)

    @post(opt={"scope": "admin", "refuses": (errors.AssetExists,), "idempotent": True})
    async def add_asset(self, data: JSONBody[wire.NewAsset], request: HttpRequest) -> wire.Asset:
        """Add an asset; it stays, with the decimals that it has."""
        command = model.AddAsset(data.asset, data.decimals)
        return await idempotency.run(_lane(request), command, request=request, shape=_shape_asset, status=201)


HANDLERS = (Wallets, Assets, transfer)


# ── from the wire ────────────────────────────────────────────────────────────────────────────────────────────────────


def _see(request: HttpRequest, username: str) -> None:
    """Let nobody know of a wallet that is not theirs to see. Raises UnknownWallet."""
    if not callers.caller(request).sees(username):
        raise errors.UnknownWallet(username)


async def _asset(request: HttpRequest, name: str) -> model.Asset:
    """Return an asset. Raises UnknownAsset."""
    seen = cast(dict[str, model.Asset], request.app.state[ASSETS])
    if name not in seen:
        seen[name] = await database(request).read_one(ledger.find_asset, name)
    return seen[name]


async def _amount(request: HttpRequest, data: wire.NewDeposit | wire.NewWithdrawal | wire.NewTransfer) -> int:
    """Return how many units are to be moved. Raises BadAmount, UnknownAsset."""
    units = _units(data.amount, await _asset(request, data.asset))
    if units == 0:
        raise errors.BadAmount(data.amount, data.asset, "more than 0 can be moved")
    return units


def _units(text: str, asset: model.Asset, *, field: str = "amount") -> int:
    try:
        units = amounts.parse_amount(text, decimals=asset.decimals)
    except ValueError as error:
        raise errors.BadAmount(text, asset.asset, str(error), field=field) from None
    if units > model.MAX_AMOUNT:
        most = amounts.format_amount(model.MAX_AMOUNT, decimals=asset.decimals)
        raise errors.BadAmount(text, asset.asset, f"at most {most} at once", field=field)
    return units


async def _move(request: HttpRequest, command: model.Deposit | model.Withdraw | model.Pay) -> wire.Movement:
    return await idempotency.run(
        _lane(request), command, request=request, shape=_movement, status=201, is_repeated=lambda paid: not paid.created
    )


# ── and to it ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _balance(one: model.Account) -> wire.Balance:
    return wire.Balance(
        one.asset,
        one.written(one.balance),
        one.written(one.pending_debits),
        one.written(one.available),
        one.written(one.credit_limit),
        None if one.low_balance is None else one.written(one.low_balance),
    )


def _movement(paid: model.Paid) -> wire.Movement:
    done, wallet = paid.transfer, paid.wallet
    return wire.Movement(
        done.transfer_id,
        done.seq,
        clock.to_datetime(done.at),
        wallet.owner,
        paid.to,
        wallet.written(done.amount),
        done.asset,
        done.reason,
        done.reference,
        wallet.written(wallet.balance),
        wallet.written(wallet.available),
    )


def _line(line: ledger.Line, decimals: int) -> wire.Line:
    done = line.transfer

    def written(units: int) -> str:
        return amounts.format_amount(units, decimals=decimals)

    return wire.Line(
        done.transfer_id,
        clock.to_datetime(done.at),
        done.kind,
        written(line.change),
        written(line.held_change),
        written(line.balance),
        written(line.held),
        line.counterparty,
        done.reason,
        done.reference,
        wire.Cause(money.LANE, done.seq),
        done.hold_id,
        None if done.expires_at is None else clock.to_datetime(done.expires_at),
    )


def _shape_asset(one: model.Asset) -> wire.Asset:
    return wire.Asset(one.asset, one.decimals, clock.to_datetime(one.added_at))
