"""Some days of trading on two markets, made through the lane, with everything that the reports tell apart."""

from __future__ import annotations

import random

from marketplace import hours
from marketplace.database import Lane
from marketplace.foundation import clock
from marketplace.foundation.errors import Refusal
from tests.services.clock import NEW_YEAR, SettableClock

LONG_AGO = NEW_YEAR + 5 * clock.DAY
"""After the trading, before today."""
NEVER = NEW_YEAR + 500 * 365 * clock.DAY


async def trade_for_some_days(lane: Lane, its_clock: SettableClock, *, orders: int = 120, seed: int = 7) -> None:
    """Run mixed orders, cancels and withdrawals over three days, a few of them just around midnight."""
    dice = random.Random(seed)
    await lane.run(hours.CreateMarket("gpu"))
    for number in range(orders):
        its_clock.advance(3 * 86_400 / orders + dice.random())
        outcome = await lane.run(_order(dice))
        if number % 10 == 0:
            await _take_back(lane, outcome)


def _order(dice: random.Random) -> hours.PlaceBid | hours.AddSupply:
    market, volume = dice.choice(["default", "gpu"]), dice.randint(1, 90)
    if dice.random() < 0.3:
        provider = dice.choice([None, "north", "south"])
        return hours.AddSupply(market, 3 * volume, dice.randint(0, 4), provider)
    username, price = dice.choice("abcdé"), dice.randint(0, 9)
    expires_at = dice.choice([None, None, LONG_AGO, NEVER])
    return hours.PlaceBid(market, username, volume, price, "gtc", expires_at)


async def _take_back(lane: Lane, outcome: object) -> None:
    try:
        if isinstance(outcome, hours.Bid):
            await lane.run(hours.CancelBid(outcome.market, outcome.bid_id))
        elif isinstance(outcome, hours.Supply):
            await lane.run(hours.WithdrawSupply(outcome.market, outcome.supply_id))
    except Refusal:
        pass  # it was used up at once
