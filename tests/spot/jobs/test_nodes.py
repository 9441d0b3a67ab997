"""Which process looks after which node, and what becomes of nodes that fall silent."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from marketplace.spot import tables
from marketplace.spot.commands import ClaimNodes, LoseNodes
from tests.spot.jobs.town import Town

LOOPS = ("spot.match", "spot.look_after_nodes")


@pytest.fixture
async def neighbour(postgres_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    """Another process on the same database and world."""
    opened = Town(postgres_url, tmp_path)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def village(postgres_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    opened = Town(postgres_url, tmp_path)
    await opened.open()
    await opened.set_pool(minimum_runtime_seconds=0, notice_seconds=1, backoff_seconds=1)
    try:
        yield opened
        await opened.check()
    finally:
        await opened.close()


async def claims(town: Town) -> dict[str, str | None]:
    rows = await town.rows(sa.select(tables.nodes.c.node, tables.nodes.c.claim))
    return {row.node: row.claim for row in rows}


async def test_two_processes_run_each_lease_once(village: Town, neighbour: Town) -> None:
    for number in range(4):
        await village.node(f"n{number}", units=10)
    async with village.working(), neighbour.working():
        bids = [await town.bid("ann", "run=0.2") for town in (village, neighbour) for _ in range(20)]
        for bid_id in bids:
            await village.until(bid_id, "completed")
        assert len(await village.leases()) == len(bids), "each ran at its first place"


async def test_a_process_that_ends_lets_go_of_its_nodes(town: Town) -> None:
    await town.node("n1")
    async with town.working(*LOOPS):
        await town.until(await town.bid("ann"), "running")
        assert await claims(town) != {"n1": None}
    assert await claims(town) == {"n1": None}


async def test_a_node_is_taken_over_when_the_claim_of_the_dead_has_lapsed(village: Town, neighbour: Town) -> None:
    await village.node("n1")
    async with village.working(*LOOPS):
        bid_id = await village.bid("ann")
        await village.until(bid_id, "running")
    await village.do(ClaimNodes("of the dead"))
    before = await claims(village)
    assert before == {"n1": "of the dead"}
    async with neighbour.working(*LOOPS):
        second = await neighbour.bid("bob")
        await neighbour.until(second, "running", seconds=20)
        assert (await claims(village))["n1"] != before["n1"]
        await neighbour.cancel(bid_id)
        await neighbour.until(bid_id, "cancelled")
        assert len(await village.leases(bid_id)) == 1


async def test_the_leases_of_a_lost_node_run_elsewhere_and_its_containers_are_gone_when_it_is_back(town: Town) -> None:
    await town.node("n1")
    async with town.working(*LOOPS):
        bid_id = await town.bid("ann")
        await town.until(bid_id, "running")
    async with town.working("spot.match"):
        assert await town.do(LoseNodes(0)) == 1
        await town.until(bid_id, "submitted")
        (lost,) = await town.leases(bid_id)
        assert (lost.cause, lost.ended_at <= lost.metered_until) == ("lost", True)
    assert len(await town.running_on("n1")) == 1, "nobody was there to remove it"
    await town.node("n2")
    async with town.working(*LOOPS):
        await town.until(bid_id, "running")
        (_, second) = await town.leases(bid_id)

        async def is_gone() -> bool:
            on_both = [*await town.running_on("n1"), *await town.running_on("n2")]
            return on_both == [f"l{second.lease_id}"]

        await town.wait_for(is_gone, what="the first container to go")


async def test_a_deadline_that_was_given_holds_although_its_process_is_gone(town: Town) -> None:
    await town.set_pool(notice_seconds=3)
    await town.node("n1", units=1)
    async with town.working(*LOOPS):
        stubborn = await town.bid("ann", "hangs=true")
        await town.until(stubborn, "running")
        await town.bid("bob", price=5)
        await town.until(stubborn, "evicting")

        async def is_told() -> bool:
            with contextlib.closing(sqlite3.connect(town.world)) as world:
                return world.execute("SELECT 1 FROM containers WHERE kill_at IS NOT NULL").fetchone() is not None

        await town.wait_for(is_told, what="the container to be told")
    async with town.working(*LOOPS):
        await town.until(stubborn, "evicted")
    (lease,) = await town.leases(stubborn)
    assert lease.exit_code == 137
    assert 0 <= lease.ended_at - lease.stop_at < 1_500_000, "it had all its time, and no more"


async def test_a_node_that_has_less_than_is_let_is_told_of(town: Town) -> None:
    await town.node("n1", units=4, cpu_millis=3_000)
    with capture_logs() as said:
        async with town.working(*LOOPS):

            async def was_told() -> bool:
                return any(one["event"] == "node_has_less_than_is_let" for one in said)

            await town.wait_for(was_told, what="a word in the log")
    (one,) = [one for one in said if one["event"] == "node_has_less_than_is_let"]
    assert one["node"] == "n1"
    assert one["has"]["cpu_millis"] == 3_000
