"""The market on a real Docker Engine: bid, container, eviction by a higher bid, bill."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marketplace.spot.commands import DEFAULT_POOL, Container, PlaceBid, Wish
from marketplace.spot.logs import read_log
from tests.services import docker
from tests.spot.jobs.bills import integral
from tests.spot.jobs.town import CREDIT, Town

pytestmark = pytest.mark.slow

WORKS = "trap 'echo told to go; exit 0' TERM; echo works; while :; do sleep 0.1; done"
TOLD = "env | grep ^MARKETPLACE | sort; exec sleep 1000"
SHAPE = (500, 64)


@pytest.fixture
async def town(database_url: str, tmp_path: Path, docker_engine: docker.Engine) -> AsyncIterator[Town]:
    opened = Town(database_url, tmp_path, public_url="https://market.example.org")
    await opened.open()
    await opened.set_pool(minimum_runtime_seconds=0, notice_seconds=2, reserve_micros=CREDIT)
    try:
        yield opened
        await opened.check()
    finally:
        await opened.close()
        docker_engine.tidy()


async def bid(town: Town, username: str, script: str, price: int) -> int:
    cpu, memory = SHAPE
    container = Container(image=docker.IMAGE, cpu_millis=cpu, memory_mib=memory, command=("sh", "-c", script))
    placed = await town.do(PlaceBid(DEFAULT_POOL, username, container, Wish(max_price_micros=price * CREDIT)))
    bid_id: int = placed.bid_id
    return bid_id


async def test_a_container_runs_within_its_limits_until_somebody_pays_more_and_each_pays_for_his_seconds(
    town: Town, docker_engine: docker.Engine
) -> None:
    await town.node("n1", units=1, shape=SHAPE, backend="docker", url=docker_engine.url, network="none", pull=False)
    async with town.working():
        ann = await bid(town, "ann", WORKS, price=1)
        await town.until(ann, "running")
        (lease,) = await town.leases(ann)
        limits = docker.limits(lease.reference)
        assert (limits.memory_bytes, limits.cpu_quota_micros, limits.pids) == (64 << 20, 50_000, 512)

        bob = await bid(town, "bob", TOLD, price=5)
        await town.until(ann, "evicting")
        assert docker_engine.run("ps", "-q", "--no-trunc") == lease.reference, "one at a time fits"
        await town.until(ann, "evicted")
        (lease,) = await town.leases(ann)
        assert (lease.for_bid, lease.exit_code) == (bob, 0)
        assert await read_log(town.service.database, lease_id=lease.lease_id) == "works\ntold to go\n"

        await town.until(bob, "running")
        (other,) = await town.leases(bob)
        said = await read_log(town.service.database, lease_id=other.lease_id) or ""
        notice = f"https://market.example.org/api/v1/spot/leases/{other.lease_id}/notice?secret={other.notice_secret}"
        assert said.splitlines() == [
            f"MARKETPLACE_BID_ID={bob}",
            f"MARKETPLACE_LEASE_ID={other.lease_id}",
            f"MARKETPLACE_NOTICE_URL={notice}",
        ]
        await town.cancel(bob)
        await town.until(bob, "cancelled")
        assert docker_engine.run("ps", "-q") == ""

    for paid in [*await town.leases(ann), *await town.leases(bob)]:
        assert 0 < paid.charged_micros == paid.paid_micros
        assert 0 <= await integral(town, paid) - paid.charged_micros <= 1
