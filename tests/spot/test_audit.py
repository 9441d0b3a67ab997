"""The audit finds what was changed behind the market's back. An audit that cannot fail would prove nothing."""

from __future__ import annotations

import pytest

from marketplace import spot
from marketplace.database import proofs
from tests.ledger.test_audit import tamper
from tests.services import raw
from tests.spot.desk import Desk


@pytest.fixture
async def busy(desk_to_tamper: Desk) -> Desk:
    """Node a is full: one lease runs (bid 3), one was told to go (bid 5) for one that waits (bid 9); bid 7 is over."""
    desk = desk_to_tamper
    await desk.add_node("a", 3)
    over = await desk.running("dan", 4.00)
    await desk.running("ann", 3.00)
    await desk.running("bob", 1.00)
    await desk.end(over)
    await desk.place("eve", 5.00)
    await desk.place("cy", 2.00)
    await desk.place("fay", 0.50)
    await desk.match()
    assert sorted({await desk.state(bid_id) for bid_id in await ids(desk)}) == [
        "completed",
        "evicting",
        "matched",
        "running",
        "starting",
        "submitted",
    ]
    assert await desk.audit() == []
    return desk


async def ids(desk: Desk) -> list[int]:
    return [row[1] for row in (await desk.everything())["spot_bids"]]


RUNS, WAITS, OVER = (f"WHERE state = '{state}'" for state in ("running", "submitted", "completed"))
FAULTS = [
    # a bid and its lease
    (f"UPDATE spot_bids SET state = 'starting' {RUNS}", "is starting, and its open lease"),
    ("UPDATE leases SET state = 'starting' WHERE state = 'running'", "is running, and its open lease"),
    (f"UPDATE spot_bids SET lease_id = 1 {RUNS}", "leases: the bid"),
    ("UPDATE leases SET username = 'zoe' WHERE state = 'running'", "leases: the bid"),
    (f"UPDATE leases SET state = 'ended', ended_at = {10**18} {RUNS}", "its open lease None is None"),
    ("UPDATE leases SET changed_seq = 999", "leases: one says that entry 999"),
    ("UPDATE spot_bids SET changed_seq = 999", "spot_bids: one says that entry 999"),
    # room
    ("UPDATE nodes SET cpu_millis = 2999", "nodes: the leases on a of default exceed it"),
    ("UPDATE nodes SET memory_mib = 1", "nodes: the leases on a of default exceed it"),
    # prices
    ("UPDATE spot_prices SET to_at = to_at + 1 WHERE to_at IS NOT NULL", "spot_prices: a price of default begins at"),
    (f"UPDATE spot_prices SET to_at = {10**18} WHERE to_at IS NULL", "spot_prices: the last price of default ends"),
    ("DELETE FROM spot_prices", "spot_prices: default has none"),
    ("UPDATE spot_prices SET unit_price_micros_per_hour = 7 WHERE to_at IS NULL", "spot_prices: the row"),
    # money
    (f"UPDATE spot_bids SET held_micros = held_micros + 1 {WAITS}", "spot_bids: the hold of"),
    (f"UPDATE spot_bids SET username = 'zoe' {WAITS}", "of 'zoe'"),
    (f"UPDATE spot_bids SET hold_id = (SELECT hold_id FROM spot_bids {RUNS}) {WAITS}", "spot_bids: the hold of"),
    (f"UPDATE spot_bids SET charged_micros = charged_micros + 1 {OVER}", "spot_bids: the row"),
    # what only the log can tell
    (f"UPDATE spot_bids SET cpu_millis = 500 {WAITS}", "spot_bids: the row"),
    (f"UPDATE spot_bids SET max_price_micros_per_hour = 9 {WAITS}", "spot_bids: the row"),
    (f"UPDATE spot_bids SET state = 'failed' {OVER}", "spot_bids: the row"),
    ("UPDATE leases SET started_at = started_at - 1", "leases: the row"),
    ("UPDATE nodes SET state = 'cordoned'", "nodes: the row"),
    (f"DELETE FROM spot_bids {WAITS}", "spot_bids: 1 rows that the log gives are missing"),
    ("UPDATE events SET data = '{}' WHERE kind = 'spot_bid_matched'", "events: the replay stops at"),
    ("UPDATE events SET data = replace(data, '\"bid_id\":2', '\"bid_id\":3')", "events: the replay stops at"),
]


@pytest.mark.parametrize(("statement", "expected"), FAULTS)
async def test_what_was_changed_behind_its_back_is_found(busy: Desk, statement: str, expected: str) -> None:
    await raw.execute(busy.database, statement)
    faults = await busy.read(spot.audit)
    assert any(expected in fault for fault in faults), faults


async def test_a_hold_that_was_ended_behind_its_back_is_found(busy: Desk) -> None:
    # As somebody would who has taken the ledger's guard away.
    bid = await busy.bid_of((await ids(busy))[-1])
    end = (
        "INSERT INTO transfers SELECT (SELECT max(transfer_id) + 1 FROM transfers), scope, 'release', debit_account, "
        f"credit_account, asset, amount, {bid.hold_id}, amount, reason, 'x', seq, at, NULL FROM transfers "
        f"WHERE transfer_id = {bid.hold_id}"
    )
    await tamper(busy.database, end)
    faults = await busy.read(spot.audit)
    assert f"spot_bids: the hold of {bid.bid_id} has ended, or is another bid's too" in faults


async def test_large_books_are_read_to_the_end(busy: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "PAGE", 2)
    assert await busy.audit() == []
    last = (await ids(busy))[-1]
    await raw.execute(busy.database, f"UPDATE spot_bids SET held_micros = held_micros + 1 WHERE bid_id = {last}")
    faults = await busy.read(spot.audit)
    assert len(faults) == 2, faults


async def test_a_log_that_was_cut_is_not_replayed(busy: Desk) -> None:
    await raw.execute(
        busy.database,
        "DELETE FROM events WHERE lane = 'money' AND seq = 1",
        "INSERT INTO cuts (lane, last_seq, at) VALUES ('money', 1, 1)",
    )
    assert await busy.read(spot.audit) == []
