"""Random days on the market: drawn by Hypothesis, which finds the shortest that fails, or thrown with dice."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from marketplace.foundation.clock import SECOND, Instant
from marketplace.hours import model
from tests.services.clock import NEW_YEAR


@dataclass(frozen=True)
class On:
    """A command about an earlier bid (or supply): the `back`-th from the newest, whatever its state."""

    back: int
    make: Callable[[str, int], Any]
    is_bid: bool = True


# ── drawn ────────────────────────────────────────────────────────────────────────────────────────────────────────────

markets = st.sampled_from(["default", "default", "default", "default", "west"])
volumes = st.integers(1, 12)
prices = st.integers(0, 4)
usernames = st.sampled_from(["u1", "u2", "u3"])
expiries = st.integers(0, 40).map(lambda seconds: NEW_YEAR + seconds * SECOND)
lives = st.sampled_from(["gtc", "gtc", "gtc", "ioc", "fok"])


def _amend(volume: int | None, price: int | None) -> Callable[[str, int], Any]:
    return lambda market, bid_id: model.AmendBid(market, bid_id, volume, price)


orders = st.one_of(
    st.builds(model.PlaceBid, markets, usernames, volumes, prices, lives, st.none() | expiries),
    st.builds(model.PlaceBid, markets, usernames, volumes, prices),
    st.builds(model.AddSupply, markets, volumes, st.sampled_from([0, 0, 1, 2, 4]), st.sampled_from([None, "p1"])),
)
amendments = st.builds(_amend, st.none() | volumes, st.none() | prices)
bid_changes = st.one_of(st.just(model.CancelBid), st.just(model.ExpireBid), amendments, amendments)
changes = st.one_of(
    st.builds(On, st.integers(0, 6), bid_changes),
    st.builds(On, st.integers(0, 3), st.just(model.WithdrawSupply), st.just(value=False)),
)
many_orders = st.builds(model.RunOrders, st.lists(orders, min_size=1, max_size=6).map(tuple), st.booleans())
administration = st.one_of(
    st.builds(model.CreateMarket, markets),
    st.builds(model.ChangeMarket, markets, st.sampled_from(["open", "open", "open", "closed"])),
)
strangers = st.sampled_from(
    [
        model.CancelBid("default", 9_999),
        model.AmendBid("nowhere", 1, 1, None),
        model.WithdrawSupply("default", 9_999),
        model.PlaceBid("nowhere", "u1", 1, 1),
        model.ChangeMarket("nowhere", "closed"),
    ]
)
commands = st.one_of(orders, orders, orders, orders, changes, changes, many_orders, administration, strangers)
days = st.lists(st.tuples(st.integers(-3, 10), st.lists(commands, min_size=2, max_size=9)), min_size=3, max_size=10)
"""Lists of (seconds that pass, commands that are sent at once)."""


# ── thrown ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def throw(dice: random.Random, now: Instant) -> Any:
    """Throw the dice for one command: few prices, so that much crosses and much is equal."""
    what = dice.random()
    if what < 0.65:
        return throw_order(dice, now)
    if what < 0.70:
        return model.RunOrders(tuple(throw_order(dice, now) for _ in range(3)), dice.random() < 0.5)
    if what < 0.73:
        return On(dice.randint(0, 4), model.WithdrawSupply, is_bid=False)
    volume, price = dice.choice([None, dice.randint(1, 40)]), dice.choice([None, dice.randint(0, 6)])
    ways: list[Callable[[str, int], Any]] = [model.CancelBid, model.ExpireBid, *[_amend(volume, price)] * 3]
    return On(dice.randint(0, 25), dice.choice(ways))


def throw_order(dice: random.Random, now: Instant) -> model.Order:
    if dice.random() < 0.35:
        return model.AddSupply("default", dice.choice([1, 5, 20, 90]), dice.choice([0, 0, 3, 5, 6]))
    expires_at = now + dice.randint(1, 60) * SECOND if dice.random() < 0.2 else None
    life: model.TimeInForce = dice.choice(["gtc", "gtc", "gtc", "gtc", "ioc", "fok"])
    username = f"u{dice.randint(1, 5)}"
    return model.PlaceBid("default", username, dice.randint(1, 30), dice.randint(0, 6), life, expires_at)
