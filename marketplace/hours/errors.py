"""What the hours market refuses, and why."""

from __future__ import annotations

from marketplace.foundation import errors


class UnknownMarket(errors.NotFound):
    code = "hours.unknown_market"
    title = "Unknown market"

    def __init__(self, market: str) -> None:
        super().__init__(f"There is no market {market!r}; list them at /api/v1/hours/markets.", market=market)


class UnknownBid(errors.NotFound):
    code = "hours.unknown_bid"
    title = "Unknown bid"

    def __init__(self, market: str, bid_id: int) -> None:
        super().__init__(f"The market {market!r} has no bid {bid_id}.", market=market, bid_id=bid_id)


class UnknownSupply(errors.NotFound):
    code = "hours.unknown_supply"
    title = "Unknown supply"

    def __init__(self, market: str, supply_id: int) -> None:
        super().__init__(f"The market {market!r} has no supply {supply_id}.", market=market, supply_id=supply_id)


class UnknownUser(errors.NotFound):
    code = "hours.unknown_user"
    title = "Unknown user"

    def __init__(self, market: str, username: str) -> None:
        super().__init__(f"{username!r} never placed a bid on the market {market!r}.", market=market)


class MarketExists(errors.Conflict):
    code = "hours.market_exists"
    title = "Market exists"

    def __init__(self, market: str) -> None:
        super().__init__(f"There is a market {market!r} already; choose another name.", market=market)


class MarketClosed(errors.Conflict):
    code = "hours.market_closed"
    title = "Market closed"

    def __init__(self, market: str) -> None:
        super().__init__(f"The market {market!r} is closed and takes no orders until it opens again.", market=market)


class NotFillable(errors.Conflict):
    code = "hours.not_fillable"
    title = "Not fillable"

    def __init__(self, market: str, volume: int, available: int) -> None:
        super().__init__(
            f"Only {available} of {volume} hours are on offer at this price, and the bid asked for all or nothing.",
            market=market,
            available=available,
        )


class BidClosed(errors.Conflict):
    code = "hours.bid_closed"
    title = "Bid closed"

    def __init__(self, bid_id: int, state: str) -> None:
        super().__init__(
            f"The bid {bid_id} is {state} and changes no more; place a new one.", bid_id=bid_id, state=state
        )


class SupplyClosed(errors.Conflict):
    code = "hours.supply_closed"
    title = "Supply closed"

    def __init__(self, supply_id: int, state: str) -> None:
        super().__init__(
            f"The supply {supply_id} is {state}; there is nothing left to withdraw.", supply_id=supply_id, state=state
        )


class BelowAllocated(errors.Conflict):
    code = "hours.below_allocated"
    title = "Less than allocated"

    def __init__(self, bid_id: int, allocated: int) -> None:
        super().__init__(
            f"The bid {bid_id} has {allocated} hours already: its volume must be more; to stop here, cancel it.",
            bid_id=bid_id,
            allocated=allocated,
        )


class ExpiryPassed(errors.Conflict):
    code = "hours.expiry_passed"
    title = "Expiry passed"

    def __init__(self) -> None:
        super().__init__("The bid would have expired before it was placed: choose a later expires_at.")


class ExpiryAhead(errors.Conflict):
    """Only a worker asks for this, when the time has come; no request is told so."""

    code = "hours.expiry_ahead"
    title = "Expiry ahead"

    def __init__(self, bid_id: int) -> None:
        super().__init__(f"The time of the bid {bid_id} has not come yet.", bid_id=bid_id)


class OrderRefused(errors.Conflict):
    code = "hours.order_refused"
    title = "An order was refused"

    def __init__(self, index: int, refusal: errors.Refusal) -> None:
        super().__init__(
            f"Order {index} was refused, so none was taken: {refusal.detail}",
            index=index,
            refused_code=refusal.code,
        )
