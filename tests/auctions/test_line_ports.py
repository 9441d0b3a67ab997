"""Where the line protocol listens, and whom it lets in."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from marketplace.auctions import line_protocol
from marketplace.foundation import errors
from marketplace.http.callers import Caller
from tests.auctions.desk import Desk
from tests.auctions.lines import CREDIT, Sequencer, a_bid, bids, listening, place, until_bids

# ── where it listens ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_several_processes_share_the_ports_and_each_tells_everything(desk: Desk) -> None:
    async with listening(desk, shared=True) as first, listening(desk, at=first.ports, shared=True) as second:
        assert second.ports == first.ports
        peers = [await first.connect("orders") for _ in range(12)]  # the system says who gets which
        assert all([await peer.is_open() for peer in peers[-2:]])
        order_id = await place(desk, input_budget=None)
        for peer in peers:
            assert [order["id"] for order in await peer.hear_of("NewOrderBatch")] == [order_id]


async def test_a_port_that_is_taken_is_told(desk: Desk) -> None:
    async with listening(desk) as first:
        with pytest.raises(OSError, match="address already in use"):
            async with listening(desk, at=first.ports):
                pass


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the certificate is made by openssl")
async def test_with_a_certificate_the_ports_speak_tls_and_nothing_else(desk: Desk, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    command = [*words.split(), "-keyout", str(key), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with listening(desk, tls=context) as sequencer:
        peer = await sequencer.connect("orders", tls=ssl.create_default_context(cafile=certificate))
        assert await peer.is_open()
        order_id = await place(desk, input_budget=None)
        assert (await peer.hear_of("NewOrderBatch"))[0]["id"] == order_id
        plain = await sequencer.connect("orders")
        await plain.say(Authenticate="mk_1")
        assert await plain.is_closed()


# ── with keys ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
