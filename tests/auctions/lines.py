"""A line protocol that listens in the test's own process, and solvers as plain as a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

from marketplace.auctions import BookFeed, tables
from marketplace.auctions.line_protocol import LineProtocol, Ports
from marketplace.http.callers import Authenticate
from tests.auctions.desk import Desk

PATIENCE_SECONDS = 10.0


class Peer:
    """One connection, as a solver has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, **line: Any) -> None:
        await self.send(json.dumps(line).encode() + b"\n")

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def hear(self) -> dict[str, Any]:
        """Return the next line."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            line: dict[str, Any] = json.loads(await self.reader.readuntil(b"\n"))
        return line

    async def hear_of(self, name: str) -> Any:
        """Return the next line of a kind."""
        while name not in (line := await self.hear()):
            pass
        return line[name]

    async def is_closed(self) -> bool:
        """Wait until the other side closes; what it said before is passed over."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65_536):
                    pass
        return True

    async def is_open(self) -> bool:
        """Tell whether nothing comes from the other side, not even its end, for a moment."""
        try:
            async with asyncio.timeout(0.2):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


class Sequencer:
    """The three ports, and who is connected."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self._peers: list[Peer] = []

    async def connect(self, port: str, *, tls: ssl.SSLContext | None = None) -> Peer:
        opened = await asyncio.open_connection("127.0.0.1", getattr(self.ports, port), limit=2**24, ssl=tls)
        self._peers.append(Peer(*opened))
        return self._peers[-1]

    async def connect_lazily(self, port: str) -> Peer:
        """Connect as somebody for whom little can wait."""
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        lazy.connect(("127.0.0.1", getattr(self.ports, port)))
        lazy.setblocking(False)
        self._peers.append(Peer(*await asyncio.open_connection(sock=lazy, limit=1_000)))
        return self._peers[-1]

    async def listen(self) -> Peer:
        """Connect to the port of orders, and wait until what happens is told there."""
        peer = await self.connect("orders")
        assert await peer.is_open()
        return peer

    def leave(self) -> None:
        for peer in self._peers:
            peer.writer.close()


@contextlib.asynccontextmanager
async def listening(
    desk: Desk,
    *,
    authenticate: Authenticate | None = None,
    at: Ports = Ports(0, 0, 0),  # noqa: B008 (it never changes)
    book: str = "default",
    **how: Any,
) -> AsyncIterator[Sequencer]:
    """Speak lines for the desk's lane."""
    feed = BookFeed(desk.database)
    feed.listen(desk.lane)
    protocol = LineProtocol(desk.database, desk.lane, feed, authenticate, book=book)
    async with protocol.serving("127.0.0.1", at, **how) as ports:
        sequencer = Sequencer(ports)
        try:
            yield sequencer
        finally:
            sequencer.leave()
    await feed.end()


# ── orders of ann's, and bids on them ─────────────────────────────────────────────────────────────────────────────────

CREDIT = 1_000_000
LATER = 4_000_000_000


async def place(desk: Desk, **more: Any) -> int:
    """Put an order of ann's out, credits for credits."""
    fields: dict[str, Any] = {"output_asset": "credit", "input_budget": 200 * CREDIT}
    return (await desk.announced(**fields | more)).order_id


def a_bid(order_id: int, solver: str = "s1", **more: Any) -> dict[str, Any]:
    fields = {"order_id": order_id, "solver_id": solver, "max_input": 100, "conversion_rate": 1.05, "valid_till": LATER}
    return fields | more


async def bids(desk: Desk, order_id: int) -> dict[str, tuple[int, int, str]]:
    """Return what solvers bid on an order: input and output in units, and the rate."""
    found = await desk.rows(tables.auction_bids, order_id=order_id)
    return {row.solver: (row.max_input, row.min_output, row.conversion_rate) for row in found}


async def until_bids(desk: Desk, order_id: int, count: int) -> dict[str, tuple[int, int, str]]:
    for _ in range(500):
        if len(found := await bids(desk, order_id)) == count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(await bids(desk, order_id))


async def until_delivered(desk: Desk, order_id: int) -> None:
    for _ in range(500):
        if (await desk.commitment(order_id)).is_kept:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was delivered")
