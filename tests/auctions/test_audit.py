"""The audit, and the replay of a log by itself, find whatever was got past the rules; and nothing where all is well."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from marketplace import auctions
from marketplace.auctions import tables
from marketplace.auctions.replay import Line, verify
from tests.auctions.desk import FULFIL, GRACE, WINDOW, Desk
from tests.services import raw


async def play(desk: Desk) -> list[Line]:
    """Let much happen in the default book; return its log."""
    await desk.give("s2", 1_000, "hour")
    await desk.give("s3", 1_000, "hour")
    kept = await desk.committed("s1", "s2")
    broken = await desk.committed("s1", "s2", "s3")
    await desk.deposit(kept.order_id, amount=25)
    await desk.bid(broken.order_id, "s2", output=30)
    await desk.deposit(broken.order_id, amount=5)
    await desk.tick(FULFIL + GRACE)
    await desk.tick(FULFIL + GRACE)
    await desk.tick(WINDOW)
    await desk.announced(expires_at=desk.clock() + 10_000_000)
    await desk.tick(20)
    await desk.cancel((await desk.announced()).order_id)
    await desk.announced()
    await desk.committed("s4")
    rows = await desk.rows(tables.auction_log, book="default")
    return [Line(row.log_offset, row.seq, row.at, row.kind, row.data) for row in rows]


def changed(line: Line, **fields: Any) -> Line:
    """Return an entry that says something else."""
    data = msgspec.json.decode(line.data) | fields
    return line._replace(data=msgspec.json.encode(data))


async def test_a_log_that_was_left_alone_can_be_computed_again(desk_to_tamper: Desk) -> None:
    lines = await play(desk_to_tamper)
    replay, faults = verify("default", lines)
    assert faults == []
    assert {one.order.state for one in replay.rounds.values()} == {
        "filled",
        "expired",
        "cancelled",
        "open",
        "committed",
    }
    assert await desk_to_tamper.audit() == []
    assert await desk_to_tamper.read(auctions.verify_book, "default") == []


TAMPERED: dict[str, tuple[str, dict[str, Any]]] = {
    "another winner": ("BidSelected", {"winner": 1}),
    "another output to beat": ("BidSelected", {"winning_output": "19"}),
    "another round": ("BidSelected", {"round": 2}),
    "a bid hidden": ("BidSelected", {"bids": []}),
    "a window that closes otherwise": ("BidReceived", {"closes_at": None}),
    "a bid that replaces nothing": ("BidReceived", {"replaces": 4}),
    "another solver committed": ("CommitmentCreated", {"solver": "s2"}),
    "another input": ("CommitmentCreated", {"input_amount": "0.000011"}),
    "less to deliver": ("CommitmentCreated", {"min_output": "1"}),
    "a deadline that has passed": ("CommitmentCreated", {"deadline": 1}),
    "another rank": ("CommitmentCreated", {"rank": 2}),
    "a deposit made larger": ("DepositReceived", {"amount": "26"}),
    "a sum made larger": ("DepositReceived", {"deposited": "26"}),
    "a deposit of another": ("DepositReceived", {"solver": "s3"}),
    "a surplus hidden": ("OrderFilled", {"surplus": "0"}),
    "another input paid": ("OrderFilled", {"input_amount": "0.000009"}),
    "not all returned": ("CommitmentFailed", {"returned": "4"}),
    "a bond that is none slashed": ("CommitmentFailed", {"slashed": "0.000001"}),
    "blocked for nothing": ("CommitmentFailed", {"blocked_until": 10**18}),
    "reopened past the next best": ("CommitmentFailed", {"then": "reopened", "closes_at": 10**18}),
    "expired too early": ("CommitmentFailed", {"then": "expired"}),
    "somebody else takes over": ("OrderReassigned", {"bid_id": 1}),
    "passed over for nothing": ("OrderReassigned", {"passed": [{"bid_id": 1, "reason": "expired"}]}),
    "a batch with another order": ("BatchCreated", {"order_ids": [1]}),
    "a batch from elsewhere": ("BatchCreated", {"first_offset": 1}),
    "an order of before": ("OrderExpired", {"order_id": 1}),
    "cancelled once more": ("OrderCancelled", {"order_id": 1}),
    "a limit that was not kept": ("OrderAdded", {"limit_output": "21"}),
    "a budget that was not kept": ("OrderAdded", {"input_budget": "0.000009"}),
}


async def test_a_log_that_was_tampered_with_cannot_be_computed_again(desk_to_tamper: Desk) -> None:
    lines = await play(desk_to_tamper)
    for name, (kind, fields) in TAMPERED.items():
        place = next(number for number, line in enumerate(lines) if line.kind == kind)
        if name == "a batch from elsewhere":
            place = next(n for n, line in enumerate(lines) if line.kind == kind and n > place)
        faults = verify("default", [*lines[:place], changed(lines[place], **fields), *lines[place + 1 :]])[1]
        assert len(faults) == 1, name


async def test_no_entry_can_be_left_out_or_turned_round(desk_to_tamper: Desk) -> None:
    lines = await play(desk_to_tamper)
    for number, line in enumerate(lines[:-1]):
        without = [*lines[:number], *lines[number + 1 :]]
        renumbered = [one._replace(log_offset=offset) for offset, one in enumerate(without)]
        assert verify("default", without)[1], line
        # What only says that an order ends, or that a bid came which nobody looked at, nothing else depends on.
        if line.kind not in ("OrderCancelled", "OrderExpired", "BidReceived", "DepositReceived"):
            assert verify("default", renumbered)[1], line
        turned = [*lines[:number], lines[number + 1], line, *lines[number + 2 :]]
        assert verify("default", turned)[1], line


@pytest.mark.parametrize(
    ("statement", "about"),
    [
        ("UPDATE auction_orders SET bids = bids + 1 WHERE state = 'open'", "auction_orders"),
        ("UPDATE auction_orders SET round = 7 WHERE state = 'open'", "auction_orders"),
        ("UPDATE auction_solvers SET failed = failed + 1", "auction_solvers"),
        ("UPDATE auction_solvers SET blocked_until = 5", "auction_solvers"),
        ("UPDATE auction_bids SET min_output = 77 WHERE solver = 's4'", "auction_bids"),
        ("UPDATE auction_bids SET state = 'spent' WHERE solver = 's4'", "auction_bids"),
        ("UPDATE events SET data = '{}' WHERE kind = 'order_filled'", "auction_log"),
        ("UPDATE auction_commitments SET input_hold_id = 999999 WHERE state = 'live'", "hold"),
        (
            """INSERT INTO auction_log SELECT book, log_offset + 1, seq + 1, at, order_id, kind, data
               FROM auction_log WHERE log_offset = (SELECT max(log_offset) FROM auction_log)""",
            "does not follow",
        ),
    ],
)
async def test_the_audit_finds_what_was_got_past_the_rules(desk_to_tamper: Desk, statement: str, about: str) -> None:
    await play(desk_to_tamper)
    assert await desk_to_tamper.audit() == []
    await raw.execute(desk_to_tamper.database, statement)
    faults = await desk_to_tamper.read(auctions.audit)
    assert any(about in fault for fault in faults), faults
