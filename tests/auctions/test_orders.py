"""An order from its placing to its end, on both engines."""

from __future__ import annotations

import pytest

from marketplace.auctions import entries, errors, model
from marketplace.auctions.model import CancelOrder, PlaceOrder
from marketplace.foundation.clock import SECOND
from marketplace.ledger import errors as ledger_errors
from tests.auctions.desk import FULFIL, GRACE, WINDOW, Desk

# ── placing and announcing ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_budget_is_held_from_the_owners_wallet(desk: Desk) -> None:
    order = await desk.place(input_budget=100)
    assert (order.state, order.round, order.bids) == ("pending", 1, 0)
    assert await desk.has("ann") == (1_000, 900)


async def test_an_order_is_announced_at_the_next_tick(desk: Desk) -> None:
    order = await desk.place(payload='{"cpu": [1, 2.5, null, "\\\\u0000"]}', limit_output=3)
    assert await desk.log() == []
    ticked = await desk.tick()
    assert (ticked.added, ticked.more) == (1, False)
    assert await desk.log() == ["OrderAdded", "BatchCreated"]
    (said,) = await desk.said(entries.OrderAdded)
    assert (said.order_id, said.limit_output, said.input_budget) == (order.order_id, "3", "0.0001")
    assert said.closes_at == desk.clock() + WINDOW * SECOND
    assert bytes(said.payload) == b'{"cpu":[1,2.5,null,"\\\\u0000"]}'


async def test_orders_are_announced_in_batches_first_come_first(desk: Desk) -> None:
    ids = [(await desk.place()).order_id for _ in range(7)]
    first = await desk.tick()
    assert first.batch == model.Batch("default", "q", 1, 0, 5, desk.clock())
    assert (await desk.tick()).added == 0, "one batch a tick of the clock"
    assert (await desk.tick(2)).added == 2
    batches = await desk.said(entries.BatchCreated)
    assert [batch.order_ids for batch in batches] == [tuple(ids[:5]), tuple(ids[5:])]
    assert [batch.first_offset for batch in batches] == [0, 6]
    assert await desk.log() == [*["OrderAdded"] * 5, "BatchCreated", *["OrderAdded"] * 2, "BatchCreated"]


async def test_a_batch_of_a_sequencer_is_formed_once(desk: Desk) -> None:
    for _ in range(6):
        await desk.place()
    first = await desk.tick(batch_number=7)
    again = await desk.tick(2, batch_number=7)
    assert again.batch == first.batch
    assert (first.added, again.added) == (5, 0)
    other = await desk.tick(2, batch_number=7, sequencer="r")
    assert other.added == 1
    assert (await desk.tick(2)).batch is None, "nothing waits"
    await desk.place()
    following = await desk.tick(2)
    assert following.batch is not None
    assert following.batch.batch_number == 8


async def test_a_tick_with_nothing_to_do_leaves_no_trace(desk: Desk) -> None:
    before = await desk.everything()
    assert await desk.tick(100) == model.Ticked(more=False)
    assert await desk.everything() == before


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"book": "nowhere"}, errors.UnknownBook),
        ({"input_budget": 1_001}, ledger_errors.NotCovered),
        ({"input_budget": 0}, errors.BadAmount),
        ({"limit_output": 10**15 + 1}, errors.BadAmount),
        ({"output_asset": "gold"}, ledger_errors.UnknownAsset),
        ({"input_asset": "gold"}, ledger_errors.UnknownAsset),
        ({"expires_at": 1}, errors.InstantPassed),
        ({"payload": "{"}, errors.BadText),
        ({"payload": '{"cpu": "\\u0000"}'}, errors.BadText),
        ({"payload": '"\\ud800"'}, errors.BadText),
        ({"payload": "[" * 10_000 + "]" * 10_000}, errors.BadText),
        ({"payload": '"' + "x" * 65_535 + '"'}, errors.BadText),
        ({"description": ""}, errors.BadText),
        ({"description": "x" * 2_001}, errors.BadText),
        ({"description": "x\0"}, errors.BadText),
    ],
)
async def test_an_order_that_cannot_be_is_refused(desk: Desk, fields: dict[str, object], kind: type) -> None:
    usual = PlaceOrder("default", "ann", "hours", None, "hour", None, "credit", 100)
    await desk.refused(PlaceOrder(**{name: getattr(usual, name) for name in usual.__struct_fields__} | fields), kind)


# ── filled ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_best_bid_delivers_and_both_sides_have_what_is_theirs(desk: Desk) -> None:
    order = await desk.announced()
    await desk.bid(order.order_id, "s1", output=20, most=10)
    await desk.bid(order.order_id, "s2", output=21, most=40)
    assert (await desk.tick(WINDOW)).selected == 1
    commitment = await desk.commitment(order.order_id)
    assert (commitment.solver, commitment.min_output, commitment.input_amount) == ("s2", 21, 40)
    assert commitment.ends_at == desk.clock() + (FULFIL + GRACE) * SECOND
    deposited = await desk.deposit(order.order_id, "s2")
    assert (deposited.amount, deposited.commitment.is_kept) == (21, True)
    assert await desk.has("s2", "hour") == (1_000, 979)
    assert (await desk.tick(2)).filled == 1
    assert (await desk.order(order.order_id)).state == "filled"
    assert await desk.has("s2", "hour") == (979, 979)
    assert await desk.has("ann", "hour") == (21, 21)
    assert await desk.has("s2") == (1_040, 1_040)
    assert await desk.has("ann") == (960, 960), "what is left of the budget is free again"
    assert (await desk.log())[2:] == [
        "BidReceived",
        "BidReceived",
        "BidSelected",
        "CommitmentCreated",
        "DepositReceived",
        "OrderFilled",
    ]


async def test_what_is_delivered_above_the_promise_is_the_owners(desk: Desk) -> None:
    order = await desk.committed()
    for amount in (15, 4, 6):
        await desk.deposit(order.order_id, amount=amount)
    await desk.tick()
    (filled,) = await desk.said(entries.OrderFilled)
    assert (filled.output, filled.surplus) == ("25", "5")
    assert await desk.has("ann", "hour") == (25, 25)


async def test_an_order_without_a_budget_is_paid_from_the_wallet(desk: Desk) -> None:
    order = await desk.announced(input_budget=None)
    await desk.bid(order.order_id, "s1", output=50, most=1_001)
    await desk.bid(order.order_id, "s2", output=20, most=1_000)
    await desk.tick(WINDOW)
    (shown,) = await desk.said(entries.BidSelected)
    assert [(bid.solver, bid.rank, bid.reason) for bid in shown.bids] == [("s2", 1, None), ("s1", None, "not_covered")]
    assert await desk.has("ann") == (1_000, 0), "held from the commitment on"
    await desk.deposit(order.order_id, "s2")
    await desk.tick()
    assert await desk.has("s2") == (2_000, 2_000)
    assert await desk.has("ann") == (0, 0)


async def test_a_window_without_a_bid_waits_for_one(desk: Desk) -> None:
    order = await desk.announced()
    await desk.tick(WINDOW)
    assert (await desk.order(order.order_id)).closes_at is None
    await desk.tick(100)
    await desk.bid(order.order_id)
    assert (await desk.order(order.order_id)).closes_at == desk.clock() + WINDOW * SECOND
    assert (await desk.tick()).selected == 0, "others shall have a chance as well"
    assert (await desk.tick(WINDOW)).selected == 1


async def test_bids_that_expired_before_the_window_closed_do_not_win(desk: Desk) -> None:
    order = await desk.announced()
    await desk.bid(order.order_id, valid=WINDOW)
    assert (await desk.tick(WINDOW)).selected == 0
    await desk.bid(order.order_id, "s2", output=1)
    await desk.tick(WINDOW)
    (shown,) = await desk.said(entries.BidSelected)
    assert [(bid.solver, bid.rank, bid.reason) for bid in shown.bids] == [("s2", 1, None), ("s1", None, "expired")]


# ── cancelled and expired ────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_can_be_cancelled_until_a_solver_is_committed(desk: Desk) -> None:
    waiting = await desk.place()
    assert (await desk.cancel(waiting.order_id)).state == "cancelled"
    assert await desk.log() == [], "nobody had heard of it"
    order = await desk.announced()
    await desk.bid(order.order_id)
    cancelled = await desk.cancel(order.order_id)
    assert (cancelled.state, cancelled.description) == ("cancelled", "some hours")
    assert (await desk.log())[-1] == "OrderCancelled"
    assert await desk.has("ann") == (1_000, 1_000)
    await desk.refused(CancelOrder(order.order_id), errors.NotCancellable)
    committed = await desk.committed()
    await desk.refused(CancelOrder(committed.order_id), errors.NotCancellable)
    assert (await desk.tick(WINDOW)).selected == 0, "the cancelled one's window is closed"


async def test_only_its_owner_cancels_an_order(desk: Desk) -> None:
    order = await desk.place()
    await desk.refused(CancelOrder(order.order_id, "bob"), errors.UnknownOrder)
    await desk.refused(CancelOrder(999), errors.UnknownOrder)
    assert (await desk.run(CancelOrder(order.order_id, "ann"))).state == "cancelled"


async def test_an_order_expires_where_no_solver_is_committed(desk: Desk) -> None:
    order = await desk.announced(expires_at=desk.clock() + 3 * SECOND)
    assert (await desk.tick(2)).expired == 0
    assert (await desk.tick(1)).expired == 1
    assert (await desk.order(order.order_id)).state == "expired"
    assert await desk.has("ann") == (1_000, 1_000)
    assert (await desk.log())[-1] == "OrderExpired"


async def test_an_order_that_expires_before_it_is_announced_is_never_announced(desk: Desk) -> None:
    await desk.place(expires_at=desk.clock() + SECOND)
    ticked = await desk.tick(1)
    assert (ticked.expired, ticked.added) == (1, 0)
    assert await desk.log() == []


async def test_a_commitment_goes_on_past_the_orders_own_time(desk: Desk) -> None:
    order = await desk.committed(expires_at=desk.clock() + (WINDOW + 1) * SECOND)
    assert (await desk.tick(5)).expired == 0
    await desk.deposit(order.order_id)
    assert (await desk.tick()).filled == 1


# ── in one transaction ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_orders_of_one_batch_of_the_lane_share_the_wallet(desk: Desk) -> None:
    order = PlaceOrder("default", "ann", "hours", None, "hour", None, "credit", 400)
    outcomes = await desk.together(*[order] * 3)
    assert [type(one) for one in outcomes] == [model.Order, model.Order, ledger_errors.NotCovered]
    assert await desk.has("ann") == (1_000, 200)


async def test_ticks_at_once_do_everything_once(desk: Desk) -> None:
    order = await desk.announced()
    await desk.bid(order.order_id)
    desk.clock.advance(WINDOW)
    outcomes = await desk.together(*(model.Tick("default", name) for name in "abc"))
    assert [one.selected for one in outcomes] == [1, 0, 0]
    assert len(await desk.commitments(order.order_id)) == 1


async def test_a_tick_of_a_book_that_is_not_there_is_refused(desk: Desk) -> None:
    await desk.refused(model.Tick("nowhere", "q"), errors.UnknownBook)


# ── in chunks ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_tick_does_so_many_orders_and_says_that_there_are_more(desk: Desk) -> None:
    for number in range(5):
        await desk.place(input_budget=None, expires_at=desk.clock() + (number < 3) * SECOND + 100)
    ticked = [await desk.tick(2 if number == 0 else 0, limit=2) for number in range(3)]
    assert [(one.expired, one.more) for one in ticked] == [(2, True), (2, True), (1, False)]


@pytest.mark.parametrize(("grace_seconds", "orders"), [(0, 50), (0.05, 50), (0.2, 100), (2, 1_000), (60, 1_000)])
def test_the_shorter_the_grace_the_fewer_orders_share_a_transaction(grace_seconds: float, orders: int) -> None:
    book = model.Book("b", SECOND, 5, SECOND, SECOND, round(grace_seconds * SECOND), None, "ledger", 0, 0)
    assert book.most_at_once == orders
