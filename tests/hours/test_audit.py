"""The audit finds whatever was changed behind the market's back. An audit that cannot fail would prove nothing."""

from __future__ import annotations

import pytest

from marketplace.database import proofs
from marketplace.hours import ChangeMarket, CreateMarket
from tests.hours.desk import Desk
from tests.hours.orders import amend, buy, cancel, sell, withdraw


@pytest.fixture
async def busy(desk: Desk) -> Desk:
    """A market with a bit of everything: 10 entries in the log, 2 allocations, 2 users with hours."""
    await desk.bid(buy("u1", volume=10, price=3))  # 1
    await desk.bid(buy("u2", volume=10, price=5))  # 2
    await desk.supply(sell(14))  # 3: u2 gets 10, u1 gets 4
    await desk.bid(buy("u3", volume=10, price=2))  # 4
    await desk.bid(amend(4, volume=8))  # 5
    await desk.bid(buy("u4", volume=10, price=2))  # 6
    await desk.bid(cancel(6))  # 7
    await desk.supply(sell(20, min_price=9))  # 8
    await desk.supply(withdraw(8))  # 9
    await desk.run(CreateMarket("west"))  # 10
    assert await desk.audit() == []
    return desk


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        # hours appear or vanish where no CHECK can see it
        ("UPDATE bids SET remaining = 5 WHERE bid_id = 1", "bids: default/1 has volume 10, but 5 remaining"),
        ("UPDATE bids SET remaining = 7 WHERE bid_id = 1", "bids: default/1 has volume 10, but 7 remaining"),
        ("UPDATE bids SET volume = 11 WHERE bid_id = 1", "bids: default/1 has volume 11, but 6 remaining"),
        ("UPDATE supplies SET remaining = 1, state = 'open' WHERE supply_id = 3", "supplies: default/3 has volume 14"),
        ("UPDATE supplies SET volume = 15 WHERE supply_id = 3", "supplies: default/3 has volume 15"),
        ("UPDATE allocations SET volume = 5 WHERE bid_id = 1", "bids: default/1 has volume 10, but 6 remaining and 5"),
        ("DELETE FROM allocations WHERE bid_id = 1", "bids: default/1 has volume 10, but 6 remaining and 0"),
        # totals
        ("UPDATE allocated_totals SET volume = 5 WHERE username = 'u1'", "'u1' on default has 5, but allocations of 4"),
        ("DELETE FROM allocated_totals WHERE username = 'u1'", "'u1' on default has 0, but allocations of 4"),
        (
            "INSERT INTO allocated_totals (market, username, volume) VALUES ('default', 'u9', 1)",
            "'u9' on default has 1, but allocations of 0",
        ),
        # what the sums cannot see, but the log can
        ("UPDATE bids SET volume = 11, remaining = 7 WHERE bid_id = 1", "bids: the row Bid"),
        ("UPDATE bids SET price = 9 WHERE bid_id = 1", "bids: the row Bid"),
        ("UPDATE bids SET seq = 7 WHERE bid_id = 1", "bids: the row Bid"),
        ("UPDATE bids SET username = 'u9' WHERE bid_id = 4", "bids: the row Bid"),
        ("UPDATE bids SET state = 'cancelled' WHERE bid_id = 4", "bids: the row Bid"),
        ("UPDATE bids SET state = 'open' WHERE bid_id = 6", "bids: the row Bid"),
        ("UPDATE bids SET placed_at = placed_at + 1 WHERE bid_id = 4", "bids: the row Bid"),
        ("UPDATE bids SET expires_at = 1 WHERE bid_id = 4", "bids: the row Bid"),
        ("DELETE FROM bids WHERE bid_id = 4", "bids: 1 rows that the log gives are missing"),
        ("UPDATE supplies SET min_price = 1 WHERE supply_id = 3", "supplies: the row Supply"),
        ("UPDATE supplies SET state = 'open' WHERE supply_id = 8", "supplies: the row Supply"),
        ("UPDATE supplies SET provider = 'p9' WHERE supply_id = 3", "supplies: the row Supply"),
        ("DELETE FROM supplies WHERE supply_id = 8", "supplies: 1 rows that the log gives are missing"),
        ("UPDATE allocations SET price = 4 WHERE bid_id = 1", "allocations: the row Allocation"),
        ("UPDATE allocations SET allocated_at = 1 WHERE bid_id = 1", "allocations: the row Allocation"),
        ("UPDATE allocations SET position = 7 WHERE bid_id = 1", "allocations: the row Allocation"),
        ("UPDATE markets SET state = 'closed' WHERE market = 'west'", "markets: the row Market"),
        ("DELETE FROM markets WHERE market = 'west'", "markets: 1 rows that the log gives are missing"),
        ("INSERT INTO markets (market, state, created_at) VALUES ('zoo', 'open', 0)", "markets: the row Market"),
        # the log itself
        ("DELETE FROM events WHERE seq = 5", "events: 9 entries from seq 1 to 10; they should be 1 to 9"),
        ("DELETE FROM events WHERE seq = 1", "events: 9 entries from seq 2 to 10"),
        ("DELETE FROM events WHERE seq = 10", "commits: the last one says seq 10, the log ends at 9"),
        ("DELETE FROM events", "commits: the last one says seq 10, the log ends at 0"),
        ("UPDATE events SET data = replace(data, 'u1', 'u9') WHERE seq = 1", "events: seq 1 says"),
        ("UPDATE events SET data = replace(data, ':3', ':8') WHERE seq = 1", "is not what the log gives"),
        ("UPDATE events SET data = '{}' WHERE seq = 1", "events: seq 1 cannot be replayed"),
        ("UPDATE events SET data = replace(data, ':4', ':5') WHERE seq = 5", "events: seq 5 cannot be replayed"),
        ("UPDATE events SET at = at - 1 WHERE seq = 4", "is not what the log gives"),
    ],
)
async def test_what_was_changed_behind_its_back_is_found(busy: Desk, statement: str, expected: str) -> None:
    await busy.tamper(statement)
    faults = await busy.audit()
    assert any(expected in fault for fault in faults), faults


async def test_hours_moved_from_one_user_to_another_are_found(busy: Desk) -> None:
    """Every sum is right, and still it is not what the log gives."""
    await busy.tamper(
        "UPDATE allocations SET username = 'u2' WHERE bid_id = 1",
        "UPDATE allocated_totals SET volume = 14 WHERE username = 'u2'",
        "DELETE FROM allocated_totals WHERE username = 'u1'",
    )
    assert any("is not what the log gives" in fault for fault in await busy.audit())


async def test_a_better_bid_passed_over_is_found(desk: Desk) -> None:
    """Two bids change places: hours, sums and totals are right, but price and time were not kept."""
    await desk.bid(buy("early", volume=10, price=3))
    await desk.bid(buy("late", volume=10, price=3))
    await desk.supply(sell(10))
    await desk.tamper(
        "UPDATE bids SET remaining = 10, state = 'open' WHERE bid_id = 1",
        "UPDATE bids SET remaining = 0, state = 'filled' WHERE bid_id = 2",
        "UPDATE allocations SET bid_id = 2, username = 'late'",
        "UPDATE allocated_totals SET username = 'late'",
    )
    assert any("is not what the log gives" in fault for fault in await desk.audit())


async def test_two_entries_of_the_log_that_change_places_are_found(desk: Desk) -> None:
    await desk.bid(buy("early", volume=10, price=3))
    await desk.bid(buy("late", volume=10, price=3))
    await desk.supply(sell(10))
    await desk.tamper(
        "UPDATE events SET seq = 99 WHERE seq = 1",
        "UPDATE events SET seq = 1 WHERE seq = 2",
        "UPDATE events SET seq = 2 WHERE seq = 99",
    )
    assert await desk.audit() != []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE events SET kind = 'bid_placed' WHERE seq = 7", "events: seq 7 says"),
        ("UPDATE events SET subject = 'default/1' WHERE seq = 7", "events: seq 7 says"),
        ("UPDATE events SET member = 'u9' WHERE seq = 7", "events: seq 7 says"),
        ("UPDATE events SET topic = 'spot' WHERE seq = 7", "events: seq 7 says"),
    ],
)
async def test_an_entry_whose_columns_are_not_what_its_data_says_is_found(
    busy: Desk, statement: str, expected: str
) -> None:
    await busy.tamper(statement)
    assert any(expected in fault for fault in await busy.audit())


REPEATED = """
INSERT INTO events (lane, seq, at, topic, kind, subject, member, data)
SELECT lane, 11, at, topic, kind, subject, member, data FROM events WHERE seq = {seq}
"""


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        pytest.param(REPEATED.format(seq=7), "the bid was closed already", id="cancelled twice"),
        pytest.param(REPEATED.format(seq=9), "the supply was closed already", id="withdrawn twice"),
        pytest.param(REPEATED.format(seq=10), "the market was there already", id="a market made twice"),
        pytest.param(
            "UPDATE events SET data = replace(data, ':4', ':2') WHERE seq = 5",
            "the bid was closed or expired already",
            id="a filled bid amended",
        ),
        pytest.param(
            "UPDATE events SET data = replace(data, '\"volume\":8', '\"volume\":0') WHERE seq = 5",
            "the bid had as many hours already",
            id="amended below what it has",
        ),
        pytest.param(
            "UPDATE events SET data = replace(data, 'gtc', 'fok') WHERE seq = 4",
            "the bid was all or nothing and got a part",
            id="a part for all or nothing",
        ),
        pytest.param(
            "UPDATE events SET data = replace(data, 'null', '1') WHERE seq = 4",
            "the bid had expired before it was placed",
            id="dead when placed",
        ),
        pytest.param(
            "UPDATE events SET kind = 'market_changed', subject = 'default', member = NULL,"
            ' data = \'{"type":"market_changed","market":"default","state":"closed"}\' WHERE seq = 1',
            "the market was closed",
            id="an order on a closed market",
        ),
    ],
)
async def test_an_entry_that_should_have_been_refused_is_found(busy: Desk, statement: str, expected: str) -> None:
    await busy.tamper(statement)
    faults = await busy.audit()
    assert any("cannot be replayed" in fault and expected in fault for fault in faults), faults


async def test_books_of_more_rows_than_a_page_are_read_to_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "PAGE", 3)
    await desk.together(*(buy(f"u{n}", volume=1, price=n) for n in range(9)))
    await desk.supply(sell(7))
    assert await desk.audit() == []
    await desk.tamper("UPDATE bids SET price = 99 WHERE bid_id = 9")
    assert any("bid_id=9" in fault for fault in await desk.audit())


async def test_a_market_that_was_closed_and_opened_again_balances(busy: Desk) -> None:
    await busy.together(ChangeMarket("west", "closed"), ChangeMarket("default", "closed"), ChangeMarket("west", "open"))
    assert await busy.audit() == []


async def test_many_faults_are_told_in_few_sentences(desk: Desk) -> None:
    await desk.together(*(buy(f"u{n}", volume=10, price=3) for n in range(50)))
    await desk.tamper("UPDATE bids SET remaining = 9")
    assert 1 <= len(await desk.audit()) < 20
