"""The reporting views say what the tables say, on both engines."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from marketplace import addresses
from marketplace.addresses import Allocate, DeleteNetwork, Release
from marketplace.foundation import clock as clocks
from tests.addresses.desk import Desk
from tests.reports import renting
from tests.reports.expectations import in_order, plain
from tests.services.clock import NEW_YEAR


async def read(desk: Desk, name: str) -> list[tuple[Any, ...]]:
    report = await desk.database.report(addresses.read_report, name, limit=10_000)
    return [tuple(plain(value) for value in row) for row in report.rows]


def iso(instant: int) -> Any:
    return plain(clocks.to_datetime(instant))


async def test_current_assignments_are_those_that_the_lists_give(desk: Desk) -> None:
    await renting.rent_for_some_hours(desk.lane, desk.clock)
    expected = []
    for network in renting.NETWORKS:
        found = await desk.read(addresses.list_assignments, network.network, after=None, limit=1000)
        expected += [(a.network, a.ip, a.vm_id, a.hostname, a.owner, iso(a.assigned_at)) for a in found]
    assert in_order(await read(desk, "current_assignments")) == in_order(expected)
    assert len(expected) > 20


async def test_the_history_tells_who_had_an_address_at_a_moment(desk: Desk) -> None:
    await desk.network()
    for vm_id in "abc":
        await desk.allocate(vm_id)
        desk.clock.advance(10)
        if vm_id != "c":
            await desk.release(vm_id)
            desk.clock.advance(10)
    assert [(row[1], *row[3:4], *row[6:]) for row in await read(desk, "address_history")] == [
        ("172.16.0.2", "a", iso(NEW_YEAR), iso(NEW_YEAR + 10 * clocks.SECOND), 10),
        ("172.16.0.2", "b", iso(NEW_YEAR + 20 * clocks.SECOND), iso(NEW_YEAR + 30 * clocks.SECOND), 10),
        ("172.16.0.2", "c", iso(NEW_YEAR + 40 * clocks.SECOND), None, None),
    ]
    assert [await who_had(desk, seconds) for seconds in (0, 5, 10, 15, 20, 35, 40, 99)] == [
        ["a"],
        ["a"],
        [],
        [],
        ["b"],
        [],
        ["c"],
        ["c"],
    ]


async def who_had(desk: Desk, seconds: int) -> list[str]:
    """Ask as docs/reporting.md says."""
    statement = """
SELECT vm_id
  FROM report_address_history
 WHERE network = 'default' AND ip = '172.16.0.2'
   AND assigned_at <= '{at}' AND (released_at IS NULL OR released_at > '{at}')
""".format(at=iso(NEW_YEAR + seconds * clocks.SECOND))
    return list(await desk.database.report(lambda tx: tx.execute(sa.text(statement)).scalars().all()))


async def test_a_deleted_network_keeps_its_history(desk: Desk) -> None:
    for _ in range(2):
        await desk.network()
        await desk.allocate("a")
        await desk.release("a")
        await desk.run(DeleteNetwork("default"))
    assert [row[2:4] for row in await read(desk, "address_history")] == [(2, "a"), (6, "a")]


async def test_an_address_given_out_twice_at_one_instant_has_two_rows(desk: Desk) -> None:
    await desk.network()
    await desk.together(Allocate("default", "a"), Release("default", "a"), Allocate("default", "b"))
    assert [(row[3], row[8]) for row in await read(desk, "address_history")] == [("a", 0), ("b", None)]


async def test_network_use_is_what_the_stats_say(desk: Desk) -> None:
    await renting.rent_for_some_hours(desk.lane, desk.clock)
    desk.clock.instant = clocks.now() + clocks.DAY  # the views have the database's own clock
    expected = []
    for network in renting.NETWORKS:
        stats = await desk.stats(network.network)
        found = await desk.read(addresses.find_network, network.network)
        usable = stats.total - stats.reserved
        counts = (stats.total, stats.allocated, stats.reserved, stats.resting, stats.available)
        ratio = round(stats.allocated / usable, 6)
        expected.append((stats.network, stats.cidr, stats.gateway, *counts, ratio, iso(found.created_at)))
    assert in_order(await read(desk, "network_use")) == in_order(expected)


async def test_network_use_counts_what_rests(desk: Desk) -> None:
    desk.clock.instant = 4 * NEW_YEAR  # far ahead of the database's own clock
    await desk.network(reuse_delay_seconds=60)
    await desk.allocate("a", "b")
    await desk.release("a")
    assert [row[3:8] for row in await read(desk, "network_use")] == [(254, 1, 1, 1, 251)]


async def test_the_largest_networks_do_not_end_a_report(desk: Desk) -> None:
    await desk.network("::/0")
    ((_, cidr, gateway, total, *counts, utilisation, _),) = await read(desk, "network_use")
    assert (cidr, gateway, counts[:3], utilisation) == ("::/0", "::1", [0, 1, 0], 0)
    expected = 2**128 - 1 if desk.database.is_postgres else float(2**128)
    assert (total, counts[3]) == (expected, expected - 1)


async def test_a_network_that_is_reserved_whole_has_no_utilisation(desk: Desk) -> None:
    await desk.network("10.0.0.0/24", reserved=("10.0.0.0/24",))
    assert [row[3:9] for row in await read(desk, "network_use")] == [(254, 0, 254, 0, 0, None)]
