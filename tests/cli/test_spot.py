"""`marketplace spot` at the keyboard, and the plays: `demo spot` and `simulate spot`."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from marketplace.cli import root
from marketplace.cli.simulation import containers
from marketplace.cli.simulation.containers import Fleet
from marketplace.wire import spot

if TYPE_CHECKING:
    from tests.conftest import StartServer

Capture = pytest.CaptureFixture[str]
Run = Callable[[str], list[str]]
QUIET = '{"start_seconds":[0,0],"fails_percent":0,"exits_percent":0}'


@pytest.fixture
def run(capsys: Capture, monkeypatch: pytest.MonkeyPatch, start_server: StartServer, sqlite_url: str) -> Run:
    """Run a command that must succeed against a server of its own, and return what it printed, line by line."""
    monkeypatch.setenv("MARKETPLACE_URL", start_server(sqlite_url).url)

    def run(line: str) -> list[str]:
        code = root.run(line.split())
        captured = capsys.readouterr()
        assert code == 0, captured.out + captured.err
        assert "\x1b" not in captured.out
        return [line.rstrip() for line in captured.out.splitlines()]

    return run


def until(run: Run, line: str, word: str) -> list[str]:
    deadline = time.monotonic() + 30
    while word not in "\n".join(printed := run(line)):
        assert time.monotonic() < deadline, printed
        time.sleep(0.1)
    return printed


@pytest.mark.slow
def test_a_day_on_the_spot_market_at_the_keyboard(run: Run, capsys: Capture) -> None:
    assert run("spot nodes") == ["No nodes; add one with `marketplace spot add-node`."]
    assert run(f"spot add-node n1 --cpu 2 --memory 4g --settings {QUIET}") == ["n1 in default is ready: 2 cpu, 4g."]
    assert run("spot list") == ["No bids."]
    assert run("spot leases") == ["No leases."]
    assert run("spot preview --cpu 2 --memory 4g") == [
        "A unit costs 0.01 an hour; this container 0.02.", "To run now it has to bid 0.02 an hour.",
    ]  # fmt: skip
    placed = run("spot bid app:1 -u ann --per-minute 0.05 --env A=b -- simulate print=hello count=2")
    bid_id = int(re.findall(r"bid (\d+) of ann at 3\.00 an hour, 0\.05 held: submitted", placed[0])[0])
    until(run, "spot list", "running")
    assert run(f"spot logs {bid_id}") == ["hello", "1", "2"]
    assert run(f"spot logs {bid_id} --lines 1") == ["2"]
    (lease_id,) = (json.loads(line)["lease_id"] for line in run("spot leases --json"))
    assert run(f"spot logs {lease_id}") == ["hello", "1", "2"]
    header, shown = run(f"spot show {bid_id}")[-2:]
    assert header.split()[:4] == ["lease", "bid", "node", "state"]
    assert shown.split()[:4] == [str(lease_id), str(bid_id), "n1", "running"]
    (waiting,) = re.findall(r"bid (\d+)", run("spot bid app:1 -u bob --cpu 2 --memory 4g --per-hour 1")[0])
    told = run(f"spot show {waiting}")
    assert told[2].startswith("It is number 1 in the queue.")
    assert run(f"spot amend {waiting} --per-hour 2")[0].endswith("2.00 an hour, 0.033334 held: submitted")
    assert run("spot pools")[1].split()[:5] == ["default", "1", "cpu,", "2g", "uniform"]
    assert run("spot price")[0].startswith("A unit costs 0.01 an hour, since ")
    assert run("spot prices")[1].split()[2:] == ["now", "0.01"]
    assert run("spot prices --candles 1h --limit 1")[1].split()[2:] == ["0.01"] * 5
    assert run(f"spot cancel {waiting}")[0].endswith("cancelled: Its member wanted it to end.")
    run(f"spot cancel {bid_id}")
    until(run, "spot list --state cancelled -u ann", "cancelled")
    bill = run(f"spot bill {bid_id}")
    assert bill[0].startswith(f"Lease {lease_id} of ann, 1 cpu, 2g, ran on default")
    assert run("spot bills -u ann")[0].startswith("ann, ")
    assert run("spot cordon n1") == ["n1 in default is cordoned: 2 cpu, 4g."]
    assert run("spot drain n1") == ["n1 in default is draining: 2 cpu, 4g."]
    assert run("spot uncordon n1") == ["n1 in default is ready: 2 cpu, 4g."]
    for line, said in (
        ("spot show 9999", "Refused: There is no bid 9999."),
        ("spot logs 9999", "There is no lease 9999, and no bid 9999 that ever had one."),
        ("spot bid app:1 -u ann", "Refused: Say the max price"),
        ("spot bid app:1 -u ann --per-hour 900000", "Refused: 'ann' has"),
        ("spot evict 9999", "Refused: There is no lease 9999."),
        ("spot add-node n2 --backend nothing", "Refused: There is no backend 'nothing'"),
    ):
        assert root.run(line.split()) == 1
        assert capsys.readouterr().err.startswith(said), line
    for line in (
        "spot bid app:1 --cpu lots", "spot bid app:1 --memory 4", "spot bid app:1 --ttl soon",
        "spot bid app:1 --env A", "spot add-node n2 --settings [1]", "spot bid", "spot list --limit x",
    ):  # fmt: skip
        assert root.run(line.split()) == 2, line
        capsys.readouterr()


@pytest.mark.slow
def test_a_day_of_the_spot_market_is_played_to_its_bills(capsys: Capture) -> None:
    assert root.run(["demo", "spot"]) == 0
    printed = capsys.readouterr().out
    assert "ann's container is told to go" in printed
    assert "ann's bid is evicted, and cy's runs" in printed
    assert len(re.findall(r"in all +[0-9.]+", printed)) == 3
    assert printed.splitlines()[-1] == "The server is stopped and its file deleted."


@pytest.mark.slow
def test_many_bids_for_little_capacity_leave_the_books_in_order(capsys: Capture) -> None:
    assert root.run(["simulate", "spot", "--bids", "60", "--nodes", "1", "--seconds", "2", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert "60 bids for 8 units on 1 nodes" in printed
    assert printed.splitlines()[-1] == "The books balance."
    for what in ("evictions", "unit price", "utilisation", "value realised"):
        assert what in printed


# ── what a simulation finds wrong ────────────────────────────────────────────────────────────────────────────────────

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_bid(bid_id: int, price: str, **more: Any) -> spot.SpotBid:
    given: dict[str, Any] = {
        "pool": "p", "bid_id": bid_id, "username": "u", "state": "completed", "image": "a", "command": [],
        "environment": {}, "cpu_millis": 1000, "memory_mib": 2048, "max_price_per_hour": price, "held": None,
        "charged": "1.00", "lease_id": None, "cause": None, "reason": None, "ttl_seconds": None,
        "on_eviction": "terminate", "expires_at": None, "budget": None, "max_preemptions": None,
        "notice_seconds": None, "evictions": 0, "failures": 0, "not_before": None, "submitted_at": NOON,
        "ended_at": NOON,
    }  # fmt: skip
    return spot.SpotBid(**(given | more))


def a_lease(bid_id: int, **more: Any) -> spot.Lease:
    given: dict[str, Any] = {
        "pool": "p", "lease_id": 100 + bid_id, "bid_id": bid_id, "username": "u", "node": "n", "state": "ended",
        "cause": None, "reason": None, "for_bid": None, "address": None, "max_price_per_hour": "3.00",
        "charged": "1.00", "paid": "1.00", "charged_until": None, "matched_at": NOON, "started_at": NOON,
        "notice_at": None, "stop_at": None, "ended_at": NOON + timedelta(hours=1), "exit_code": 0,
    }  # fmt: skip
    return spot.Lease(**(given | more))


def a_fleet() -> Fleet:
    fleet = Fleet(bids=2, nodes=1, users=1, clients=1, seconds=1, seed=1)
    fleet.ended, fleet.leases = [a_bid(1, "3.00"), a_bid(2, "4.00")], [a_lease(1, for_bid=2), a_lease(2)]
    return fleet


def test_a_simulation_in_order_has_no_faults() -> None:
    assert list(containers.find_faults(a_fleet())) == []


@pytest.mark.parametrize(
    ("bids", "leases", "said"),
    [
        ([], [], "2 bids were sent, 0 are there"),
        ([a_bid(1, "3.00"), a_bid(2, "4.00", state="running")], None, "The bid 2 is still running."),
        ([a_bid(1, "4.00"), a_bid(2, "4.00")], None, "was displaced by the bid 2, which pays no more"),
        ([a_bid(1, "3.00"), a_bid(2, "4.00", cpu_millis=2000)], None, "which pays no more"),
        ([a_bid(1, "3.00", charged="1.01"), a_bid(2, "4.00")], None, "The bid 1 says 1.01, its leases 1.00."),
        (None, [a_lease(1, paid="0.99"), a_lease(2)], "cost 1.00, and 0.99 was paid"),
        (None, [a_lease(1, max_price_per_hour="0.99"), a_lease(2)], "more than its own bid allows"),
    ],
)  # fmt: skip
def test_a_simulation_finds_what_is_wrong(
    bids: list[spot.SpotBid] | None, leases: list[spot.Lease] | None, said: str
) -> None:
    fleet = a_fleet()
    fleet.ended = fleet.ended if bids is None else bids
    fleet.leases = fleet.leases if leases is None else leases
    assert any(said in fault for fault in containers.find_faults(fleet))


def test_the_same_seed_draws_the_same_bids_of_many_sizes() -> None:
    fleet = Fleet(bids=200, nodes=1, users=5, clients=1, seconds=2, seed=4)
    drawn = list(fleet.draw())
    assert drawn == list(fleet.draw())
    other = Fleet(bids=200, nodes=1, users=5, clients=1, seconds=2, seed=5)
    assert drawn != list(other.draw())
    assert len(Counter((one.cpu_millis, one.memory_mib) for one in drawn)) > 10
