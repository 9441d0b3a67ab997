"""What a solver of the demonstration does of its own: all of it at random."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from marketplace.cli import terminal

if TYPE_CHECKING:
    from marketplace.client import Announced, Offer, Result
    from marketplace.wire import auctions

SMALLEST, LARGEST = 60, 180
"""Whole units that it asks for."""
LOWEST, HIGHEST = 0.8, 1.2
"""Rates that it offers."""


class Habits:
    """Whether it bids, for how much, and how long it works."""

    def __init__(self, draw: random.Random, chance: float, work_seconds: float) -> None:
        self._draw = draw
        self._chance = chance
        self._work_seconds = work_seconds

    def wants(self) -> bool:
        return self._draw.random() < self._chance

    def terms(self) -> tuple[int, str]:
        """Draw what to ask for, and at which rate."""
        return self._draw.randint(SMALLEST, LARGEST), f"{self._draw.uniform(LOWEST, HIGHEST):.4f}"

    def bid(self, order: Announced) -> Offer | None:
        from marketplace.client import Offer

        if not self.wants():
            print_line(f"order {order.order_id}: not for me")
            return None
        max_input, rate = self.terms()
        print_line(f"order {order.order_id}: bids {rate} each for {max_input}")
        return Offer(max_input, rate)

    async def work(self, commitment: auctions.Commitment) -> None:
        """Take a while."""
        print_line(f"order {commitment.order_id}: owes {commitment.min_output} until {commitment.deadline:%H:%M:%S}")
        await self.toil()
        print_line(f"order {commitment.order_id}: delivers")

    async def toil(self) -> None:
        await asyncio.sleep(self._draw.uniform(0, self._work_seconds))

    def learn(self, result: Result) -> None:
        place = f"rank {result.rank} of {result.bids}" if result.rank else f"passed over, {result.reason}"
        print_line(f"order {result.order.order_id}: {place}; {result.winning_output} won")


def print_line(text: str) -> None:
    terminal.output().print(text, soft_wrap=True)
