"""Whatever error the server raises at any statement of a settlement or an end: each second is billed exactly once."""

from __future__ import annotations

import pytest

from marketplace import spot
from marketplace.database import Database
from tests.crashes.test_errors_of_the_server import COLLISIONS, DEATH, Faults
from tests.services.clock import SettableClock
from tests.spot.desk import CREDIT, Desk, opened
from tests.spot.running import end, run, set_price

WALLET = 1_000 * CREDIT
SECONDLY = 3.6
"""An hourly price of which each second costs 1 000 micro-credits."""


@pytest.mark.parametrize("cause", [*COLLISIONS, DEATH])
async def test_an_error_at_any_statement_bills_each_second_exactly_once(
    cause: str, database: Database, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(database, monkeypatch)
    async with opened(database, clock) as desk:
        await desk.add_node("n", 1_000)
        lasting, _ = await run(desk, "ann", SECONDLY)
        hit, ended = 0, 0
        for at in range(30):
            _, short = await run(desk, "bob", SECONDLY)
            await set_price(desk, SECONDLY - at % 2)
            clock.advance(60)
            faults.arm(cause, at=at, times=1)
            settled, was_new = await desk.together(spot.Settle(), spot.RecordEnded(short, clock(), 0 if at % 2 else 1))
            is_over, faults.times = bool(faults.times), 0
            assert settled in (1, 2)
            assert was_new is True
            ended += 1
            lease = await desk.lease_of(lasting)
            assert lease.charged_micros == lease.paid_micros
            assert await desk.has("ann") == (WALLET - lease.paid_micros, WALLET - lease.paid_micros - 60_000)
            assert await _billed(desk, "bob") == WALLET - (await desk.has("bob"))[0]
            if is_over:  # a transaction has fewer statements than that
                break
            hit += 1
        assert hit >= 8
        assert (await desk.lease_of(lasting)).charged_micros == await _integral(ended)
        await end(desk, (await desk.lease_of(lasting)).lease_id)
        assert (await desk.has("ann"))[0] == (await desk.has("ann"))[1]


async def _billed(desk: Desk, username: str) -> int:
    from marketplace.spot import invoices

    month = spot.Month.of(2026, 1)
    return int((await desk.read(invoices.monthly_sum, username, month)).charged_micros)


async def _integral(minutes: int) -> int:
    """Return what a minute at each of the prices costs, one after the other."""
    hourly = [round((SECONDLY - minute % 2) * CREDIT) for minute in range(minutes)]
    return sum(hourly) * 60 // 3_600
