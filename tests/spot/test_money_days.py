"""Days at random through the lane: what was paid is the integral of the price over the time that each lease ran."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import Database
from marketplace.foundation.clock import HOUR
from marketplace.spot import tables
from tests.services.clock import SettableClock
from tests.spot.desk import CREDIT, Desk, opened
from tests.spot.running import end, run, set_price, settle

MEMBERS = ("ann", "bob", "cy")
EVENING = 86_400 - 900


class Day:
    """Some members, whose containers come and go, while the price changes and time is settled now and then."""

    def __init__(self, desk: Desk, dice: random.Random) -> None:
        self.desk = desk
        self.dice = dice
        self.running: list[int] = []

    async def run(self, steps: int) -> None:
        await self.desk.add_node("n", 10_000)
        self.desk.clock.advance(EVENING)
        for _ in range(steps):
            await self.dice.choice([self._begin, self._settle, self._settle, self._price, self._end])()
            self.desk.clock.advance(self.dice.choice([0.003, 0.7, 5, 11, 31.4159]))
        for lease_id in [*self.running]:
            await self._end_one(lease_id)

    async def _begin(self) -> None:
        price = self.dice.randrange(1, 200) / 10
        units = self.dice.choice([0.25, 1, 1.5, 3])
        at = self.dice.randrange(1, 200) / 10
        _, lease_id = await run(self.desk, self.dice.choice(MEMBERS), price * units, at=at, units=units)
        self.running.append(lease_id)

    async def _settle(self) -> None:
        await settle(self.desk, self.dice.choice([1, 3, 500]))

    async def _price(self) -> None:
        await set_price(self.desk, self.dice.randrange(0, 200) / 10)

    async def _end(self) -> None:
        if self.running:
            await self._end_one(self.dice.choice(self.running))

    async def _end_one(self, lease_id: int) -> None:
        self.running.remove(lease_id)
        await end(self.desk, lease_id, ago=self.dice.choice([0, 0, 0.4]))


async def assert_integral(desk: Desk) -> None:
    """Hold each lease's charge against the integral, computed with fractions from the rows of the price."""

    def rows(tx: sa.Connection) -> tuple[Sequence[Any], Sequence[Any], int]:
        prices = tx.execute(sa.select(tables.spot_prices).order_by(tables.spot_prices.c.from_at)).fetchall()
        earned = ledger.balance(tx, ledger.revenue("spot"))
        return prices, tx.execute(sa.select(tables.leases)).fetchall(), earned.balance if earned else 0

    prices, leases, earned = await desk.read(rows)
    for lease in leases:
        owed = Fraction(0)
        for price in prices:
            to_at = lease.ended_at if price.to_at is None else min(price.to_at, lease.ended_at)
            time = max(0, to_at - max(price.from_at, lease.started_at))
            hourly = Fraction(price.unit_price_micros_per_hour * lease.size, lease.parts)
            owed += min(hourly, Fraction(lease.max_price_micros_per_hour)) * Fraction(time, HOUR)
        # Where a line was closed after the end it is divided by its time.
        assert abs(lease.charged_micros - int(owed)) <= 1
        assert lease.paid_micros == lease.charged_micros
    assert earned == sum(lease.paid_micros for lease in leases)
    spent = {username: (1_000 * CREDIT - (await desk.has(username))[0]) for username in MEMBERS}
    assert spent == {
        username: sum(lease.paid_micros for lease in leases if lease.username == username) for username in MEMBERS
    }
    for username in MEMBERS:
        balance, available = await desk.has(username)
        assert balance == available, "nothing is held any more"


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_paid_is_the_integral_of_the_price(seed: int, desk: Desk) -> None:
    await Day(desk, random.Random(seed)).run(150)
    await assert_integral(desk)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
async def test_what_is_paid_is_the_integral_on_many_days(seed: int, database: Database, clock: SettableClock) -> None:
    async with opened(database, clock) as desk:
        await Day(desk, random.Random(1_000 + seed)).run(400)
        await assert_integral(desk)
