"""A solver that speaks lines: three connections to a sequencer, made again whenever one is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal

import msgspec

from marketplace.cli.habits import Habits, print_line
from marketplace.wire import lines

AGAIN_SECONDS = 1.0
VALID_SECONDS = 60
LONGEST_LINE = 16 * 1024 * 1024

_write = msgspec.json.Encoder(decimal_format="number").encode
_read = msgspec.json.Decoder(lines.Told).decode


class LineSolver:
    """Hears of orders on one port, bids on the second, and tells the third what it has delivered."""

    def __init__(
        self, name: str, host: str, ports: tuple[int, int, int], key: str | None, habits: Habits, *, tls: bool
    ) -> None:
        self._name = name
        self._host = host
        self._ports = ports
        self._key = key
        self._habits = habits
        self._tls = tls
        self._working: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Solve, without an end; where the sequencer is away, wait for it."""
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    reader, _ = await self._connect(stack, self._ports[0])
                    _, bids = await self._connect(stack, self._ports[1])
                    _, done = await self._connect(stack, self._ports[2])
                    print_line(f"connected to {self._host}")
                    await self._listen(reader, bids, done)
            except (OSError, asyncio.IncompleteReadError):
                print_line("the connection is lost; tries again")
            await asyncio.sleep(AGAIN_SECONDS)

    async def _connect(
        self, stack: contextlib.AsyncExitStack, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._host, port, limit=LONGEST_LINE, ssl=self._tls or None)
        stack.callback(writer.close)
        if self._key:
            await self._say(writer, lines.Said(authenticate=self._key))
        return reader, writer

    async def _listen(
        self, reader: asyncio.StreamReader, bids: asyncio.StreamWriter, done: asyncio.StreamWriter
    ) -> None:
        while True:
            told = _read(await reader.readuntil(b"\n"))
            for order in told.new_order_batch or ():
                await self._bid(order, bids)
            if (notice := told.commitment_notification) and notice.solver_id == self._name:
                task = asyncio.create_task(self._work(notice, done))
                self._working.add(task)
                task.add_done_callback(self._working.discard)
            if told.auction_closed_no_winner:
                print_line(f"order {told.auction_closed_no_winner}: closed, nobody won")

    async def _bid(self, order: lines.BatchedOrder, bids: asyncio.StreamWriter) -> None:
        if not self._habits.wants():
            print_line(f"order {order.id}: {order.description}; not for me")
            return
        max_input, rate = self._habits.terms()
        print_line(f"order {order.id}: {order.description}; bids {rate} each for {max_input}")
        valid_till = int(time.time()) + VALID_SECONDS
        bid = lines.SubmitBid(order.id, self._name, max_input, Decimal(rate), valid_till)
        await self._say(bids, lines.Said(submit_bid=bid))

    async def _work(self, notice: lines.CommitmentNotification, done: asyncio.StreamWriter) -> None:
        print_line(f"order {notice.order_id}: owes {notice.min_output_amount} for {notice.input_amount}")
        await self._habits.toil()
        with contextlib.suppress(OSError):
            await self._say(
                done, lines.Said(fulfillment_complete=lines.FulfillmentComplete(notice.order_id, self._name))
            )
            print_line(f"order {notice.order_id}: delivers")

    async def _say(self, writer: asyncio.StreamWriter, said: lines.Said) -> None:
        writer.write(_write(said) + b"\n")
        await writer.drain()
