"""The connection to the server is cut before, in and after COMMIT: one effect each, and a true answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from marketplace.database import Database, Key, Lane, open_database
from marketplace.database import lane as lane_module
from marketplace.foundation import errors
from tests.database.counters import Add, Books, encode
from tests.database.lanes import Lanes, ask, insist, metered, outcomes, pile_up, until
from tests.services import postgres
from tests.services.relay import Relay, When

IN_SYNC_WAIT = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'marketplace writer'"


@pytest.fixture
def relay(cluster: postgres.Cluster, start_relay: Callable[[int], Relay]) -> Relay:
    return start_relay(cluster.port)


@pytest.fixture
async def far(cluster: postgres.Cluster, database_name: str, relay: Relay) -> AsyncIterator[Database]:
    """The test's database, reached through the relay."""
    opened = open_database(cluster.url(database_name, port=relay.port))
    yield opened
    await opened.close()


@pytest.fixture
async def lane(lanes: Lanes, far: Database) -> Lane:
    """A lane whose writer goes through the relay; one command has gone through."""
    started = await lanes.start(database=far)
    assert (await started.run(Add(100))).seq == 1
    return started


# ── cut, and there again ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("message", ["BEGIN", "LOCK TABLE", "needle", "COMMIT"])
async def test_a_cut_connection_ends_in_one_effect_and_a_true_answer(
    message: str, when: When, far: Database, lane: Lane, relay: Relay, books: Books
) -> None:
    # `needle` is in what is written. `after` COMMIT: the server did it, and nobody here heard that.
    await far.writer.dispose()  # a statement's text is sent once a connection
    relay.cut(when, message.encode())
    told = await outcomes(asyncio.create_task(lane.run(Add(amount, note="needle"))) for amount in (1, 2, 3))
    assert [receipt.seq for receipt in told] == [2, 3, 4]
    assert await books.amounts() == [100, 1, 2, 3]
    assert relay.cuts == 1
    await books.check()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_cut_several_times_in_a_row_is_settled(
    when: When, lane: Lane, relay: Relay, books: Books
) -> None:
    # Where the server did not hear of it, each new try is cut as well; where it did, the search for it is.
    relay.cut(when, b"COMMIT", times=3)
    assert (await ask(lane, Add(1), "key")).body == b'{"seq":2,"balance":101}'
    assert (await ask(lane, Add(1), "key")).replayed
    assert await books.amounts() == [100, 1]
    await books.check()


async def test_a_commit_that_never_arrives_ends_in_a_clean_busy(lane: Lane, relay: Relay, books: Books) -> None:
    relay.cut("before", b"COMMIT", times=100)
    with pytest.raises(errors.Busy):
        await lane.run(Add(1))
    assert await books.amounts() == [100]


async def test_a_connection_cut_between_transactions_is_replaced(lane: Lane, relay: Relay, books: Books) -> None:
    for amount in (1, 2, 3):
        relay.reset()
        await lane.run(Add(amount))
    assert await books.amounts() == [100, 1, 2, 3]
    await books.check()


async def test_a_server_restarted_while_nothing_ran_is_noticed_by_nobody(
    cluster: postgres.Cluster, lanes: Lanes, books: Books
) -> None:
    lane = await lanes.start()
    await lane.run(Add(1))
    assert await books.amounts() == [1]  # the readers have connections too
    cluster.restart("fast")
    assert (await lane.run(Add(2))).seq == 2
    assert await asyncio.gather(*(books.amounts() for _ in range(8))) == [[1, 2]] * 8
    cluster.restart("immediate")
    assert await books.amounts() == [1, 2]
    assert (await lane.run(Add(3))).seq == 3


# ── the server hangs in COMMIT, waiting for a replica that is not there ──────────────────────────────────────────────


@pytest.fixture
async def hanging(cluster: postgres.Cluster, lanes: Lanes) -> AsyncIterator[None]:
    """Let every COMMIT be done on this server and then wait for a replica, so that it can be met in the middle."""
    set_standbys(cluster, "ghost")
    yield
    set_standbys(cluster, "")


def set_standbys(cluster: postgres.Cluster, names: str) -> None:
    cluster.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    cluster.execute("SELECT pg_reload_conf()")


async def begin_to_hang(cluster: postgres.Cluster, lane: Lane, command: Any) -> asyncio.Task[Any]:
    """Run a command until its COMMIT hangs."""
    task = asyncio.create_task(insist(lambda: lane.run(command)))
    await until_hanging(cluster)
    return task


async def until_hanging(cluster: postgres.Cluster) -> None:
    await until_seen(cluster, f"SELECT pid {IN_SYNC_WAIT}")


async def until_waiting_for_the_lane(cluster: postgres.Cluster) -> None:
    await until_seen(
        cluster, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%LOCK %'"
    )


async def until_seen(cluster: postgres.Cluster, query: str) -> None:
    async with asyncio.timeout(20):
        while not (await asyncio.to_thread(cluster.execute, query)):  # noqa: ASYNC110 (another process gets there)
            await asyncio.sleep(0.02)


async def test_a_session_ended_in_commit_has_committed_and_says_so(
    cluster: postgres.Cluster, lanes: Lanes, books: Books, hanging: None
) -> None:
    lane = await lanes.start()
    task = await begin_to_hang(cluster, lane, Add(1))
    cluster.execute(f"SELECT pg_terminate_backend(pid) {IN_SYNC_WAIT}")
    assert (await outcomes([task]))[0].seq == 1
    assert await books.amounts() == [1]
    await books.check()


async def test_a_server_that_crashes_in_commit_has_committed_and_says_so(
    cluster: postgres.Cluster, lanes: Lanes, books: Books, hanging: None
) -> None:
    lane = await lanes.start()
    task = await begin_to_hang(cluster, lane, Add(1))
    cluster.restart("immediate")
    assert (await outcomes([task]))[0].seq == 1
    assert await books.amounts() == [1]


async def test_a_session_that_still_commits_when_its_connection_is_gone_is_waited_for(
    cluster: postgres.Cluster, lane: Lane, relay: Relay, books: Books
) -> None:
    # The row to look for cannot be seen yet, but the old session holds the lane: without the lock it would run twice.
    set_standbys(cluster, "ghost")
    try:
        task = await begin_to_hang(cluster, lane, Add(1))
        relay.reset()
        await until_waiting_for_the_lane(cluster)
        assert not task.done()
    finally:
        set_standbys(cluster, "")
    assert (await outcomes([task]))[0].seq == 2
    assert await books.amounts() == [100, 1]
    await books.check()


async def test_a_slow_commit_is_waited_for_and_those_behind_it_are_refused(
    cluster: postgres.Cluster, lanes: Lanes, books: Books, hanging: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_module, "TRANSACTION_SECONDS", 0.4)  # which is not for COMMIT
    lane = await lanes.start(max_waiting_seconds=0.6)
    task = await begin_to_hang(cluster, lane, Add(1))
    behind = await outcomes(await pile_up(lane, [Add(2), Add(3)]))
    assert [type(each) for each in behind] == [errors.Busy] * 2
    assert not task.done()
    await asyncio.to_thread(set_standbys, cluster, "")
    assert (await outcomes([task]))[0].seq == 1
    assert await books.amounts() == [1]


async def test_a_request_cancelled_in_commit_commits_unheard(
    cluster: postgres.Cluster, lanes: Lanes, books: Books, hanging: None
) -> None:
    lane = await lanes.start()
    task = await begin_to_hang(cluster, lane, Add(1))
    task.cancel()
    await asyncio.wait([task])
    await asyncio.to_thread(set_standbys, cluster, "")
    assert (await lane.run(Add(2))).seq == 2
    assert await books.amounts() == [1, 2]


# ── away for longer than the patience to settle ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("when", "effects"), [("before", []), ("after", [1])])
async def test_a_commit_that_cannot_be_settled_is_outcome_unknown_and_the_truth_is_found_later(
    when: When,
    effects: list[int],
    lane: Lane,
    relay: Relay,
    books: Books,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lane_module.SETTLE_SECONDS == 5.0
    monkeypatch.setattr(lane_module, "SETTLE_SECONDS", 1.0)
    refuse_once_cut(relay, monkeypatch)
    relay.cut(when)
    before = metered("outcome_unknown_total")
    first = asyncio.create_task(ask(lane, Add(1), "key"))
    await until(lambda: relay.cuts == 1)
    behind = await outcomes(await pile_up(lane, [Add(50)]))
    told = await outcomes([first])
    assert isinstance(told[0], errors.OutcomeUnknown)
    assert isinstance(behind[0], errors.Busy)
    assert metered("outcome_unknown_total") == before + 1
    assert await books.amounts() == [100, *effects]

    relay.pass_on()
    again = await lane.answer(Add(1), key=Key("ann", "key", "f"), encode=encode)
    assert (again.body, again.replayed) == (b'{"seq":2,"balance":101}', bool(effects))
    assert await books.amounts() == [100, 1]
    await books.check()


def refuse_once_cut(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no new connection through from the moment of the cut."""
    take_cut = relay.take_cut

    def take_and_refuse(piece: bytes) -> When | None:
        when = take_cut(piece)
        relay._refusing = relay._refusing or when is not None
        return when

    monkeypatch.setattr(relay, "take_cut", take_and_refuse)


async def test_a_server_that_is_away_refuses_until_it_is_back(lane: Lane, relay: Relay, books: Books) -> None:
    relay.refuse()
    told = await outcomes(asyncio.create_task(lane.run(Add(amount))) for amount in (1, 2))
    assert [type(each) for each in told] == [errors.Busy] * 2
    relay.pass_on()
    assert (await lane.run(Add(3))).seq == 2
    assert await books.amounts() == [100, 3]


async def test_a_server_that_falls_silent_in_a_transaction_is_left(
    lane: Lane, relay: Relay, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before COMMIT nothing is promised yet: the writer may leave, and must, or the lane is stuck for good.
    monkeypatch.setattr(lane_module, "TRANSACTION_SECONDS", 0.3)
    take_cut = relay.take_cut

    def fall_silent(piece: bytes) -> When | None:
        if b"needle" in piece:
            relay.blackhole()
            relay.hold()
        return take_cut(piece)

    monkeypatch.setattr(relay, "take_cut", fall_silent)
    with pytest.raises(errors.Busy):
        await asyncio.wait_for(lane.run(Add(1, note="needle")), 15)
    relay.pass_on()
    assert (await insist(lambda: lane.run(Add(3)))).seq == 2
    assert await books.amounts() == [100, 3]


# ── a server that does not write ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("query", ["", "?target_session_attrs=read-write"])
async def test_a_server_that_turns_read_only_is_busy_until_it_writes_again(
    query: str, cluster: postgres.Cluster, database_name: str, lanes: Lanes, books: Books
) -> None:
    # As the old primary of a failover does, and as every host does while there is no new one.
    far = open_database(cluster.url(database_name, over="tcp") + query)
    lane = await lanes.start(database=far, max_waiting_seconds=1.0)
    await insist(lambda: lane.run(Add(1)))
    set_read_only(cluster, database_name, "on")
    try:
        with pytest.raises(errors.Busy):
            await lane.run(Add(2))
    finally:
        set_read_only(cluster, database_name, "off")
    assert (await insist(lambda: lane.run(Add(3)))).seq == 2
    assert await books.amounts() == [1, 3]
    await lane.drain()
    await far.close()


def set_read_only(cluster: postgres.Cluster, database_name: str, value: str) -> None:
    """Set it for new sessions, and end those of the writer."""
    cluster.execute(f"ALTER DATABASE {database_name} SET default_transaction_read_only = {value}")
    cluster.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{database_name}' AND application_name = 'marketplace writer'"
    )
