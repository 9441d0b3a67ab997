"""The line protocol where members have keys: a connection begins with one, and acts for its member alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marketplace.auctions import line_protocol
from marketplace.foundation import errors
from marketplace.http.callers import Caller
from tests.auctions.desk import Desk
from tests.auctions.lines import CREDIT, Sequencer, a_bid, bids, listening, place, until_bids


class Keys:
    """Who has which key; it may be taken away."""

    def __init__(self) -> None:
        self.callers = {
            "mk_s1": Caller("s1", frozenset(("read", "solve"))),
            "mk_s2": Caller("s2", frozenset(("read", "solve"))),
            "mk_reader": Caller("s1", frozenset(("read",))),
            "mk_admin": Caller("root", frozenset(("admin",))),
        }

    async def __call__(self, token: str) -> Caller:
        if token not in self.callers:
            raise errors.Unauthenticated("Nobody has this key.")
        return self.callers[token]


@pytest.fixture
async def locked(desk: Desk) -> AsyncIterator[tuple[Sequencer, Keys]]:
    await desk.give("ann", 1_000 * CREDIT)
    keys = Keys()
    async with listening(desk, authenticate=keys) as sequencer:
        yield sequencer, keys


async def test_nobody_is_let_in_without_a_good_key(desk: Desk, locked: tuple[Sequencer, Keys]) -> None:
    sequencer, _ = locked
    order_id = await place(desk)
    for port in ("orders", "bids", "fulfilments"):
        for line in ({"Authenticate": "mk_none"}, {"SubmitBid": a_bid(order_id)}, {"Authenticate": ""}):
            peer = await sequencer.connect(port)
            await peer.say(**line)
            assert await peer.is_closed()
    assert await bids(desk, order_id) == {}


async def test_who_says_nothing_is_shown_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_protocol, "SAY_WHO_SECONDS", 0.1)
    async with listening(desk, authenticate=Keys()) as sequencer:
        assert await (await sequencer.connect("orders")).is_closed()


async def test_a_key_bids_for_its_member_alone(desk: Desk, locked: tuple[Sequencer, Keys]) -> None:
    sequencer, _ = locked
    order_id = await place(desk)
    for token, solver in (("mk_s1", "s2"), ("mk_reader", "s1")):
        peer = await sequencer.connect("bids")
        await peer.say(Authenticate=token)
        await peer.say(SubmitBid=a_bid(order_id, solver))
        assert await peer.is_closed()
    assert await bids(desk, order_id) == {}
    for token, solver in (("mk_s1", "s1"), ("mk_admin", "s3")):
        peer = await sequencer.connect("bids")
        await peer.say(Authenticate=token)
        await peer.say(SubmitBid=a_bid(order_id, solver))
    assert set(await until_bids(desk, order_id, 2)) == {"s1", "s3"}


async def test_a_key_that_is_taken_away_ends_what_it_opened(desk: Desk, locked: tuple[Sequencer, Keys]) -> None:
    sequencer, keys = locked
    listener, bidder = await sequencer.connect("orders"), await sequencer.connect("bids")
    for peer in (listener, bidder):
        await peer.say(Authenticate="mk_s1")
    assert await listener.is_open()
    order_id = await place(desk)
    assert (await listener.hear_of("NewOrderBatch"))[0]["id"] == order_id
    del keys.callers["mk_s1"]
    await bidder.say(SubmitBid=a_bid(order_id))
    assert await bidder.is_closed()
    await place(desk)
    assert await listener.is_closed()
    assert await bids(desk, order_id) == {}
