"""The hot statements walk their index, in its order, on a network with 150 000 addresses and 100 000 segments: no sort,
no scan of a table."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from marketplace import addresses
from marketplace.addresses import sql
from marketplace.database import Database, bulk
from tests.addresses.desk import NETWORK
from tests.services import plans
from tests.services.clock import NEW_YEAR
from tests.services.plans import Hot

pytestmark = pytest.mark.slow

NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
NETWORK_ROW = f"""
INSERT INTO networks (network, seq, cidr, allocation, reuse_delay_seconds, version, base, last, total, reserved,
                      assigned, free, resting, created_at)
SELECT '{NETWORK}', 1, '10.0.0.0/8', 'lowest', 60, 4, {{base}}, {{last}}, '16777214', '1', 50000, 50000, 50000, 0
"""
ADDRESSES = f"""
INSERT INTO addresses (network, ip_offset, ip, vm_id, hostname, owner, seq, assigned_at, resting_until)
{NUMBERS.format(count=150_000)}
SELECT '{NETWORK}', {{n}}, '', CASE WHEN n % 3 = 0 THEN 'vm' || n END,
       CASE WHEN n % 6 = 0 THEN 'Host-' || (n % 5000) END,
       CASE WHEN n % 3 = 0 THEN 'u' || (n % 500) END, CASE WHEN n % 3 = 0 THEN n END,
       CASE WHEN n % 3 = 0 THEN {NEW_YEAR} END, CASE WHEN n % 3 = 1 THEN {NEW_YEAR} + n END
  FROM numbers
"""
SEGMENTS = f"""
INSERT INTO segments (network, last_offset, next_offset)
{NUMBERS.format(count=100_000)}
SELECT '{NETWORK}', {{end}}, {{begin}} FROM numbers
"""
HEXADECIMAL = {"postgresql": "lpad(to_hex({}), 32, '0')", "sqlite": "printf('%032x', {})"}


def read_available(tx: sa.Connection) -> sql.Known:
    known = sql.Known({}, {})
    sql.read_available(tx, NETWORK, known, start=7, limit=64, rested=64, until=NEW_YEAR + 500)
    assert len(known.segments) == 64
    assert len(known.released) == 128
    return known


def read_places(tx: sa.Connection) -> sql.Known:
    known = sql.Known({}, {})
    sql.read_places(tx, [(NETWORK, 7), (NETWORK, 1_000_001)], {NETWORK: known})
    return known


def drop_segments(tx: sa.Connection) -> bool:
    bulk.write(tx, [sql.drop_segments([(NETWORK, 1_000_015), (NETWORK, 1_000_031)])])
    return True


HOT = {
    "what VMs have": Hot(("addresses_by_vm",), lambda tx: sql.read_by_vm(tx, [(NETWORK, "vm3"), (NETWORK, "vm60000")])),
    "what is at places": Hot(("addresses_pkey", "segments_pkey"), read_places),
    "what can be given out": Hot(("addresses_free segments_pkey addresses_resting",), read_available),
    "used up segments": Hot(("segments_pkey",), drop_segments),
    "what a VM has": Hot(("addresses_by_vm",), lambda tx: addresses.find_assignment(tx, NETWORK, "vm60000").assignment),
    "who has an address": Hot(("addresses_pkey",), lambda tx: addresses.find_address(tx, NETWORK, "10.0.0.3")),
    "who has a hostname": Hot(
        ("addresses_by_hostname",), lambda tx: addresses.find_hostname(tx, NETWORK, "HOST-1002", limit=100)
    ),
    "a page of assignments": Hot(
        ("addresses_pkey",), lambda tx: addresses.list_assignments(tx, NETWORK, after=70_000, limit=100)
    ),
    "a page of a member's assignments": Hot(
        ("addresses_by_owner",),
        lambda tx: addresses.list_assignments(tx, NETWORK, owner="u300", after=70_000, limit=50),
    ),
}


async def test_the_hot_statements_walk_their_index_on_a_large_network(database: Database) -> None:
    faults = await database.writer.run(fill_and_check)
    assert faults == [], "\n\n".join(faults)


def fill_and_check(tx: sa.Connection) -> list[str]:
    with tx.begin() as transaction:
        fill(tx)
        faults = plans.check_all(tx, HOT, tables=("addresses", "segments"), ignoring="networks")
        transaction.rollback()
    return faults


def fill(tx: sa.Connection) -> None:
    hexadecimal = HEXADECIMAL[tx.dialect.name].format
    numbers = {"n": "n", "begin": "1000000 + n * 16", "end": "1000015 + n * 16", "base": 10 << 24, "last": 11 << 24}
    texts = {name: hexadecimal(number) for name, number in numbers.items()}
    for statement in (NETWORK_ROW, ADDRESSES, SEGMENTS, "ANALYZE"):
        tx.exec_driver_sql(statement.format(**texts))
