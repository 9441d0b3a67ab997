"""The line protocol over real sockets: solvers written for it work, and whoever speaks something else is shown out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from marketplace.auctions import PlaceOrder, SetBook, line_protocol
from marketplace.foundation.clock import SECOND
from tests.auctions.desk import FULFIL, GRACE, WINDOW, Desk
from tests.auctions.lines import (
    CREDIT,
    LATER,
    Peer,
    Sequencer,
    a_bid,
    bids,
    listening,
    place,
    until_bids,
    until_delivered,
)


@pytest.fixture
async def sequencer(desk: Desk) -> AsyncIterator[Sequencer]:
    """Three ports for the default book, where ann and the solvers have 1 000 credits each."""
    for name in ("ann", "s1", "s2", "s3"):
        await desk.give(name, 1_000 * CREDIT)
    async with listening(desk) as one:
        yield one


# ── a solver written for it ──────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_goes_from_batch_to_payment(desk: Desk, sequencer: Sequencer) -> None:
    listener = await sequencer.listen()
    order_id = await place(desk, description="render a film")
    (order,) = await listener.hear_of("NewOrderBatch")
    placed_at = (await desk.order(order_id)).placed_at // SECOND
    assert order == {"id": order_id, "description": "render a film", "creation_time": placed_at}
    bidder = await sequencer.connect("bids")
    await bidder.say(SubmitBid=a_bid(order_id, conversion_rate=1.0578))
    assert await until_bids(desk, order_id, 1) == {"s1": (100 * CREDIT, 105 * CREDIT, "1.05")}
    await desk.tick(WINDOW)
    deadline = (await desk.commitment(order_id)).deadline // SECOND
    assert await listener.hear_of("CommitmentNotification") == {
        "order_id": order_id, "solver_id": "s1", "input_amount": 100, "min_output_amount": 105, "deadline": deadline,
    }  # fmt: skip
    teller = await sequencer.connect("fulfilments")
    await teller.say(FulfillmentComplete={"order_id": order_id, "solver_id": "s1"})
    await until_delivered(desk, order_id)
    await desk.tick()
    assert (await desk.order(order_id)).state == "filled"
    ann, s1 = await desk.has("ann"), await desk.has("s1")
    assert (ann[0] - 1_000 - 1_000 * CREDIT, s1[0] - 1_000 - 1_000 * CREDIT) == (5 * CREDIT, -5 * CREDIT)


async def test_everybody_who_listens_is_told_the_same(desk: Desk, sequencer: Sequencer) -> None:
    listeners = [await sequencer.listen() for _ in range(5)]
    for _ in range(3):
        await place(desk)
    told = [[await listener.hear() for _ in range(3)] for listener in listeners]
    assert all(each == told[0] for each in told)


async def test_who_comes_later_is_told_of_what_comes_later(desk: Desk, sequencer: Sequencer) -> None:
    await place(desk)
    listener = await sequencer.listen()
    second = await place(desk)
    assert [order["id"] for order in await listener.hear_of("NewOrderBatch")] == [second]


async def test_the_next_best_is_told_when_it_takes_over(desk: Desk, sequencer: Sequencer) -> None:
    listener = await sequencer.listen()
    order_id = await place(desk)
    bidder = await sequencer.connect("bids")
    await bidder.say(SubmitBid=a_bid(order_id, "s1", conversion_rate=1.1))
    await bidder.say(SubmitBid=a_bid(order_id, "s2", conversion_rate=1))
    await until_bids(desk, order_id, 2)
    await desk.tick(WINDOW)
    assert (await listener.hear_of("CommitmentNotification"))["solver_id"] == "s1"
    await desk.tick(FULFIL + GRACE)
    assert (await listener.hear_of("CommitmentNotification"))["solver_id"] == "s2"


async def test_an_order_that_takes_bids_again_is_told_again(desk: Desk, sequencer: Sequencer) -> None:
    listener = await sequencer.listen()
    order_id = await place(desk, description="render a film")
    first = await listener.hear_of("NewOrderBatch")
    bidder = await sequencer.connect("bids")
    await bidder.say(SubmitBid=a_bid(order_id))
    await until_bids(desk, order_id, 1)
    await desk.tick(WINDOW)
    await desk.tick(FULFIL + GRACE)
    assert (await desk.order(order_id)).state == "open"
    assert await listener.hear_of("NewOrderBatch") == first


async def test_an_order_that_nobody_wins_is_told_as_closed(desk: Desk, sequencer: Sequencer) -> None:
    listener = await sequencer.listen()
    order_id = await place(desk, expires_at=desk.clock() + 60 * SECOND)
    await desk.tick(60)
    assert await listener.hear_of("AuctionClosedNoWinner") == order_id


async def test_in_a_book_of_claims_fulfilment_is_the_claim(desk: Desk) -> None:
    await desk.open_book("word", escrow="claim")
    await desk.give("ann", 1_000 * CREDIT)
    async with listening(desk, book="word") as sequencer:
        order_id = await place(desk, book="word")
        await (await sequencer.connect("bids")).say(SubmitBid=a_bid(order_id))
        await until_bids(desk, order_id, 1)
        await desk.tick(WINDOW, book="word")
        await (await sequencer.connect("fulfilments")).say(
            FulfillmentComplete={"order_id": order_id, "solver_id": "s1"}
        )
        await until_delivered(desk, order_id)
        assert (await desk.commitment(order_id)).claimed_at


# ── what cannot be done is not answered, and harms nobody ────────────────────────────────────────────────────────────


async def test_a_refused_line_leaves_the_connection_open(desk: Desk, sequencer: Sequencer) -> None:
    order_id = await place(desk)
    bidder = await sequencer.connect("bids")
    for refused in (
        a_bid(999),
        a_bid(order_id, "ann"),
        a_bid(order_id, max_input=201),
        a_bid(order_id, valid_till=1),
    ):
        await bidder.say(SubmitBid=refused)
    await bidder.say(FulfillmentComplete={"order_id": order_id, "solver_id": "s1"})
    await bidder.say(SubmitBid=a_bid(order_id, "s2"))
    assert set(await until_bids(desk, order_id, 1)) == {"s2"}
    assert await bidder.is_open()


async def test_a_bid_on_another_book_is_refused(desk: Desk, sequencer: Sequencer) -> None:
    await desk.open_book("night")
    elsewhere, here = await place(desk, book="night"), await place(desk)
    bidder = await sequencer.connect("bids")
    await bidder.say(SubmitBid=a_bid(elsewhere))
    await bidder.say(SubmitBid=a_bid(here))
    await until_bids(desk, here, 1)
    assert await bids(desk, elsewhere) == {}


async def test_a_replayed_line_changes_nothing(desk: Desk, sequencer: Sequencer) -> None:
    order_id = await place(desk)
    bidder, teller = await sequencer.connect("bids"), await sequencer.connect("fulfilments")
    await bidder.say(SubmitBid=a_bid(order_id))
    await until_bids(desk, order_id, 1)
    await desk.tick(WINDOW)
    for _ in range(3):
        await teller.say(FulfillmentComplete={"order_id": order_id, "solver_id": "s1"})
    await until_delivered(desk, order_id)
    assert await teller.is_open()
    assert (await desk.commitment(order_id)).deposited == 105 * CREDIT
    await desk.tick()
    await teller.say(FulfillmentComplete={"order_id": order_id, "solver_id": "s1"})
    assert await teller.is_open()
    assert (await desk.has("s1"))[0] == 1_000 + 995 * CREDIT


# ── hostile lines ────────────────────────────────────────────────────────────────────────────────────────────────────


def a_line(rate: str) -> bytes:
    fields = f'"order_id":ORDER,"solver_id":"s1","max_input":1,"conversion_rate":{rate},"valid_till":{LATER}'
    return f'{{"SubmitBid":{{{fields}}}}}\n'.encode()


HOSTILE = {
    "HTTP": b'POST / HTTP/1.1\r\nHost: x\r\n\r\n{"SubmitBid":{"order_id":ORDER,"solver_id":"s1","max_input":1,'
    b'"conversion_rate":1,"valid_till":4000000000}}\n',
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
    "no JSON": b"hello\n",
    "nothing": b"\n",
    "no object": b"[1]\n",
    "no UTF-8": b'{"FulfillmentComplete":{"order_id":1,"solver_id":"\xff"}}\n',
    "unknown": b'{"Shutdown":{}}\n',
    "two at once": b'{"Authenticate":"mk_1","FulfillmentComplete":{"order_id":1,"solver_id":"s"}}\n',
    "too long": b'{"Authenticate":"' + b"x" * 20_000 + b'"}\n',
    "without an end": b"x" * 200_000,
    "nested": b"[" * 7_000 + b"\n",
    "not a number": a_line("NaN"),
    "infinite": a_line('"Infinity"'),
    "absurd": a_line("1e999999"),
    "negative": a_line("-1"),
}


async def test_a_line_that_is_none_closes_the_connection(desk: Desk, sequencer: Sequencer) -> None:
    order_id = await place(desk)
    before = await desk.everything()
    for kind, line in HOSTILE.items():
        for port in ("orders", "bids", "fulfilments"):
            peer = await sequencer.connect(port)
            with contextlib.suppress(ConnectionError):
                await peer.send(line.replace(b"ORDER", str(order_id).encode()))
                # What comes behind a broken line is not read any more.
                await peer.say(SubmitBid=a_bid(order_id))
            assert await peer.is_closed(), (kind, port)
    assert await desk.everything() == before
    assert await (await sequencer.connect("bids")).is_open()


async def test_a_line_that_ends_with_the_connection_is_none(desk: Desk, sequencer: Sequencer) -> None:
    order_id = await place(desk)
    peer = await sequencer.connect("bids")
    await peer.send(b'{"SubmitBid":{"order_id":1')
    peer.writer.write_eof()
    assert await peer.is_closed()
    assert await bids(desk, order_id) == {}


async def test_who_bids_on_the_port_of_orders_is_shown_out(desk: Desk, sequencer: Sequencer) -> None:
    order_id = await place(desk)
    peer = await sequencer.listen()
    await peer.say(SubmitBid=a_bid(order_id))
    assert await peer.is_closed()
    assert await bids(desk, order_id) == {}


async def test_a_slow_reader_is_dropped_and_the_others_are_not(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_protocol, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(line_protocol, "BUFFER_BYTES", 4_096)
    before = closed("slow_reader")
    await desk.run(SetBook("default", batch_size=50))
    async with listening(desk) as sequencer:
        slow, quick = await sequencer.connect_lazily("orders"), await sequencer.listen()
        for _ in range(4):
            await desk.together(*[an_order(description="x" * 900) for _ in range(50)])
            await desk.tick(2)
            assert await count_orders(quick, 50) == 50
        await until(lambda: closed("slow_reader") > before)
        assert await slow.is_closed()
        assert await quick.is_open()


def an_order(**more: Any) -> PlaceOrder:
    fields: dict[str, Any] = {"limit_output": None, "input_asset": "credit", "input_budget": None}
    return PlaceOrder("default", "ann", more.pop("description"), None, "credit", **fields | more)


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(500):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")


async def count_orders(peer: Peer, count: int) -> int:
    heard = 0
    while heard < count:
        heard += len(await peer.hear_of("NewOrderBatch"))
    return heard


def closed(reason: str) -> float:
    count: float = line_protocol.CLOSED.labels(reason)._value.get()
    return count


async def test_no_more_are_let_in_than_can_be_served(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_protocol, "MOST_CONNECTIONS", 2)
    async with listening(desk) as sequencer:
        first, _ = await sequencer.listen(), await sequencer.listen()
        assert await (await sequencer.connect("orders")).is_closed()
        first.writer.close()
        await asyncio.sleep(0.05)
        assert await (await sequencer.connect("orders")).is_open()


async def test_who_listens_is_let_go_at_the_end(desk: Desk) -> None:
    async with listening(desk) as sequencer:
        peers = [await sequencer.connect(port) for port in ("orders", "bids", "fulfilments")]
        await asyncio.sleep(0.05)
    assert [await peer.is_closed() for peer in peers] == [True] * 3
