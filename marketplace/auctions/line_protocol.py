"""The line protocol (`wire.lines`) as TCP: a port that tells of orders, one that takes bids, one for what is delivered.

A connection that says something which is no line of the protocol, HTTP for one, is closed at once: no page in a browser
can get a bid through, since the first line of its request is none. A bid that is refused is counted and not answered,
as the protocol has no word for that. Who does not read what is told is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from marketplace.auctions import counts, errors, lookups, model
from marketplace.auctions.feed import BookFeed
from marketplace.auctions.line_words import BrokenLine, Reopened, Teller, batched, read_said, to_whole_bid
from marketplace.database import Database, Lane
from marketplace.foundation import clock
from marketplace.foundation.errors import Busy, Refusal
from marketplace.http.callers import OPEN, Authenticate, Caller
from marketplace.wire import lines

SAY_WHO_SECONDS = 10.0
SLOW_SECONDS = 5.0
"""How long a reader may leave lying what is told to it, once BUFFER_BYTES of it do."""
BUFFER_BYTES = 256 * 1024
MOST_CONNECTIONS = 1_000
"""On each port of a process."""
BUSY_TRIES = 20
BUSY_SECONDS = 0.25

CONNECTIONS = Gauge(
    "marketplace_line_connections",
    "Open connections of the line protocol, by port",
    ["port"],
    multiprocess_mode="livesum",
)
CLOSED = Counter("marketplace_line_closed_total", "Connections of the line protocol that were closed by us", ["reason"])

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class Ports(NamedTuple):
    """Where to listen; 0 lets the system choose."""

    orders: int
    bids: int
    fulfilments: int


class Closed(Exception):
    """We close the connection, and count why."""


class Connection:
    """One connection of a solver, who is a caller with or without a key."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authenticate: Authenticate | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._authenticate = authenticate
        self._token: str | None = None

    async def let_in(self) -> None:
        """Where members have keys, take the one that comes first. Raises Closed, Unauthenticated."""
        if self._authenticate is None:
            return
        try:
            async with asyncio.timeout(SAY_WHO_SECONDS):
                said = await self._next()
        except TimeoutError:
            raise Closed("nobody") from None
        if not isinstance(said, str):
            raise Closed("nobody")
        self._token = said
        await self.caller()

    async def caller(self) -> Caller:
        """Return whose connection it is, as of now: a key may be revoked meanwhile. Raises Unauthenticated."""
        if self._authenticate is None:
            return OPEN
        assert self._token is not None, "who is let in has shown a key"
        return await self._authenticate(self._token)

    async def said(self) -> AsyncIterator[lines.SubmitBid | lines.FulfillmentComplete]:
        """Yield what the solver says, until it goes away. Raises BrokenLine, Closed."""
        while (one := await self._next()) is not None:
            if not isinstance(one, str):
                yield one
            elif self._authenticate is not None:
                raise Closed("second_key")

    async def tell(self, told: lines.Told) -> None:
        """Send a line. Raises Closed where it is not read in time."""
        self._writer.write(_encode(told) + b"\n")
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            raise Closed("slow_reader") from None

    async def _next(self) -> str | lines.SubmitBid | lines.FulfillmentComplete | None:
        """Return the next line, None at the end. Raises BrokenLine."""
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial.strip():
                raise BrokenLine("the last line has no end") from None
            return None
        except asyncio.LimitOverrunError:
            raise BrokenLine("the line is too long") from None
        return read_said(line)


def _bound(writer: asyncio.StreamWriter) -> None:
    """Let no more wait for a reader than BUFFER_BYTES here, and about as much in the kernel."""
    writer.transport.set_write_buffer_limits(high=BUFFER_BYTES)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)


Serve = Callable[[Connection], Awaitable[None]]


class LineProtocol:
    """One book's three ports. `authenticate` is None where nobody has a key."""

    def __init__(
        self,
        database: Database,
        lane: Lane,
        feed: BookFeed,
        authenticate: Authenticate | None,
        *,
        book: str = model.DEFAULT_BOOK,
    ) -> None:
        self._database = database
        self._lane = lane
        self._feed = feed
        self._authenticate = authenticate
        self._book = book
        self._open: dict[str, set[asyncio.Task[None]]] = {}

    @contextlib.asynccontextmanager
    async def serving(
        self, host: str, ports: Ports, *, tls: ssl.SSLContext | None = None, shared: bool = False
    ) -> AsyncIterator[Ports]:
        """Listen while the body runs; yields the ports. `shared` lets other processes listen there too.

        Raises OSError where a port is taken.
        """
        serve: dict[str, Serve] = {
            "orders": self._tell_orders,
            "bids": self._take_lines,
            "fulfilments": self._take_lines,
        }
        async with contextlib.AsyncExitStack() as stack:
            found = []
            for (name, serving), port in zip(serve.items(), ports, strict=True):
                server = await asyncio.start_server(
                    self._accept(name, serving),
                    host,
                    port,
                    limit=lines.MAX_LINE_BYTES,
                    ssl=tls,
                    reuse_port=shared or None,
                )
                stack.push_async_callback(self._close, name)
                stack.callback(server.close)
                found.append(server.sockets[0].getsockname()[1])
            yield Ports(*found)

    async def _close(self, name: str) -> None:
        """End what is open on a port."""
        tasks = self._open.pop(name, set())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, name: str, serve: Serve) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        is_open = self._open.setdefault(name, set())

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _bound(writer)
            if len(is_open) >= MOST_CONNECTIONS:
                CLOSED.labels("too_many").inc()
                writer.close()
                return
            task = asyncio.create_task(self._connected(name, serve, reader, writer), name=f"line protocol {name}")
            is_open.add(task)
            task.add_done_callback(is_open.discard)

        return accept

    async def _connected(
        self, name: str, serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection to its end, whatever that is."""
        connection = Connection(reader, writer, self._authenticate)
        CONNECTIONS.labels(name).inc()
        try:
            await connection.let_in()
            await serve(connection)
        except (BrokenLine, Closed, Refusal) as reason:
            words = reason.code if isinstance(reason, Refusal) else str(reason) if isinstance(reason, Closed) else ""
            CLOSED.labels(words or "broken_line").inc()
            log.info("line_connection_closed", port=name, reason=words or "broken_line", detail=str(reason))
        except OSError:
            pass  # it is gone
        except Exception:
            CLOSED.labels("failed").inc()
            log.exception("line_connection_failed", port=name)
        finally:
            CONNECTIONS.labels(name).dec()
            # Not closed in good order: who does not read would keep what is written for it.
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    # ── the port that tells ──────────────────────────────────────────────────────────────────────────────────────────

    async def _tell_orders(self, connection: Connection) -> None:
        """Tell what happens from now on. A solver that says something here has taken the wrong port."""
        (await connection.caller()).require("read")
        listening = asyncio.ensure_future(self._listen(connection))
        telling = asyncio.ensure_future(self._tell(connection))
        try:
            await asyncio.wait((listening, telling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, telling):
                task.cancel()
            ended = await asyncio.gather(listening, telling, return_exceptions=True)
        for end in ended:
            if isinstance(end, Exception):
                raise end

    async def _listen(self, connection: Connection) -> None:
        async for _ in connection.said():
            raise Closed("wrong_port")

    async def _tell(self, connection: Connection) -> None:
        teller = Teller()
        first = await self._feed.head(self._book)
        async for entries in self._feed.stream(self._book, first=first):
            await connection.caller()
            for entry in entries:
                told = teller.tell(entry.data)
                if isinstance(told, Reopened):
                    order = await self._order(told.order_id)
                    again = batched(order.order_id, order.description, order.placed_at)
                    told = lines.Told(new_order_batch=[again])
                if told:
                    await connection.tell(told)

    # ── the ports that take ──────────────────────────────────────────────────────────────────────────────────────────

    async def _take_lines(self, connection: Connection) -> None:
        """Carry out what a solver says, one after the other. Raises Unauthenticated, Forbidden."""
        async for said in connection.said():
            caller = await connection.caller()
            caller.require("solve")
            solver = caller.acting_for(said.solver_id, field="solver_id")
            try:
                what = "bid" if isinstance(said, lines.SubmitBid) else "deposit"
                await counts.noted(what, self._insist(said, solver))
            except Refusal as refusal:
                log.info("line_refused", solver=solver, order_id=said.order_id, code=refusal.code)

    async def _insist(self, said: lines.SubmitBid | lines.FulfillmentComplete, solver: str) -> None:
        """Do it, and try again while the lane is busy: the solver would not hear of it. Raises Refusal, BrokenLine."""
        for _ in range(BUSY_TRIES):
            try:
                return await (
                    self._bid(said, solver) if isinstance(said, lines.SubmitBid) else self._fulfil(said, solver)
                )
            except Busy:
                await asyncio.sleep(BUSY_SECONDS)
        raise Busy("The lane has been busy for too long.")

    async def _bid(self, said: lines.SubmitBid, solver: str) -> None:
        bid = to_whole_bid(said)
        order = await self._order(said.order_id)
        max_input = bid.max_input * 10**order.input_decimals
        await self._lane.run(
            model.PlaceBid(order.order_id, solver, max_input, bid.conversion_rate, said.valid_till * clock.SECOND)
        )

    async def _fulfil(self, said: lines.FulfillmentComplete, solver: str) -> None:
        """Deposit what is missing; where the book took the solver's word, this is it."""
        try:
            await self._lane.run(model.Deposit(said.order_id, solver))
        except errors.WrongEscrow:
            await self._lane.run(model.Claim(said.order_id, solver))

    async def _order(self, order_id: int) -> model.Order:
        """Return an order of this book. Raises UnknownOrder."""
        order = await self._database.read_one(lookups.find_order, order_id)
        if order.book != self._book:
            raise errors.UnknownOrder(order_id)
        return order
