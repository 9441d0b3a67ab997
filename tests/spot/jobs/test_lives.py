"""The lives of leases, from the bid to the last trace of the container."""

from __future__ import annotations

import pytest

from marketplace.spot import comparing
from marketplace.spot.logs import read_log
from tests.spot.jobs.town import Town


async def test_a_container_that_ends_by_itself_completes_its_bid_and_leaves_nothing(town: Town) -> None:
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann", "run=0.3", "print=hello")
        row = await town.until(bid_id, "completed")
        assert (row.cause, row.hold_id) == ("exited", None)
        (lease,) = await town.leases(bid_id)
        assert (lease.state, lease.exit_code) == ("ended", 0)
        assert 0.3e6 <= lease.ended_at - lease.started_at < 1e6, "it is billed for what it ran"
        assert lease.charged_micros == lease.paid_micros > 0
        assert await read_log(town.service.database, lease_id=lease.lease_id) == "hello\n"


async def test_a_container_that_breaks_fails_its_bid_and_is_billed(town: Town) -> None:
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann", "run=0.2", "exit=3")
        row = await town.until(bid_id, "failed")
        (lease,) = await town.leases(bid_id)
        assert (lease.exit_code, row.charged_micros > 0) == (3, True)


async def test_a_start_that_fails_is_tried_elsewhere_and_then_the_bid_has_failed_unbilled(town: Town) -> None:
    for name in ("n1", "n2", "n3"):
        await town.node(name)
    async with town.working():
        bid_id = await town.bid("ann", "fails=no such image")
        row = await town.until(bid_id, "failed")
        assert row.charged_micros == 0
        leases = await town.leases(bid_id)
        assert sorted(lease.node for lease in leases) == ["n1", "n2", "n3"]
        assert {lease.cause for lease in leases} == {"start_failed"}
        await town.until_clean()


async def test_a_container_that_does_not_come_to_run_has_failed_and_is_removed(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "MOST_START_SECONDS", 1)
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann", "start=3600")
        row = await town.until(bid_id, "failed")
        assert (row.cause, row.charged_micros) == ("start_failed", 0)
        await town.until_clean()
        assert await town.running_on("n1") == []


async def test_an_image_that_can_never_be_run_fails_its_bid(town: Town) -> None:
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann", "print=" + "x" * 33_000)
        await town.until(bid_id, "failed")


async def test_a_cancelled_bid_stops_its_container(town: Town) -> None:
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann")
        await town.until(bid_id, "running")
        assert len(await town.running_on("n1")) == 1
        await town.cancel(bid_id)
        row = await town.until(bid_id, "cancelled")
        assert (row.cause, row.charged_micros > 0) == ("stopped", True)
        assert await town.running_on("n1") == []


async def test_a_bid_cancelled_while_its_container_starts_is_not_billed(town: Town) -> None:
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann", "start=60")
        await town.until(bid_id, "starting")
        await town.cancel(bid_id)
        row = await town.until(bid_id, "cancelled")
        assert row.charged_micros == 0
        assert await town.running_on("n1") == []


async def test_a_container_that_does_not_listen_is_killed_at_its_deadline(town: Town) -> None:
    await town.node("n1", units=1)
    async with town.working():
        stubborn = await town.bid("ann", "hangs=true")
        await town.until(stubborn, "running")
        richer = await town.bid("bob", price=5)
        await town.until(stubborn, "evicting")
        await town.until(stubborn, "evicted")
        (lease,) = await town.leases(stubborn)
        assert lease.for_bid == richer
        assert lease.exit_code == 137
        assert 0.9e6 <= lease.ended_at - lease.notice_at < 2.5e6
        await town.until(richer, "running")


async def test_who_is_evicted_and_wished_for_it_runs_again_later(town: Town) -> None:
    await town.node("n1", units=1)
    async with town.working():
        patient = await town.bid("ann", on_eviction="requeue")
        await town.until(patient, "running")
        quick = await town.bid("bob", "run=0.5", price=5)
        await town.until(quick, "running", "completed")
        await town.until(quick, "completed")
        await town.until(patient, "running")
        assert (await town.bid_row(patient)).evictions == 1
        assert len(await town.leases(patient)) == 2


async def test_a_container_that_nobody_has_a_lease_for_is_removed(town: Town) -> None:
    await town.node("n1")
    await town.start_stranger("n1", 999_999)
    assert await town.running_on("n1") == ["l999999"]
    async with town.working():

        async def is_gone() -> bool:
            return await town.running_on("n1") == []

        await town.wait_for(is_gone, what="the stranger to go")


async def test_a_lease_whose_container_vanished_is_over_and_billed_until_it_was_last_seen(town: Town) -> None:
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann")
        await town.until(bid_id, "running")
        (lease,) = await town.leases(bid_id)
        await town.lose("n1", lease.lease_id)
        row = await town.until(bid_id, "failed")
        assert row.cause == "vanished"


async def test_a_node_that_does_not_answer_is_asked_again_and_again(town: Town) -> None:
    await town.node("n1", backend="docker", url="unix:///nowhere/docker.sock")
    async with town.working():
        bid_id = await town.bid("ann")

        async def was_tried() -> bool:
            return any(lease.attempts >= 2 for lease in await town.leases(bid_id))

        await town.wait_for(was_tried, what="a second try")
        assert (await town.bid_row(bid_id)).state == "starting"
        await town.cancel(bid_id)


async def test_a_node_with_settings_that_make_no_sense_keeps_nobody_else_from_running(town: Town) -> None:
    await town.node("n1", units=1, colour="green")
    await town.node("n2", units=2)
    async with town.working():
        bid_id = await town.bid("ann", units=2)
        await town.until(bid_id, "running")


@pytest.mark.parametrize("kept", [0.5])
async def test_a_log_can_be_read_for_a_while_and_then_nothing_is_left(
    kept: float, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    town = Town(database_url, tmp_path_factory.mktemp("town"), spot_logs_kept_seconds=kept)
    await town.open()
    await town.node("n1")
    async with town.working():
        bid_id = await town.bid("ann", "run=0", "print=once")
        await town.until(bid_id, "completed")
        await town.until_clean()
        (lease,) = await town.leases(bid_id)
        assert await read_log(town.service.database, lease_id=lease.lease_id) is None
        world = await town.world_of("n1")
        assert await world.containers() == []
        await world.close()
    await town.check()
    await town.close()
