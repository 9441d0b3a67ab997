"""Whatever error the server raises at any statement of a transfer: it happens once, and the books balance."""

from __future__ import annotations

import pytest

from marketplace import ledger
from marketplace.database import Database
from marketplace.ledger import Deposit, Pay, errors
from tests.crashes.test_errors_of_the_server import COLLISIONS, DEATH, Faults
from tests.ledger.conftest import opened
from tests.ledger.house import Capture, Hold
from tests.services.clock import SettableClock


@pytest.mark.parametrize("cause", [*COLLISIONS, DEATH])
async def test_an_error_at_any_statement_moves_money_exactly_once(
    cause: str, database: Database, clock: SettableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults(database, monkeypatch)
    async with opened(database, clock) as desk:
        first = (await desk.deposit("ann", 100)).transfer
        held = (await desk.run(Hold("ann", 5))).transfer.transfer_id
        assert first.transfer_id == 1
        hit = 0
        for at in range(20):
            faults.arm(cause, at=at, times=1)
            told = await desk.together(
                Deposit("ann", 100, reference=f"d{at}"),
                Pay("ann", "bob", 30, reference=f"p{at}"),
                Pay("ann", "bob", 10**9),
                Hold("ann", 10),
                Capture(held, 1),
            )
            assert [type(each) for each in told[:4]] == [ledger.Paid, ledger.Paid, errors.NotCovered, ledger.Posted]
            captured = told[4]
            assert isinstance(captured, ledger.Posted if at == 0 else errors.HoldEnded)
            rounds = at + 1
            assert await desk.has("ann") == (99 + 70 * rounds, 99 + 60 * rounds)
            assert await desk.has("bob") == (30 * rounds, 30 * rounds)
            if faults.times:  # a transaction has fewer statements than that
                break
            hit += 1
        faults.times = 0
        assert hit >= 6
