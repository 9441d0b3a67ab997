"""Raw SQL that would break the books is refused by the database, by the name of the rule that it breaks."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.addresses.desk import Desk

ZEROS = "0" * 31


@pytest.fixture
async def used(desk: Desk) -> Desk:
    """172.16.0.2 is assigned to `a`, .3 came back, .4 rests, .9 is reserved."""
    await desk.network(reserved=("172.16.0.9",))
    await desk.allocate("a", "b", "c", hostname="h", owner="ops")
    await desk.release("b", "c")
    await desk.tamper(f"UPDATE addresses SET resting_until = 5 WHERE ip_offset = '{ZEROS}4'")
    return desk


def address_row(offset: str = "f", *, vm_id: str = "x", network: str = "default") -> str:
    columns = "network, ip_offset, ip, vm_id, seq, assigned_at"
    return f"INSERT INTO addresses ({columns}) VALUES ('{network}', '{ZEROS}{offset}', '1', '{vm_id}', 1, 0)"


def network_row(name: str = "other", *, base: str = "e", seq: int = 9, last: str = "f") -> str:
    columns = (
        "network, seq, cidr, allocation, reuse_delay_seconds, version, base, last, total, reserved, assigned, free, "
        "resting, created_at"
    )
    values = f"'{name}', {seq}, '', 'lowest', 0, 4, '{ZEROS}{base}', '{ZEROS}{last}', '0', '0', 0, 0, 0, 0"
    return f"INSERT INTO networks ({columns}) VALUES ({values})"


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE addresses SET ip_offset = 'f'", "addresses_ip_offset_is_hexadecimal"),
        (f"UPDATE addresses SET ip_offset = '{ZEROS}F' WHERE vm_id = 'a'", "addresses_ip_offset_is_hexadecimal"),
        (f"UPDATE addresses SET ip_offset = '{ZEROS}g' WHERE vm_id = 'a'", "addresses_ip_offset_is_hexadecimal"),
        ("UPDATE addresses SET vm_id = '' WHERE vm_id = 'a'", "addresses_vm_id_length"),
        (f"UPDATE addresses SET vm_id = '{'x' * 129}' WHERE vm_id = 'a'", "addresses_vm_id_length"),
        ("UPDATE addresses SET seq = NULL WHERE vm_id = 'a'", "addresses_assigned_by_a_command"),
        ("UPDATE addresses SET seq = 7 WHERE vm_id IS NULL", "addresses_assigned_by_a_command"),
        ("UPDATE addresses SET assigned_at = NULL WHERE vm_id = 'a'", "addresses_assigned_at_an_instant"),
        ("UPDATE addresses SET hostname = 'h' WHERE vm_id IS NULL", "addresses_nothing_of_nobody"),
        ("UPDATE addresses SET owner = 'o' WHERE vm_id IS NULL", "addresses_nothing_of_nobody"),
        ("UPDATE addresses SET resting_until = 1 WHERE vm_id = 'a'", "addresses_nobody_has_a_resting_one"),
        ("UPDATE segments SET next_offset = '2'", "segments_next_offset_is_hexadecimal"),
        ("UPDATE segments SET last_offset = ''", "segments_last_offset_is_hexadecimal"),
        (f"UPDATE segments SET next_offset = '{ZEROS[1:]}ff'", "segments_next_within_segment"),
        (f"UPDATE reserved_ranges SET last_offset = '{ZEROS}1'", "reserved_ranges_first_before_last"),
        (f"UPDATE reserved_ranges SET first_offset = '{ZEROS}/'", "reserved_ranges_first_offset_is_hexadecimal"),
        ("UPDATE networks SET base = last, last = base", "networks_base_before_last"),
        (f"UPDATE networks SET base = '{ZEROS}/'", "networks_base_is_hexadecimal"),
        ("UPDATE networks SET version = 5", "networks_version_known"),
        ("UPDATE networks SET allocation = 'highest'", "networks_allocation_known"),
        ("UPDATE networks SET reuse_delay_seconds = -1", "networks_reuse_delay_not_negative"),
        ("UPDATE networks SET assigned = -1", "networks_counts_not_negative"),
        ("UPDATE networks SET free = -1", "networks_counts_not_negative"),
        ("UPDATE networks SET resting = -1", "networks_counts_not_negative"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused_by_name(used: Desk, statement: str, constraint: str) -> None:
    with pytest.raises(IntegrityError, match=rf"\b{constraint}\b"):
        await used.tamper(statement)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (address_row(network="nowhere"), "addresses_network_fkey"),
        (f"INSERT INTO segments VALUES ('nowhere', '{ZEROS}1', '{ZEROS}1')", "segments_network_fkey"),
        (f"INSERT INTO reserved_ranges VALUES ('nowhere', '{ZEROS}1', '{ZEROS}1')", "reserved_ranges_network_fkey"),
        ("DELETE FROM networks", "network_fkey"),
    ],
)
async def test_a_row_that_belongs_to_no_network_is_refused(
    used: Desk, engine: str, statement: str, constraint: str
) -> None:
    # SQLite does not say which key it was.
    expected = constraint if engine == "postgres" else "FOREIGN KEY constraint failed"
    with pytest.raises(IntegrityError, match=expected):
        await used.tamper(statement)


@pytest.mark.parametrize(
    ("statement", "on_postgres", "on_sqlite"),
    [
        pytest.param(address_row("2"), "addresses_pkey", "addresses.network, addresses.ip_offset", id="two have one"),
        pytest.param(address_row(vm_id="a"), "addresses_by_vm", "addresses.network, addresses.vm_id", id="one has two"),
        pytest.param(network_row("default"), "networks_pkey", "networks.network", id="a name twice"),
        pytest.param(network_row(seq=1), "networks_seq_key", "networks.seq", id="two first ones"),
    ],
)
async def test_a_collision_is_refused_whoever_writes(
    used: Desk, engine: str, statement: str, on_postgres: str, on_sqlite: str
) -> None:
    expected = on_postgres if engine == "postgres" else re.escape(f"UNIQUE constraint failed: {on_sqlite}")
    with pytest.raises(IntegrityError, match=expected):
        await used.tamper(statement)


async def test_two_networks_do_not_begin_at_one_address(used: Desk, engine: str) -> None:
    await used.tamper(network_row())
    expected = "networks_version_base_key" if engine == "postgres" else "networks.version, networks.base"
    with pytest.raises(IntegrityError, match=expected):
        await used.tamper(network_row("third", seq=8))


async def test_what_is_past_is_never_changed(used: Desk, engine: str) -> None:
    statements = ["DELETE FROM past_assignments", "UPDATE past_assignments SET vm_id = 'x'"]
    for statement in [*statements, "TRUNCATE past_assignments"] if engine == "postgres" else statements:
        with pytest.raises(DBAPIError, match="past_assignments are never changed"):
            await used.tamper(statement)


async def test_an_assignment_does_not_end_before_it_begins(used: Desk) -> None:
    row = "INSERT INTO past_assignments VALUES ('n', '1', 5, 'v', NULL, NULL, 5, {}, {})"
    for numbers in ((5, 9), (9, 4)):
        with pytest.raises(IntegrityError, match="past_assignments_released_after_assigned"):
            await used.tamper(row.format(*numbers))
