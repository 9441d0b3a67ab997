"""The audit finds whatever was changed behind the pool's back. An audit that cannot fail would prove nothing."""

from __future__ import annotations

import pytest

from marketplace.addresses import DeleteNetwork
from marketplace.database import proofs
from tests.addresses.desk import Desk

ZEROS = "0" * 31


@pytest.fixture
async def busy(desk: Desk) -> Desk:
    """A pool with a bit of everything: 12 entries in the log, 2 assigned, 1 free, 1 resting."""
    await desk.network(reserved=("172.16.0.9-172.16.0.11",))  # 1
    await desk.allocate("a", "b", "c", owner="ops")  # 2 3 4
    await desk.allocate("a", hostname="web")  # 5
    await desk.release("b")  # 6
    await desk.allocate("x", ip="172.16.0.100")  # 7
    await desk.network("10.0.0.0/29", network="slow", reuse_delay_seconds=60)  # 8
    await desk.allocate("a", network="slow")  # 9
    await desk.release("a", network="slow")  # 10
    await desk.network("10.1.0.0/29", network="gone")  # 11
    await desk.run(DeleteNetwork("gone"))  # 12
    assert await desk.audit() == []
    return desk


def moved(table: str, column: str, old: str, new: str) -> str:
    return f"UPDATE {table} SET {column} = '{new:0>32}' WHERE {column} = '{old:0>32}'"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        # an address twice, or nowhere
        (moved("segments", "next_offset", "65", "64"), "172.16.0.100 was given out, and is in a segment"),
        (
            moved("segments", "next_offset", "65", "66"),
            "networks: default counts 3 assigned, 1 free, 0 resting and 246",
        ),
        (moved("segments", "next_offset", "c", "b"), "segments: default has a segment 11-99 that is not usable"),
        (moved("segments", "last_offset", "fe", "ff"), "segments: default has a segment 101-255 that is not usable"),
        (f"DELETE FROM segments WHERE last_offset = '{ZEROS}8'", "networks: default counts"),
        ("DELETE FROM addresses WHERE vm_id = 'a'", "networks: default counts 3 assigned"),
        ("DELETE FROM addresses WHERE vm_id IS NULL", "networks: slow counts 0 assigned, 0 free, 1 resting"),
        (
            f"INSERT INTO segments VALUES ('default', '{ZEROS}7', '{ZEROS}7')",
            "segments: default has two segments with the offset",
        ),
        (moved("addresses", "ip_offset", "2", "9"), "addresses: 172.16.0.2 is not the address at 9"),
        # one in a reserved range, rightly named
        (
            f"UPDATE addresses SET ip = '172.16.0.9', ip_offset = '{ZEROS}9' WHERE vm_id = 'a'",
            "addresses: 172.16.0.9 cannot be given out in default",
        ),
        # counts
        ("UPDATE networks SET assigned = 4 WHERE network = 'default'", "networks: default counts 4 assigned"),
        ("UPDATE networks SET free = 0, resting = 1 WHERE network = 'default'", "networks: default counts 3 assigned"),
        ("UPDATE networks SET total = '255' WHERE network = 'default'", "networks: default has bounds or counts"),
        ("UPDATE networks SET reserved = '9' WHERE network = 'default'", "networks: default has bounds or counts"),
        ("UPDATE networks SET gateway = NULL WHERE network = 'default'", "networks: default has bounds or counts"),
        (
            "UPDATE networks SET cidr = '172.16.0.0/23' WHERE network = 'default'",
            "networks: default has bounds or counts",
        ),
        ("UPDATE networks SET cidr = 'x' WHERE network = 'default'", "networks: default cannot be"),
        ("DELETE FROM reserved_ranges", "networks: default has bounds or counts"),
        # what the tables cannot see, but the log can
        ("UPDATE addresses SET vm_id = 'z' WHERE vm_id = 'a'", "addresses: the row Assignment"),
        ("UPDATE addresses SET hostname = NULL WHERE vm_id = 'a'", "addresses: the row Assignment"),
        ("UPDATE addresses SET owner = 'me' WHERE vm_id = 'c'", "addresses: the row Assignment"),
        ("UPDATE addresses SET seq = 9 WHERE vm_id = 'c'", "addresses: the row Assignment"),
        ("UPDATE addresses SET assigned_at = 9 WHERE vm_id = 'c'", "addresses: the row Assignment"),
        ("UPDATE addresses SET resting_until = 9 WHERE network = 'slow'", "addresses: the row 9"),
        ("UPDATE networks SET reuse_delay_seconds = 9 WHERE network = 'default'", "networks: the row Network"),
        ("UPDATE networks SET allocation = 'random' WHERE network = 'default'", "networks: the row Network"),
        ("UPDATE networks SET seq = 99 WHERE network = 'default'", "networks: the row Network"),
        (
            "INSERT INTO past_assignments VALUES ('default', '172.16.0.7', 1, 'z', NULL, NULL, 1, 2, 2)",
            "past_assignments: the row Past",
        ),
        # the log itself
        (
            "DELETE FROM events WHERE lane = 'addresses' AND seq = 12",
            "commits: the last one says seq 12, the log ends at 11",
        ),
        ("DELETE FROM events WHERE lane = 'addresses' AND seq = 5", "events: 11 entries from seq 1 to 12"),
        ("UPDATE events SET data = '{}' WHERE lane = 'addresses' AND seq = 5", "events: seq 5 cannot be replayed"),
        ("UPDATE events SET member = 'me' WHERE lane = 'addresses' AND seq = 3", "events: seq 3 says"),
        ("UPDATE events SET kind = 'x' WHERE lane = 'addresses' AND seq = 3", "events: seq 3 says"),
        ("UPDATE events SET data = replace(data, '0.3', '0.2') WHERE seq = 3", "the address was assigned already"),
        ("UPDATE events SET data = replace(data, '0.3', '0.9') WHERE seq = 3", "the address could not be given out"),
        ("UPDATE events SET data = replace(data, '0.3', '9.3') WHERE seq = 3", "the address could not be given out"),
        ("UPDATE events SET data = replace(data, '\"b\"', '\"a\"') WHERE seq = 3", "the VM had an address already"),
        ("UPDATE events SET data = replace(data, '0.3', '0.4') WHERE seq = 6", "the VM had another address"),
        ("UPDATE events SET data = replace(data, 'slow', 'default') WHERE seq = 8", "the network was there already"),
        ("UPDATE events SET data = replace(data, '/29', '/33') WHERE seq = 8", "events: seq 8 cannot be replayed"),
        ("UPDATE events SET data = replace(data, 'gone', 'default') WHERE seq = 12", "it had assignments"),
        ("UPDATE events SET data = replace(data, '\"b\"', '\"q\"') WHERE seq = 6", "events: seq 6 cannot be replayed"),
    ],
)
async def test_what_was_changed_behind_its_back_is_found(busy: Desk, statement: str, expected: str) -> None:
    await busy.tamper(statement)
    faults = await busy.audit()
    assert any(expected in fault for fault in faults), faults


async def test_networks_that_overlap_are_found(busy: Desk) -> None:
    last = f"{ZEROS[:24]}ac1000ff"
    await busy.tamper(f"UPDATE networks SET last = '{last}' WHERE network = 'slow'")
    assert "networks: slow and default overlap" in await busy.audit()


async def test_a_pool_of_more_rows_than_a_page_is_read_to_the_end(busy: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "PAGE", 2)
    assert await busy.audit() == []
    await busy.tamper("UPDATE addresses SET owner = 'me' WHERE vm_id = 'x'")
    assert any("vm_id='x'" in fault for fault in await busy.audit())


async def test_many_faults_are_told_in_few_sentences(desk: Desk) -> None:
    await desk.network()
    await desk.allocate(*(f"vm{n}" for n in range(50)))
    await desk.tamper("UPDATE addresses SET ip = 'x'")
    assert 1 <= len(await desk.audit()) < 20
