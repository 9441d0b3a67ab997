"""A solver: follows a book's log, bids by a strategy of yours, delivers what it committed to.

    def bid(order: Announced) -> Offer | None: ...

    async with AsyncClient(url, key=key) as market:
        await Solver(market, bid, position="solver.position").run()

What it sees to, so that a strategy need not:
- It goes on where it was: the next offset of the log is kept in the file `position`, and is moved on only once an
  entry is dealt with. Without a file, or at the first start, it begins with the orders that are open.
- It bids once on an order and round, whatever is read twice: the Idempotency-Key is made of those.
- It delivers on all of its commitments side by side, and on those that were under way when it was last ended. A
  delivery has the commitment as its reference, so that it happens once.
- It waits for a server that is away, for as long as that takes.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from marketplace.client.clients import AsyncClient
from marketplace.client.errors import Forbidden, MarketplaceError, Mismatch, Unauthenticated
from marketplace.client.wallet_calls import Amount
from marketplace.wire import auctions

LIMIT = 500
WAIT_SECONDS = 20.0
AWAY_SECONDS = 1.0
"""Between two tries to reach a server that is away."""
NAMESPACE = uuid.UUID("7d1c1f0e-6f0b-4f0e-9a39-2f6f5a1f9d53")

log = logging.getLogger(__name__)


class Announced(NamedTuple):
    """An order that takes bids. Amounts are decimal text."""

    order_id: int
    description: str
    payload: dict[str, Any] | None
    output_asset: str
    limit_output: str | None
    input_asset: str
    input_budget: str | None


class Offer(NamedTuple):
    """What a strategy bids: takes at most `max_input`, gives `max_input` × `conversion_rate`."""

    max_input: Amount
    conversion_rate: Amount
    valid_seconds: float = 60.0


class Result(NamedTuple):
    """How a round ended for one's own bid, of rank 1 where it won; None where it was passed over, for a `reason`.

    `winning_output` is what the best bid promised: a loser would have had to promise more.
    """

    order: Announced
    rank: int | None
    min_output: str
    winning_output: str
    bids: int
    reason: str | None

    @property
    def won(self) -> bool:
        return self.rank == 1


Strategy = Callable[[Announced], Awaitable[Offer | None] | Offer | None]
Work = Callable[[auctions.Commitment], Awaitable[Amount | None] | Amount | None]
Learn = Callable[[Result], object]


class Solver:
    """One solver on one book. `run` goes on until it is cancelled.

    `work(commitment)` does what was promised, and returns how much to deposit; None is what is missing. `learn(result)`
    is told how each round ended that it bid in; again where an entry is read twice. All three may be coroutine
    functions. An error of theirs is logged, and the rest goes on; so is a bid that is refused.
    """

    def __init__(
        self,
        market: AsyncClient,
        bid: Strategy,
        *,
        solver: str | None = None,
        book: str = auctions.DEFAULT_BOOK,
        work: Work | None = None,
        learn: Learn | None = None,
        position: str | os.PathLike[str] | None = None,
    ) -> None:
        self.name = solver
        self._market = market
        self._book = book
        self._bid = bid
        self._work = work
        self._learn = learn
        self._file = Path(position) if position is not None else None
        self._orders: dict[int, Announced] = {}
        self._delivering: dict[int, asyncio.Task[None]] = {}
        self._sending: list[Awaitable[None]] = []

    async def run(self) -> None:
        """Solve, without an end. Raises Unauthenticated or Forbidden, and NotFound where there is no such book."""
        try:
            offset = await self._insist(self._begin)
            while True:
                page = await self._insist(self._next_page, offset)
                for entry in page.items:
                    await self._handle(entry)
                await self._send_bids()
                if page.next != offset:
                    offset = page.next
                    self._save(offset)
        finally:
            for task in self._delivering.values():
                task.cancel()

    # ── where it is ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self) -> int:
        """Find out who we are, take up what is under way, and return the offset to go on from."""
        if self.name is None:
            self.name = (await self._market.me()).username
        if self.name is None:
            raise ValueError("without keys a solver has to say who it is: Solver(…, solver='s1')")
        offset = self._load()
        head = (await self._market.auction_log_page(self._book, limit=1)).head
        async for commitment in self._market.commitments(self._book, solver=self.name, state="live"):
            self._deliver(commitment.commitment_id)
        if offset is None:
            async for order in self._market.orders(book=self._book, state="open"):
                await self._offer(_announced(order), round_=f"{order.round}")
            await self._send_bids()
        return head if offset is None else min(offset, head)

    async def _next_page(self, offset: int) -> auctions.Entries:
        return await self._market.auction_log_page(
            self._book, from_offset=offset, limit=LIMIT, wait_seconds=WAIT_SECONDS
        )

    def _load(self) -> int | None:
        if self._file is None or not self._file.exists():
            return None
        return int(self._file.read_text(encoding="ascii"))

    def _save(self, offset: int) -> None:
        if self._file is not None:
            new = self._file.with_name(f"{self._file.name}.new")
            new.write_text(f"{offset}\n", encoding="ascii")
            new.replace(self._file)

    # ── what it hears ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _handle(self, entry: auctions.Entry) -> None:
        match entry.kind:
            case "OrderAdded":
                order = msgspec.convert(entry.data, _Added).announced()
                self._orders[order.order_id] = order
                await self._offer(order, round_="1")
            case "BidSelected":
                await self._hear(msgspec.convert(entry.data, _Selected))
            case "CommitmentCreated" if entry.data["solver"] == self.name:
                self._deliver(entry.data["commitment_id"])
            case "CommitmentFailed" if entry.data["then"] == "reopened":
                order = await self._order(entry.data["order_id"])
                await self._offer(order, round_=f"after {entry.data['commitment_id']}")
            case "OrderFilled" | "OrderExpired" | "OrderCancelled":
                self._orders.pop(entry.data["order_id"], None)

    async def _hear(self, selected: _Selected) -> None:
        """Tell how a round ended, if it had a bid of ours."""
        mine = next((bid for bid in selected.bids if bid.solver == self.name), None)
        if mine is None or self._learn is None:
            return
        order = await self._order(selected.order_id)
        result = Result(order, mine.rank, mine.min_output, selected.winning_output, len(selected.bids), mine.reason)
        await self._call(self._learn, result)

    async def _order(self, order_id: int) -> Announced:
        """Return an order, also one that was announced before we began to listen."""
        if order_id not in self._orders:
            self._orders[order_id] = _announced(await self._insist(self._read_order, order_id))
        return self._orders[order_id]

    async def _read_order(self, order_id: int) -> auctions.Order:
        return await self._market.order(order_id)

    # ── what it does ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _offer(self, order: Announced, *, round_: str) -> None:
        """Ask the strategy; what it offers is sent together with what it offers on others."""
        offer = await self._call(self._bid, order)
        if offer is not None:
            key = str(uuid.uuid5(NAMESPACE, f"{self._book}\n{self.name}\n{order.order_id}\n{round_}"))
            self._sending.append(self._try_to_bid(order, offer, key))

    async def _send_bids(self) -> None:
        sending, self._sending = self._sending, []
        await asyncio.gather(*sending)

    async def _try_to_bid(self, order: Announced, offer: Offer, key: str) -> None:
        """Bid; an order that takes no bids any more, or not this one, is let go."""
        try:
            await self._insist(self._send_bid, order.order_id, offer, key)
        except (Unauthenticated, Forbidden):
            raise
        except Mismatch:
            pass  # it bid on this one before it was started again
        except MarketplaceError as error:
            log.info("the bid on order %s was refused: %s", order.order_id, error)

    async def _send_bid(self, order_id: int, offer: Offer, key: str) -> None:
        await self._market.bid_on_order(
            order_id,
            max_input=offer.max_input,
            conversion_rate=offer.conversion_rate,
            valid_till=datetime.now(UTC) + timedelta(seconds=offer.valid_seconds),
            solver=self.name,
            idempotency_key=key,
        )

    def _deliver(self, commitment_id: int) -> None:
        """Begin to deliver, unless that is under way."""
        if commitment_id not in self._delivering:
            task = asyncio.create_task(self._keep_word(commitment_id), name=f"commitment {commitment_id}")
            self._delivering[commitment_id] = task
            task.add_done_callback(lambda _: self._delivering.pop(commitment_id, None))

    async def _keep_word(self, commitment_id: int) -> None:
        try:
            commitment = await self._insist(self._read_commitment, commitment_id)
            if commitment.state == "live":
                amount = await _awaited(self._work(commitment)) if self._work else None
                await self._insist(self._hand_over, commitment, amount)
        except Exception:
            log.exception("the commitment %s could not be kept", commitment_id)

    async def _read_commitment(self, commitment_id: int) -> auctions.Commitment:
        return await self._market.commitment(commitment_id, book=self._book)

    async def _hand_over(self, commitment: auctions.Commitment, amount: Amount | None) -> None:
        if commitment.escrow == "claim":
            await self._market.claim_delivery(commitment.order_id, solver=self.name)
            return
        await self._market.deposit_output(
            commitment.order_id, amount, reference=f"commitment-{commitment.commitment_id}", solver=self.name
        )

    # ── how it does it ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _insist(self, act: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Do something with the server, and again for as long as that is away. Raises its refusals."""
        while True:
            try:
                return await act(*args)
            except MarketplaceError as error:
                if not error.may_be_tried_again:
                    raise
                log.warning("the server is away: %s", error)
                await asyncio.sleep(AWAY_SECONDS)

    async def _call(self, function: Callable[[Any], Any], given: Announced | Result) -> Any:
        """Call a function of the strategy's; its error is logged, and counts as None."""
        try:
            return await _awaited(function(given))
        except Exception:
            log.exception("the strategy failed on order %s", given.order_id if isinstance(given, Announced) else given)
            return None


async def _awaited(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found


# ── what it reads of the log ─────────────────────────────────────────────────────────────────────────────────────────


class _Added(msgspec.Struct):
    order_id: int
    description: str
    payload: dict[str, Any] | None
    output_asset: str
    limit_output: str | None
    input_asset: str
    input_budget: str | None

    def announced(self) -> Announced:
        return Announced(*msgspec.structs.astuple(self))


class _Ranked(msgspec.Struct):
    solver: str
    min_output: str
    rank: int | None
    reason: str | None = None


class _Selected(msgspec.Struct):
    order_id: int
    winning_output: str
    bids: list[_Ranked]


def _announced(order: auctions.Order) -> Announced:
    return Announced(
        order.order_id,
        order.description,
        order.payload,
        order.output_asset,
        order.limit_output,
        order.input_asset,
        order.input_budget,
    )
