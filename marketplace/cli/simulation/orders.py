"""What the clients of a simulation do: drawn from a seed, so that it can be drawn again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

PRICES = (50, 150)
VOLUMES = (1, 40)


@dataclass(frozen=True, slots=True)
class Buy:
    username: str
    volume: int
    price: int


@dataclass(frozen=True, slots=True)
class Sell:
    provider: str
    volume: int
    min_price: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel one of the client's own bids; `pick` from 0 to 1 says which of those it has."""

    pick: float
    otherwise: Buy
    """What to do where it has none."""


@dataclass(frozen=True, slots=True)
class Batch:
    orders: tuple[Buy | Sell, ...]


Action = Buy | Sell | Cancel | Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Shares of the requests; the rest are bids. A sell is larger than a bid, but sells are fewer, so bids wait."""

    sells: float
    cancels: float
    batches: float
    batch_size: int
    users: int


def draw(mix: Mix, *, seed: int, client: int) -> Iterator[Action]:
    """Yield what one client does, without end: the same for the same seed and client."""
    dice = random.Random(f"{seed}/{client}")  # noqa: S311 - not a secret
    while True:
        lot = dice.random()
        if lot < mix.cancels:
            yield Cancel(dice.random(), _buy(mix, dice))
        elif lot < mix.cancels + mix.batches:
            yield Batch(tuple(_order(mix, dice) for _ in range(mix.batch_size)))
        else:
            yield _order(mix, dice)


def _order(mix: Mix, dice: random.Random) -> Buy | Sell:
    share = 1 - mix.cancels - mix.batches
    return _sell(mix, dice) if dice.random() * (share or 1) < mix.sells else _buy(mix, dice)


def _buy(mix: Mix, dice: random.Random) -> Buy:
    return Buy(f"u{dice.randrange(mix.users)}", dice.randint(*VOLUMES), dice.randint(*PRICES))


def _sell(mix: Mix, dice: random.Random) -> Sell:
    floor = dice.choice((0, dice.randint(*PRICES)))
    return Sell(f"p{dice.randrange(mix.users)}", dice.randint(*VOLUMES) * 2, floor)
