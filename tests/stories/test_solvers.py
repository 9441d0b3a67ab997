"""Solvers written with the SDK: one that learns from its losses, one that is killed, one that is lied to by nobody."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from marketplace.client import Announced, AsyncClient, Client, NotFound, Offer, Result, Solver
from marketplace.wire.auctions import Commitment
from tests.reports import documents
from tests.services.server import Server

QUICK = {"tick_seconds": 0.1, "bidding_window_seconds": 1.5, "fulfil_seconds": 6, "grace_seconds": 2}
PATIENCE_SECONDS = 40
GUIDE = "docs/guide/solvers.md"


@pytest.fixture
def house(market: Client) -> Client:
    """A book of the test's own, where orders go quickly."""
    market.open_auction_book("quick", **QUICK)  # type: ignore[arg-type]
    return market


@contextlib.asynccontextmanager
async def solving(server: Server, bid: Any, name: str, **more: Any) -> AsyncIterator[Solver]:
    """Let a solver run beside the body."""
    async with AsyncClient(server.url) as market:
        solver = Solver(market, bid, solver=name, book="quick", **more)
        running = asyncio.create_task(solver.run())
        try:
            yield solver
        finally:
            assert not running.done(), running.exception()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await asyncio.to_thread(is_so):
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.05)


def flat(rate: str, **more: Any) -> Callable[[Announced], Offer]:
    return lambda order: Offer(max_input=order.input_budget or 1, conversion_rate=rate, **more)


def place(house: Client, **more: Any) -> int:
    return house.place_order("anything", username="ann", book="quick", input_budget=100, **more).order_id


# ── learning ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_solver_of_the_guide_learns_to_win(server: Server, house: Client) -> None:
    namespace: dict[str, Any] = {"__name__": "guide"}
    code = documents.blocks(GUIDE, "python")[0].replace("asyncio.run(main())", "")
    exec(compile(code, GUIDE, "exec"), namespace)
    results: list[Result] = []

    def learn(result: Result) -> None:
        results.append(result)
        namespace["learn"](result)

    async with (
        solving(server, flat("0.93"), "steady"),
        solving(server, namespace["bid"], "learner", learn=learn),
    ):
        while not any(result.won for result in results):
            before = len(results)
            await asyncio.to_thread(place, house)
            await until(lambda before=before: len(results) > before)  # type: ignore[misc]
    lost = [result for result in results if not result.won]
    assert {(result.rank, result.winning_output, result.bids) for result in lost} == {(2, "93.00", 2)}
    assert [result.min_output for result in results] == ["80.00", "90.00", "95.00"]


# ── being killed, and coming back ────────────────────────────────────────────────────────────────────────────────────


async def test_a_solver_that_comes_back_goes_on_where_it_was(server: Server, house: Client, tmp_path: Path) -> None:
    asked: list[int] = []
    position = tmp_path / "solver.position"

    def bid(order: Announced) -> Offer:
        asked.append(order.order_id)
        return Offer(50, "1", valid_seconds=600)

    def has_bids(*orders: int) -> bool:
        return all(house.order(order).bids == 1 for order in orders)

    first = await asyncio.to_thread(place, house)
    await until(lambda: house.order(first).state == "open")
    async with solving(server, bid, "s1", position=position):
        await until(lambda: has_bids(first))  # it was there before the solver
        second = await asyncio.to_thread(place, house)
        await until(lambda: has_bids(second))
        await until(lambda: position.exists() and int(position.read_text()) > 0)
    third = await asyncio.to_thread(place, house)
    await until(lambda: house.order(third).state == "open")
    async with solving(server, bid, "s1", position=position):
        await until(lambda: has_bids(third))
    assert asked[0] == first
    assert set(asked) == {first, second, third}
    received = [entry.data for entry in house.auction_log("quick") if entry.kind == "BidReceived"]
    assert sorted(data["order_id"] for data in received) == [first, second, third], "each got one bid, and no newer one"
    assert {data["replaces"] for data in received} == {None}


async def test_an_entry_that_is_read_twice_is_bid_on_once(server: Server, house: Client, tmp_path: Path) -> None:
    position = tmp_path / "solver.position"
    order = await asyncio.to_thread(place, house)
    position.write_text("0\n")
    for rate in ("1", "1.1"):  # another offer, and yet the bid stays what it was
        asked: list[Announced] = []

        def bid(order: Announced, rate: str = rate, asked: list[Announced] = asked) -> Offer:
            asked.append(order)
            return Offer(50, rate, valid_seconds=600)

        async with solving(server, bid, "s1", position=position):
            await until(lambda asked=asked: asked)  # type: ignore[misc]
            await until(lambda: house.order(order).bids == 1)
        position.write_text("0\n")
    kinds = [entry.kind for entry in house.auction_log("quick") if entry.order_id == order]
    assert kinds.count("BidReceived") == 1


async def test_a_commitment_is_kept_by_a_solver_that_was_killed_before_it_delivered(
    server: Server, house: Client, tmp_path: Path
) -> None:
    began, position = asyncio.Event(), tmp_path / "solver.position"

    async def never(_: Commitment) -> None:
        began.set()
        await asyncio.sleep(3600)

    async with solving(server, flat("1"), "s1", work=never, position=position):
        order = await asyncio.to_thread(place, house)
        await asyncio.wait_for(began.wait(), PATIENCE_SECONDS)
    async with solving(server, flat("1"), "s1", position=position):
        await until(lambda: house.order(order).state == "filled")
    (kept,) = house.commitments("quick", order_id=order)
    assert (kept.solver, kept.deposited) == ("s1", "100.00")


# ── working ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_several_commitments_are_worked_on_at_once(server: Server, house: Client) -> None:
    together = 4
    at_work = 0
    all_there = asyncio.Event()

    async def work(_: Commitment) -> None:
        nonlocal at_work
        at_work += 1
        if at_work == together:
            all_there.set()
        await all_there.wait()  # nobody is done before all have begun

    async with solving(server, flat("1"), "s1", work=work):
        orders = [await asyncio.to_thread(place, house) for _ in range(together)]
        await until(lambda: all(house.order(order).state == "filled" for order in orders))


async def test_more_may_be_delivered_than_was_promised(server: Server, house: Client) -> None:
    async with solving(server, flat("1"), "s1", work=lambda made: f"{float(made.min_output) + 7:.2f}"):
        order = await asyncio.to_thread(place, house)
        await until(lambda: house.order(order).state == "filled")
    (balance,) = house.wallet("ann").balances
    assert balance.balance == "1007.00"


async def test_an_error_of_the_strategy_ends_nothing(server: Server, house: Client) -> None:
    failed: list[str] = []

    def fail_once(name: str) -> None:
        if name not in failed:
            failed.append(name)
            raise ZeroDivisionError(name)

    def bid(order: Announced) -> Offer:
        fail_once("bid")
        return Offer(10, "1")

    def work(_: Commitment) -> None:
        fail_once("work")

    async with solving(server, bid, "s1", work=work, learn=lambda _: fail_once("learn")):
        orders = [await asyncio.to_thread(place, house) for _ in range(3)]
        await until(lambda: any(house.order(order).state == "filled" for order in orders))
    assert set(failed) == {"bid", "work", "learn"}


async def test_a_solver_waits_for_a_server_that_is_away(server: Server, house: Client, tmp_path: Path) -> None:
    async with solving(server, flat("1"), "s1"):
        first = await asyncio.to_thread(place, house)
        await until(lambda: house.order(first).state == "filled")
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.restart)
        second = await asyncio.to_thread(place, house)
        await until(lambda: house.order(second).state == "filled")


async def test_where_there_is_no_book_the_solver_says_so(server: Server) -> None:
    async with AsyncClient(server.url) as market:
        with pytest.raises(NotFound):
            await Solver(market, flat("1"), solver="s1", book="nowhere").run()
        with pytest.raises(ValueError, match="who it is"):
            await Solver(market, flat("1")).run()
