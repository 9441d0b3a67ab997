"""A server is killed at each commit point of a lease's life; the next one goes on, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from marketplace import ledger
from marketplace.ledger import tables as ledger_tables
from marketplace.spot import tables
from tests.crashes.doomed import NETWORK
from tests.services.children import Child
from tests.services.server import ROOT, clean_environment
from tests.spot.jobs.test_addresses import given_out
from tests.spot.jobs.town import Town

LIFE_SECONDS = 280.0
START_MICROS = 1_000_000_000
"""What a wallet opens with where callers have no keys."""

POINTS = (
    *("spot_bid_submitted", "spot_bid_matched", "address_assigned", "start", "container_started", "leases_charged"),
    *("container_eviction_requested", "stop", "spot_bid_returned", "address_released", "remove", "RecordClean"),
    *("container_stop_requested", "spot_bid_cancelled", "spot_bid_completed"),
)
"""In the order in which the life comes by them."""


@pytest.mark.slow
@pytest.mark.parametrize("life", [1, *(pytest.param(number, marks=pytest.mark.soak) for number in range(2, 21))])
async def test_whoever_is_killed_in_a_leases_life_is_followed_by_one_that_goes_on(
    life: int, database_url: str, tmp_path: Path
) -> None:
    """Kill at each point in turn, before and after its commit; then let the last one bring the life to its end."""
    log = tmp_path / f"life-{life}.log"
    dooms = [f"{point}:{moment}" for point in POINTS for moment in ("before", "after")]
    command: list[str | Path] = [sys.executable, "-m", "tests.crashes.doomed", database_url, tmp_path, *dooms]
    child = Child(command, log=log, environment=clean_environment(), folder=ROOT, own_group=True)
    try:
        code = await asyncio.to_thread(child.process.wait, LIFE_SECONDS)
    finally:
        child.send_to_group(signal.SIGKILL)
        child.end(signal.SIGKILL)
        print(child.read_log())
    assert code == 0
    town = Town(database_url, tmp_path)
    await check(town)
    await town.close()


async def check(town: Town) -> None:
    """Nothing is left of what was lost on the way, and what was paid is what was owed."""
    await town.check()
    leases, bids = await town.leases(), await town.rows(sa.select(tables.spot_bids))
    assert sorted((bid.username, bid.state) for bid in bids) == [
        ("ann", "cancelled"),
        ("bob", "cancelled"),
        ("cat", "completed"),
    ]
    assert sorted(lease.username for lease in leases) == ["ann", "ann", "bob", "cat"]
    assert await town.running_on("n1") == []
    assert await given_out(town, NETWORK) == []
    assert await town.rows(sa.select(ledger_tables.open_holds)) == []
    assert all(lease.paid_micros == lease.charged_micros for lease in leases)
    for bid in bids:
        spent = START_MICROS - await balance(town, bid.username)
        assert (
            spent == bid.charged_micros == sum(lease.charged_micros for lease in leases if lease.bid_id == bid.bid_id)
        )


async def balance(town: Town, username: str) -> int:
    account = await town.service.database.read(ledger.balance, ledger.wallet(username))
    assert account is not None
    return account.balance
