"""A projection follows its pool at the cost of what has changed, and lets bids in best first, each in its time."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from marketplace import spot
from marketplace.database import Database
from marketplace.foundation.clock import SECOND
from marketplace.foundation.errors import Busy
from marketplace.spot import deciding, errors
from marketplace.spot.projection import Projection
from tests.spot.desk import CREDIT, Desk


def projection_of(desk: Desk, at_once: int | None = None) -> Projection:
    return Projection(spot.DEFAULT_POOL, at_once=at_once, clock=desk.clock)


async def test_of_more_bids_than_are_let_in_at_once_the_best_come_first(desk: Desk) -> None:
    bids = [await desk.place("ann", price) for price in (1.0, 5.0, 3.0, 4.0, 2.0)]
    one = projection_of(desk, at_once=2)
    seen = []
    for has_more in (True, True, False, False):
        assert await desk.read(one.catch_up) is has_more
        seen.append([bids.index(bid_id) for bid_id in bids if one.state.queued(bid_id)])
    assert seen == [[1, 3], [1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


async def test_a_pool_without_news_costs_one_statement_and_news_cost_what_is_new(desk: Desk) -> None:
    await desk.add_node("a")
    for number in range(20):
        await desk.place("ann", 1.0 + number)
    one = projection_of(desk)
    await desk.read(one.catch_up)
    assert await rows_read(desk.database, one) == (1, 1)
    await desk.place("bob", 1.0)
    statements, rows = await rows_read(desk.database, one)
    assert statements <= 5
    assert rows <= 4  # the head, the pool, its price, the bid


async def rows_read(database: Database, projection: Projection) -> tuple[int, int]:
    """Catch up, and return how many statements that took and how many rows they returned."""
    counts = [0, 0]

    def count(tx: sa.Connection) -> None:
        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            counts[0] += statement.startswith("SELECT")

        sa.event.listen(tx, "before_cursor_execute", note)
        original = tx.execute

        def execute(*given: Any, **named: Any) -> Any:
            result = original(*given, **named).freeze()
            counts[1] += len(result().fetchall())
            return result()

        tx.execute = execute  # type: ignore[method-assign]
        projection.catch_up(tx)
        tx.execute = original  # type: ignore[method-assign]

    await database.read(count)
    return counts[0], counts[1]


async def test_other_settings_of_the_pool_are_decided_by_at_once(desk: Desk) -> None:
    await desk.add_node("a")
    low = await desk.running("ann", 1.00)
    high = await desk.place("bob", 1.04)
    await desk.match()
    assert await desk.state(high) == "submitted"
    await desk.run(spot.SetPool(pool="default", margin_basis_points=300))
    await desk.match()
    assert [await desk.state(bid_id) for bid_id in (low, high)] == ["evicting", "matched"]


async def test_it_tells_when_time_alone_may_change_something(desk: Desk) -> None:
    await desk.add_node("a")
    one = projection_of(desk)
    bid_id = await desk.place("ann", 1.0, on_eviction="requeue")
    assert (await deciding.step(one, desk.database, desk.lane)).changes_at is None
    await desk.start(bid_id)
    protected_until = desk.clock() + 60 * SECOND
    assert (await deciding.step(one, desk.database, desk.lane)).changes_at == protected_until
    await desk.run(spot.EvictLease((await desk.lease_of(bid_id)).lease_id))
    desk.clock.advance(61)
    await desk.end(bid_id, 143)
    step = await deciding.step(one, desk.database, desk.lane)
    assert step == deciding.Step(starts=0, evictions=0, is_done=True, changes_at=desk.clock() + 60 * SECOND)
    desk.clock.advance(60)
    assert (await deciding.step(one, desk.database, desk.lane)).starts == 1


async def test_who_waits_is_told_rank_reason_and_what_would_be_enough(desk: Desk) -> None:
    await desk.add_node("a")
    running = await desk.running("ann", 2.00)
    first, second = await desk.place("bob", 1.50), await desk.place("cy", 1.00)
    await desk.match()
    one = projection_of(desk)
    await desk.read(one.catch_up)
    standings = [one.standing(bid_id) for bid_id in (first, second)]
    assert [each and (each.rank, each.reason.kind, each.min_price_micros) for each in standings] == [
        (1, "no_room", 2_100_001),
        (2, "no_room", 2_100_001),
    ]
    assert one.standing(running) is None
    container = spot.Container(image="app", cpu_millis=1_000, memory_mib=2_048)
    preview = one.preview(container, 3 * CREDIT)
    assert (preview.runs_now, preview.would_evict, preview.node) == (True, (running,), "a")
    assert not one.preview(container, 2 * CREDIT).runs_now


async def test_a_pool_that_is_not_there_is_refused(desk: Desk) -> None:
    with pytest.raises(errors.UnknownPool):
        await desk.read(Projection("none").catch_up)


async def test_a_step_that_nothing_came_of_is_decided_again(desk: Desk) -> None:
    await desk.add_node("a")
    bid_id = await desk.place("ann", 1.0)
    one = projection_of(desk)

    class Closed:
        """A lane that is shutting down, or of which nobody knows what it did."""

        def __init__(self, error: Exception) -> None:
            self.error = error

        async def run(self, _: Any) -> Any:
            raise self.error

    for error in (Busy("shutting down"), RuntimeError("who knows")):
        with pytest.raises(type(error)):
            await deciding.step(one, desk.database, Closed(error))  # type: ignore[arg-type]
    assert (await deciding.step(one, desk.database, desk.lane)).starts == 1
    assert await desk.state(bid_id) == "starting"
