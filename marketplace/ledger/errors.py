"""What the ledger refuses, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class NotCovered(errors.Unaffordable):
    """The account has less than the request needs; `available` and `needed` say how much. Pay in, or ask for less."""

    code = "ledger.not_covered"
    title = "Not covered"

    def __init__(self, owner: str, asset: str, *, available: str, needed: str) -> None:
        super().__init__(
            f"{owner!r} has {available} {asset} available, and {needed} are needed.",
            asset=asset,
            available=available,
            needed=needed,
        )


class BadAmount(errors.Invalid):
    """No amount of this asset: not above 0, too large, or with more decimals than it has."""

    code = "ledger.bad_amount"
    title = "Bad amount"

    def __init__(self, text: str, asset: str, clause: str, *, field: str = "amount") -> None:
        super().__init__(f"{text} is no amount of {asset}: {clause}.", field=field)


class SameWallet(errors.Invalid):
    code = "ledger.same_wallet"
    title = "Same wallet"

    def __init__(self, username: str) -> None:
        super().__init__(f"{username!r} cannot pay to their own wallet.", field="to")


class UnknownAsset(errors.NotFound):
    code = "ledger.unknown_asset"
    title = "Unknown asset"

    def __init__(self, asset: str) -> None:
        super().__init__(f"There is no asset {asset!r}; list them at /api/v1/assets.", asset=asset)


class UnknownWallet(errors.NotFound):
    """No such wallet, or one that is not this caller's to see."""

    code = "ledger.unknown_wallet"
    title = "Unknown wallet"

    def __init__(self, username: str) -> None:
        super().__init__(f"There is no wallet of {username!r}.", username=username)


class UnknownHold(errors.NotFound):
    code = "ledger.unknown_hold"
    title = "Unknown hold"

    def __init__(self, hold_id: int) -> None:
        super().__init__(f"There is no hold {hold_id}.", hold_id=hold_id)


class AssetExists(errors.Conflict):
    code = "ledger.asset_exists"
    title = "Asset exists"

    def __init__(self, asset: str) -> None:
        super().__init__(f"There is an asset {asset!r} already; choose another name.", asset=asset)


class ReferenceTaken(errors.Conflict):
    """The reference was used for another transfer: take a new one."""

    code = "ledger.reference_taken"
    title = "Reference taken"

    def __init__(self, reference: str) -> None:
        super().__init__(f"The reference {reference!r} was used for another transfer.", reference=reference)


class HoldEnded(errors.Conflict):
    """It was captured or released before, or has expired: that happens once."""

    code = "ledger.hold_ended"
    title = "Hold ended"

    def __init__(self, hold_id: int, how: str) -> None:
        super().__init__(f"The hold {hold_id} has ended: {how}.", hold_id=hold_id)


class BeyondHold(errors.Conflict):
    """More was to be captured than is held."""

    code = "ledger.beyond_hold"
    title = "More than held"

    def __init__(self, hold_id: int, *, held: str, needed: str) -> None:
        super().__init__(f"The hold {hold_id} has {held}, not {needed}.", hold_id=hold_id, held=held, needed=needed)


class LimitInUse(errors.Conflict):
    """The wallet is further below zero than the new credit limit allows."""

    code = "ledger.limit_in_use"
    title = "Credit limit in use"

    def __init__(self, username: str, *, used: str) -> None:
        super().__init__(f"{username!r} is using {used} of the credit limit.", username=username, used=used)


class AccountFull(errors.Conflict):
    """All that ever went through the account would pass what a total can be."""

    code = "ledger.account_full"
    title = "Account full"

    def __init__(self, owner: str, asset: str) -> None:
        super().__init__(f"The account of {owner!r} cannot count any more {asset}.", asset=asset)
