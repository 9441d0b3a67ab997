"""A tenant's day on the spot market: a cheap morning, a dear noon, a notice, and a bill that adds up."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from marketplace.client import Client, Conflict, Unaffordable
from marketplace.wire import spot
from tests.services.server import Server

UNIT: dict[str, Any] = {"cpu_millis": 1000, "memory_mib": 2048}
QUIET = {"start_seconds": [0, 0], "fails_percent": 0, "hangs_percent": 0, "exits_percent": 0}


def until(is_so: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


@pytest.fixture
def quick(market: Client) -> Client:
    """The default pool with short times, and one node of two units."""
    market.set_spot_pool("default", minimum_runtime_seconds=1, notice_seconds=2)
    market.add_spot_node("n1", backend="simulated", cpu_millis=2000, memory_mib=4096, settings=QUIET, provider="pat")
    return market


def place(market: Client, username: str, per_hour: str, **more: Any) -> int:
    return market.place_spot_bid("app:1", per_hour=per_hour, username=username, **UNIT, **more).bid_id


def state(market: Client, bid_id: int) -> spot.BidState:
    return market.spot_bid(bid_id).state


def lease(market: Client, bid_id: int) -> spot.Lease:
    """Return a bid's newest lease."""
    return list(market.spot_leases(bid_id=bid_id))[-1]


def test_a_tenant_is_outbid_queues_again_and_pays_for_its_seconds_alone(quick: Client) -> None:
    # In the morning there is room, and the preview says so.
    seen = quick.preview_spot_bid("app:1", username="ann", **UNIT)
    assert (seen.min_price_to_run_per_hour, seen.unit_price_per_hour, seen.would_evict) == ("0.01", "0.01", [])
    assert seen.body is not None
    ann = place(quick, "ann", "30", on_eviction="requeue", max_preemptions=5, command=["simulate", "print=hi"])
    bob = place(quick, "bob", "60")
    until(lambda: state(quick, ann) == state(quick, bob) == "running")
    assert quick.wallet("ann").balances[0].held != "0.00"
    first = lease(quick, ann)
    assert (first.node, first.state, first.for_bid) == ("n1", "running", None)

    # At noon cy comes, who pays more than ann and less than bob.
    time.sleep(1.1)  # nobody is protected any more
    dear = quick.preview_spot_bid(per_hour="45", **UNIT)
    assert (dear.runs_now, dear.would_evict) == (True, [ann])
    cy = place(quick, "cy", "45")
    until(lambda: state(quick, cy) == "running")
    told = quick.spot_lease(first.lease_id)
    assert (told.state, told.cause, told.for_bid) == ("ended", "evicted", cy)
    assert "45.00" in (told.reason or "")
    assert "30.00" in (told.reason or "")

    # Ann waits, hears why and what it would take, and gives way once cy has gone.
    waiting = quick.spot_bid(ann)
    assert (waiting.state, waiting.evictions) == ("submitted", 1)
    assert waiting.not_before is not None
    quick.set_spot_pool("default", backoff_seconds=1, max_backoff_seconds=1)
    quick.cancel_spot_bid(cy)
    until(lambda: state(quick, cy) == "cancelled")

    # What she paid is the sum of the lines of her first lease, at the pool's price, which her own bid bounds.
    bill = quick.spot_bill(first.lease_id)
    assert sum(Decimal(line.charged) for line in bill.lines) == Decimal(bill.charged) == Decimal(bill.paid)
    assert bill.lines[0].from_at == bill.started_at
    assert bill.lines[-1].to_at == bill.ended_at
    assert all(line.to_at == after.from_at for line, after in zip(bill.lines, bill.lines[1:], strict=False))
    hours = Decimal((bill.lines[-1].to_at - bill.started_at).total_seconds()) / 3600
    assert Decimal("0.01") * hours - Decimal("0.000001") <= Decimal(bill.charged) <= 30 * hours
    month = quick.spot_month(username="ann")
    assert (month.leases, month.charged) == (1, bill.charged)
    assert Decimal(quick.wallet("ann").balances[0].balance) == 1000 - Decimal(bill.charged)


def test_a_container_hears_of_its_notice_by_its_secret_and_nobody_else_does(quick: Client, http: httpx.Client) -> None:
    bid = place(quick, "ann", "30", notice_seconds=2, command=["simulate", "hangs=true"])
    until(lambda: state(quick, bid) == "running")
    running = lease(quick, bid)
    path = f"/api/v1/spot/leases/{running.lease_id}/notice"
    assert http.get(path, params={"secret": "a guess"}).status_code == 404
    quick.evict_spot_lease(running.lease_id)
    with pytest.raises(Conflict) as caught:
        quick.evict_spot_lease(running.lease_id)
    assert caught.value.code == "spot.lease_not_running"
    assert http.get(path, params={"secret": "a guess"}).status_code == 404
    until(lambda: state(quick, bid) == "evicted")
    ended = quick.spot_lease(running.lease_id)
    assert (ended.cause, ended.exit_code) == ("drill", 137), "it hangs, and is killed when its notice is over"
    assert ended.notice_at is not None
    assert ended.ended_at is not None
    assert 1.9 < (ended.ended_at - ended.notice_at).total_seconds() < 10


def test_a_tenant_changes_the_price_looks_at_the_log_and_stops(quick: Client, engine: str) -> None:
    bid = place(quick, "ann", "3", command=["simulate", "print=hello", "count=3"])
    until(lambda: state(quick, bid) == "running")
    assert quick.amend_spot_bid(bid, per_minute="0.1").max_price_per_hour == "6.00"
    if engine == "sqlite":  # beside Postgres the simulated containers are the worker's alone
        assert quick.spot_log(lease(quick, bid).lease_id, lines=2).text == "2\n3\n"
    with pytest.raises(Unaffordable):
        quick.amend_spot_bid(bid, per_hour=900_000)
    assert quick.stop_spot_lease(lease(quick, bid).lease_id).bid_id == bid
    until(lambda: state(quick, bid) == "cancelled")
    assert quick.wallet("ann").balances[0].held == "0.00"
    with pytest.raises(Conflict) as caught:
        quick.amend_spot_bid(bid, per_hour=1)
    assert caught.value.code == "spot.bid_over"


def test_a_budget_and_a_time_to_live_end_a_run(quick: Client) -> None:
    short = place(quick, "ann", "3", ttl_seconds=1)
    done = place(quick, "bob", "3", command=["simulate", "run=0.5"])
    broken = place(quick, "cy", "3", command=["simulate", "run=0.5", "exit=3"])
    until(lambda: {state(quick, bid) for bid in (short, done)} == {"completed"} and state(quick, broken) == "failed")
    assert quick.spot_bid(short).cause == "ttl"
    assert (quick.spot_bid(broken).cause, lease(quick, broken).exit_code) == ("exited", 3)


def test_a_server_that_was_restarted_goes_on_where_it_was(quick: Client, server: Server, engine: str) -> None:
    if engine == "postgres":
        pytest.skip("there the worker runs the containers, and the server none")
    bid = place(quick, "ann", "3")
    until(lambda: state(quick, bid) == "running")
    before = lease(quick, bid)
    server.kill()
    server.restart()
    time.sleep(1)
    after = lease(quick, bid)
    assert (after.lease_id, after.state, after.started_at) == (before.lease_id, "running", before.started_at)
    quick.cancel_spot_bid(bid)
    until(lambda: state(quick, bid) == "cancelled")
