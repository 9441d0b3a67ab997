"""The whole market in plain lists: slow, obviously right, and sharing no code with the real one but its words.

Who comes next is found by looking through everything, every time. Commands are run one after the other; of batches,
chunks and databases it knows nothing, so whatever the real one does for speed must end as this does.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import astuple, dataclass, field
from typing import Any

from marketplace.hours import model


@dataclass
class SimpleBid:
    market: str
    bid_id: int
    seq: int
    username: str
    volume: int
    remaining: int
    price: int
    time_in_force: str
    state: str
    placed_at: int
    expires_at: int | None


@dataclass
class SimpleSupply:
    market: str
    supply_id: int
    provider: str | None
    volume: int
    remaining: int
    min_price: int
    state: str
    added_at: int


@dataclass
class Refused:
    """A refusal: its code, and the number that the caller is told."""

    code: str
    number: int | None = None


@dataclass
class SimpleMarkets:
    """All markets of a lane. `set_clock` before each batch; `run` runs one command and returns what it answers."""

    now: int = 0
    last_write_at: int = 0
    seq: int = 0
    markets: dict[str, tuple[str, int]] = field(default_factory=dict)
    bids: list[SimpleBid] = field(default_factory=list)
    supplies: list[SimpleSupply] = field(default_factory=list)
    allocations: list[tuple[Any, ...]] = field(default_factory=list)

    def set_clock(self, wall_clock: int) -> None:
        """The time does not go back behind the last thing that was written."""
        self.now = max(wall_clock, self.last_write_at)

    def run(self, command: Any) -> Any:
        if isinstance(command, model.RunOrders):
            return self._run_orders(command)
        outcome = getattr(self, f"_{type(command).__name__}")(command)
        return outcome if isinstance(outcome, Refused) else tuple(outcome)

    def _run_orders(self, command: model.RunOrders) -> Any:
        before = copy.deepcopy(vars(self))
        results = []
        for index, order in enumerate(command.orders):
            results.append(self.run(order))
            if command.is_atomic and isinstance(results[-1], Refused):
                vars(self).update(before)
                return Refused("hours.order_refused", index)
        return results

    def totals(self) -> dict[tuple[str, str], int]:
        """What each user got on each market."""
        sums: Counter[tuple[str, str]] = Counter()
        for market, _, _, _, _, username, volume, _, _ in self.allocations:
            sums[market, username] += volume
        return dict(sums)

    # ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _PlaceBid(self, command: model.PlaceBid) -> Any:  # noqa: N802 - named as the command
        if refused := self._closed(command.market):
            return refused
        if command.expires_at is not None and command.expires_at <= self.now:
            return Refused("hours.expiry_passed")
        if command.time_in_force == "fok":
            offers = [each for each in self.supplies if each.market == command.market and each.state == "open"]
            available = sum(each.remaining for each in offers if each.min_price <= command.price)
            if available < command.volume:
                return Refused("hours.not_fillable", available)
        seq = self._next_seq()
        bid = SimpleBid(
            command.market,
            seq,
            seq,
            command.username,
            command.volume,
            command.volume,
            command.price,
            command.time_in_force,
            "open",
            self.now,
            command.expires_at,
        )
        self.bids.append(bid)
        self._trade_all(command.market, seq)
        if bid.state == "open" and command.time_in_force == "ioc":
            bid.state = "cancelled"
        return astuple(bid)

    def _AddSupply(self, command: model.AddSupply) -> Any:  # noqa: N802
        if refused := self._closed(command.market):
            return refused
        seq = self._next_seq()
        supply = SimpleSupply(
            command.market,
            seq,
            command.provider,
            command.volume,
            command.volume,
            command.min_price,
            "open",
            self.now,
        )
        self.supplies.append(supply)
        self._trade_all(command.market, seq)
        return astuple(supply)

    def _trade_all(self, market: str, seq: int) -> None:
        """Trade the best bid that finds a supply with the best supply it finds, until there is none."""
        position = 0
        while pair := self._best_pair(market):
            bid, supply = pair
            volume = min(bid.remaining, supply.remaining)
            bid.remaining -= volume
            supply.remaining -= volume
            bid.state = "open" if bid.remaining else "filled"
            supply.state = "open" if supply.remaining else "exhausted"
            ids = (bid.bid_id, supply.supply_id)
            self.allocations.append((market, seq, position, *ids, bid.username, volume, bid.price, self.now))
            position += 1

    def _best_pair(self, market: str) -> tuple[SimpleBid, SimpleSupply] | None:
        bids = [bid for bid in self.bids if bid.market == market and self._is_live(bid)]
        supplies = [supply for supply in self.supplies if supply.market == market and supply.state == "open"]
        pairs = [(bid, supply) for bid in bids for supply in supplies if bid.price >= supply.min_price]
        return min(pairs, key=_priority, default=None)

    def _is_live(self, bid: SimpleBid) -> bool:
        return bid.state == "open" and (bid.expires_at is None or self.now < bid.expires_at)

    # ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _CancelBid(self, command: model.CancelBid) -> Any:  # noqa: N802
        return self._close_bid(command, "cancelled")

    def _ExpireBid(self, command: model.ExpireBid) -> Any:  # noqa: N802
        if (bid := self._find_bid(command)) and self._is_live(bid):
            return Refused("hours.expiry_ahead")
        return self._close_bid(command, "expired")

    def _close_bid(self, command: Any, state: str) -> Any:
        bid = self._find_bid(command)
        if bid is None:
            return Refused("hours.unknown_bid")
        if bid.state != "open":
            return Refused("hours.bid_closed")
        self._next_seq()
        bid.state = state
        return astuple(bid)

    def _AmendBid(self, command: model.AmendBid) -> Any:  # noqa: N802
        bid = self._find_bid(command)
        if bid is None:
            return Refused("hours.unknown_bid")
        if not self._is_live(bid):
            return Refused("hours.bid_closed")
        if refused := self._closed(command.market):
            return refused
        allocated = bid.volume - bid.remaining
        volume = command.volume or bid.volume
        price = bid.price if command.price is None else command.price
        if volume <= allocated:
            return Refused("hours.below_allocated", allocated)
        seq = self._next_seq()
        if volume > bid.volume or price != bid.price:
            bid.seq = seq
        bid.volume, bid.remaining, bid.price = volume, volume - allocated, price
        self._trade_all(command.market, seq)
        return astuple(bid)

    def _WithdrawSupply(self, command: model.WithdrawSupply) -> Any:  # noqa: N802
        found = [each for each in self.supplies if (each.market, each.supply_id) == (command.market, command.supply_id)]
        if not found:
            return Refused("hours.unknown_supply")
        if found[0].state != "open":
            return Refused("hours.supply_closed")
        self._next_seq()
        found[0].state = "withdrawn"
        return astuple(found[0])

    def _find_bid(self, command: Any) -> SimpleBid | None:
        found = [bid for bid in self.bids if (bid.market, bid.bid_id) == (command.market, command.bid_id)]
        return found[0] if found else None

    # ── markets ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _CreateMarket(self, command: model.CreateMarket) -> Any:  # noqa: N802
        if command.market in self.markets:
            return Refused("hours.market_exists")
        self._next_seq()
        self.markets[command.market] = ("open", self.now)
        return (command.market, *self.markets[command.market])

    def _ChangeMarket(self, command: model.ChangeMarket) -> Any:  # noqa: N802
        if command.market not in self.markets:
            return Refused("hours.unknown_market")
        state, created_at = self.markets[command.market]
        if state != command.state:
            self._next_seq()
            self.markets[command.market] = (command.state, created_at)
        return (command.market, *self.markets[command.market])

    def _closed(self, market: str) -> Refused | None:
        if market not in self.markets:
            return Refused("hours.unknown_market")
        return Refused("hours.market_closed") if self.markets[market][0] == "closed" else None

    def _next_seq(self) -> int:
        self.seq += 1
        self.last_write_at = self.now
        return self.seq


def _priority(pair: tuple[SimpleBid, SimpleSupply]) -> tuple[int, ...]:
    """Highest price, then the earlier bid; lowest minimum price, then the earlier supply."""
    bid, supply = pair
    return (-bid.price, bid.seq, supply.min_price, supply.supply_id)
