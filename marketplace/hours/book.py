"""The part of the books that a batch has in its hands.

Read once for the whole batch, changed in memory by the decisions, written once. What matching needs beyond the first
rows of a side comes in growing chunks, best first; what was decided so far is written before a further chunk is read,
so that a sell that fills a hundred thousand bids never holds more than a chunk.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import sqlalchemy as sa

from marketplace.database import bulk
from marketplace.foundation.clock import Instant
from marketplace.hours import sql
from marketplace.hours.model import (
    AddSupply,
    Allocation,
    AmendBid,
    Bid,
    CancelBid,
    Command,
    ExpireBid,
    Market,
    PlaceBid,
    Supply,
    WithdrawSupply,
)

FIRST_CHUNK = 64
LARGEST_CHUNK = 4096
TOTALS_HELD = 4 * LARGEST_CHUNK
"""Users whose totals may wait for the end of a long match."""

Offer = TypeVar("Offer", Bid, Supply)
Load = Callable[[sql.Rank, int], tuple[list[Offer], sql.Rank, bool]]
"""Given the last rank read and a number: the next offers, the rank of the last of them, and whether there are more."""


class Side(Generic[Offer]):
    """One side of one market: open offers, best first, as far as they are in hand.

    Every offer up to `_frontier` is in hand, all of them once it is complete. Without `load` it is from the start.
    """

    def __init__(self, now: Callable[[], Instant], load: Load[Offer] | None = None) -> None:
        self._now = now
        self._load: Load[Offer] | None = load
        self._frontier = sql.BEFORE_ALL
        self._chunk = FIRST_CHUNK
        # What was read comes in order and is taken from the end; only what is added needs a heap.
        self._run: list[tuple[sql.Rank, int, Offer]] = []
        self._heap: list[tuple[sql.Rank, int, Offer]] = []
        # Decides nothing but that two entries of one offer never compare the offers themselves.
        self._numbers = itertools.count()
        self.is_complete = load is None

    def expect(self, orders: int) -> None:
        """Size the first chunk for a batch with that many orders on the other side."""
        self._chunk = min(max(FIRST_CHUNK, 16 * orders), LARGEST_CHUNK)

    def add(self, offer: Offer) -> None:
        """Put an offer in its place; one that changed its rank is put again, and its old place is passed over."""
        heapq.heappush(self._heap, (offer.rank, next(self._numbers), offer))

    def in_order(self) -> Iterator[Offer]:
        """Yield the best live offer; asked again, the best one then, so the same where nothing was taken from it."""
        while True:
            first = self._first()
            if first and (self.is_complete or first[0] <= self._frontier):
                yield first[2]
            elif self.is_complete:
                return
            else:
                self._read_on()

    def in_hand(self) -> Iterable[Offer]:
        """Return the live offers in hand, once each, in no order."""
        entries: list[tuple[sql.Rank, int, Offer]] = self._run + self._heap
        live: dict[sql.Rank, Offer] = {entry[0]: entry[2] for entry in entries if self._is_current(entry)}
        return live.values()

    def _first(self) -> tuple[sql.Rank, int, Offer] | None:
        run, heap = self._run, self._heap
        while run and not self._is_current(run[-1]):
            run.pop()
        while heap and not self._is_current(heap[0]):
            heapq.heappop(heap)
        if run and (not heap or run[-1] < heap[0]):
            return run[-1]
        return heap[0] if heap else None

    def _is_current(self, entry: tuple[sql.Rank, int, Offer]) -> bool:
        """Tell whether an entry's offer still waits, and in this place."""
        return entry[2].is_live(self._now()) and entry[2].rank == entry[0]

    def _read_on(self) -> None:
        assert self._load
        found, self._frontier, has_more = self._load(self._frontier, self._chunk)
        self.is_complete = not has_more
        for entry in self._run:  # those that an amendment has put beyond what was read
            heapq.heappush(self._heap, entry)
        self._run = sorted(((offer.rank, next(self._numbers), offer) for offer in found), reverse=True)
        self._chunk = min(self._chunk * 4, LARGEST_CHUNK)


class Books:
    """All that a batch reads and changes, over any number of markets."""

    def __init__(self, tx: sa.Connection, *, now: Instant, markets: dict[str, Market]) -> None:
        """Begin with the markets that are known as they are; those that are read or changed are put there too."""
        self._tx = tx
        self.now = now
        self._markets = markets
        self._bids: dict[tuple[str, int], Bid] = {}
        self._supplies: dict[tuple[str, int], Supply] = {}
        self._bid_sides: dict[str, Side[Bid]] = {}
        self._supply_sides: dict[str, Side[Supply]] = {}
        self._changed_markets: dict[str, Market] = {}
        self._changed_bids: dict[tuple[str, int], Bid] = {}
        self._changed_supplies: dict[tuple[str, int], Supply] = {}
        self._allocated: dict[tuple[str, str], int] = {}
        self._allocations: list[Allocation] = []

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_for(self, commands: Iterable[Command]) -> None:
        """Read what the commands name, once for all of them; open offers follow when matching asks."""
        names: set[str] = set()
        bid_ids: set[tuple[str, int]] = set()
        supply_ids: set[tuple[str, int]] = set()
        buys: dict[str, int] = {}
        sells: dict[str, int] = {}
        for command in commands:
            names.add(command.market)
            match command:
                case PlaceBid():
                    buys[command.market] = buys.get(command.market, 0) + 1
                case AddSupply():
                    sells[command.market] = sells.get(command.market, 0) + 1
                case CancelBid() | AmendBid() | ExpireBid():
                    bid_ids.add((command.market, command.bid_id))
                case WithdrawSupply():
                    supply_ids.add((command.market, command.supply_id))
        unknown = sorted(names - self._markets.keys())
        self._markets.update({market.market: market for market in sql.read_markets(self._tx, unknown)})
        self._bids = {(bid.market, bid.bid_id): bid for bid in sql.lock_bids(self._tx, bid_ids)}
        self._supplies = {(each.market, each.supply_id): each for each in sql.lock_supplies(self._tx, supply_ids)}
        for market, orders in sells.items():
            self.bids(market).expect(orders)
        for market, orders in buys.items():
            self.supplies(market).expect(orders // 16)

    def market(self, name: str) -> Market | None:
        return self._markets.get(name)

    def bid(self, market: str, bid_id: int) -> Bid | None:
        """Return a bid of any state, from hand or from the database."""
        if (market, bid_id) not in self._bids:
            self._bids.update({(bid.market, bid.bid_id): bid for bid in sql.lock_bids(self._tx, [(market, bid_id)])})
        return self._bids.get((market, bid_id))

    def supply(self, market: str, supply_id: int) -> Supply | None:
        if (market, supply_id) not in self._supplies:
            found = sql.lock_supplies(self._tx, [(market, supply_id)])
            self._supplies.update({(each.market, each.supply_id): each for each in found})
        return self._supplies.get((market, supply_id))

    def bids(self, market: str) -> Side[Bid]:
        """Return the open bids of a market."""
        if market not in self._bid_sides:
            self._bid_sides[market] = Side(lambda: self.now, lambda after, limit: self._load_bids(market, after, limit))
        return self._bid_sides[market]

    def supplies(self, market: str) -> Side[Supply]:
        """Return the open supplies of a market."""
        if market not in self._supply_sides:
            self._supply_sides[market] = Side(
                lambda: self.now, lambda after, limit: self._load_supplies(market, after, limit)
            )
        return self._supply_sides[market]

    def supply_for(self, market: str, *, price: int, volume: int) -> int:
        """Return the hours on offer to a bid of this price; counts no further than it must to reach `volume`."""
        side = self.supplies(market)
        next(side.in_order(), None)
        in_hand = sum(supply.remaining for supply in side.in_hand() if supply.min_price <= price)
        if in_hand >= volume or side.is_complete:
            return in_hand
        self.write()
        return sql.sum_open_supply(self._tx, market, price=price)

    def _load_bids(self, market: str, after: sql.Rank, limit: int) -> tuple[list[Bid], sql.Rank, bool]:
        if after != sql.BEFORE_ALL:
            self.write()
        rows = sql.lock_open_bids(self._tx, market, after=after, limit=limit, now=self.now)
        # One that is in hand already may have changed there: that one counts.
        found = [self._bids.setdefault((market, bid.bid_id), bid) for bid in rows]
        return found, rows[-1].rank if rows else after, len(rows) == limit

    def _load_supplies(self, market: str, after: sql.Rank, limit: int) -> tuple[list[Supply], sql.Rank, bool]:
        if after != sql.BEFORE_ALL:
            self.write()
        rows = sql.lock_open_supplies(self._tx, market, after=after, limit=limit)
        found = [self._supplies.setdefault((market, supply.supply_id), supply) for supply in rows]
        return found, rows[-1].rank if rows else after, len(rows) == limit

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def put_market(self, market: Market) -> None:
        """Note that a market, new or changed, is to be written."""
        self._markets[market.market] = self._changed_markets[market.market] = market

    def put_bid(self, bid: Bid) -> None:
        """Note that a bid is to be written. A new one is noted before it is matched: its allocations may be written
        before it is done."""
        self._bids[bid.market, bid.bid_id] = self._changed_bids[bid.market, bid.bid_id] = bid

    def put_supply(self, supply: Supply) -> None:
        """Note that a supply is to be written, a new one before it is matched."""
        self._supplies[supply.market, supply.supply_id] = self._changed_supplies[supply.market, supply.supply_id] = (
            supply
        )

    def allocate(self, bid: Bid, supply: Supply, *, volume: int, seq: int, position: int) -> None:
        """Note a match that was taken from both."""
        self.put_bid(bid)
        self.put_supply(supply)
        name = (bid.market, bid.username)
        self._allocated[name] = self._allocated.get(name, 0) + volume
        self._allocations.append(
            Allocation(
                bid.market, seq, position, bid.bid_id, supply.supply_id, bid.username, volume, bid.price, self.now
            )
        )

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self) -> None:
        """Write what has changed since the last time, and forget what is closed."""
        bulk.write(self._tx, self._take_rows())
        # Totals wait: to change one again in each chunk leaves a dead row behind each time.
        if len(self._allocated) > TOTALS_HELD:
            bulk.write(self._tx, [self._take_totals()])
        for key, bid in [*self._bids.items()]:
            if bid.state != "open":
                del self._bids[key]
        for name, supply in [*self._supplies.items()]:
            if supply.state != "open":
                del self._supplies[name]

    def take_writes(self) -> list[bulk.Write]:
        """Return all writes that are left, for the lane to send along with its own."""
        return [*self._take_rows(), self._take_totals()]

    def _take_rows(self) -> list[bulk.Write]:
        writes = sql.writes(
            list(self._changed_markets.values()),
            list(self._changed_bids.values()),
            list(self._changed_supplies.values()),
            self._allocations,
        )
        self._changed_markets.clear()
        self._changed_bids.clear()
        self._changed_supplies.clear()
        self._allocations = []
        return writes

    def _take_totals(self) -> bulk.Write:
        allocated, self._allocated = self._allocated, {}
        return sql.add_to_totals(allocated)
