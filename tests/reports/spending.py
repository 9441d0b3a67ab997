"""A few days of wallets: paid in, paid out, paid to each other, held and captured."""

from __future__ import annotations

from marketplace.database import Lane
from marketplace.foundation.clock import SECOND
from marketplace.ledger import AddAsset, Deposit, ExpireHolds, Pay, SetWallet, Withdraw
from tests.ledger.house import Capture, Hold, Release
from tests.services.clock import SettableClock

CREDIT = 1_000_000
MEMBERS = ("ann", "bob", "cy")


async def spend_for_some_days(lane: Lane, clock: SettableClock) -> None:
    """Let three members spend; ann goes below zero, bob has something held at the end, cy has hours and grams."""
    await lane.run(AddAsset("gram", 3))
    await lane.run(SetWallet("ann", credit_limit=500 * CREDIT))
    for number, username in enumerate(MEMBERS):
        await lane.run(Deposit(username, 100 * CREDIT + number, reference=f"payment-{number}"))
        clock.advance(3600)
    await lane.run(Deposit("cy", 7, asset="hour"))
    await lane.run(Deposit("cy", 2_500, asset="gram"))
    for day in range(3):
        for number in range(5):
            payer, to = MEMBERS[number % 3], MEMBERS[(number + day + 1) % 3]
            if payer != to:
                await lane.run(Pay(payer, to, CREDIT * (day + 1) + number, reason="rent"))
        held = (await lane.run(Hold("bob", 10 * CREDIT))).transfer.transfer_id
        await lane.run(Capture(held, 4 * CREDIT) if day % 2 else Release(held))
        await lane.run(Hold("cy", CREDIT, expires_at=clock() + 60 * SECOND))
        clock.advance(86_400)
        await lane.run(ExpireHolds())
    await lane.run(Pay("ann", "bob", 300 * CREDIT, reason="deed"))
    await lane.run(Withdraw("bob", 50 * CREDIT))
    await lane.run(Hold("bob", 5 * CREDIT))
