"""The spot market once more, as its log tells it: plain dictionaries, one entry after the other.

What it ends with has to be what the tables say: who waits, runs and is over, where, since when and at what cost; which
nodes offer what; and what a unit cost at which time.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from marketplace import ledger
from marketplace.database.proofs import require
from marketplace.foundation import money
from marketplace.foundation.clock import Instant
from marketplace.spot import happenings, pricing
from marketplace.spot.commands import DEFAULT_POOL, BidState
from marketplace.spot.pricing import Interval
from marketplace.spot.records import OPEN_BID_STATES

FROM_THE_START: Instant = 1_767_225_600_000_000
"""When the pool `default` was opened: by a migration, so before any entry of the log."""
FIRST_PRICE = 10_000

decode = msgspec.json.Decoder(happenings.Happening).decode
Bound = happenings.BidMatched | happenings.ContainerStarting | happenings.ContainerStarted
Told = happenings.ContainerEvictionRequested | happenings.ContainerStopRequested
Over = happenings.BidEvicted | happenings.BidCompleted | happenings.BidCancelled | happenings.BidFailed
_OVER: dict[type, BidState] = {
    happenings.BidEvicted: "evicted",
    happenings.BidCompleted: "completed",
    happenings.BidCancelled: "cancelled",
    happenings.BidFailed: "failed",
}


class Bid(NamedTuple):
    """`charged_micros` is None while it is open."""

    pool: str
    username: str
    cpu_millis: int
    memory_mib: int
    max_price_micros: int
    state: BidState
    lease_id: int | None = None
    charged_micros: int | None = None


class Lease(NamedTuple):
    pool: str
    bid_id: int
    username: str
    node: str
    started_at: Instant | None = None
    is_open: bool = True


class Node(NamedTuple):
    state: str
    cpu_millis: int
    memory_mib: int


class Replay:
    """The whole market in memory."""

    def __init__(self) -> None:
        self.bids: dict[int, Bid] = {}
        self.leases: dict[int, Lease] = {}
        self.nodes: dict[tuple[str, str], Node] = {}
        self.prices = {DEFAULT_POOL: [Interval(FROM_THE_START, None, FIRST_PRICE)]}

    def run(self, seq: int, at: Instant, said: happenings.Happening) -> None:
        """Do again what one entry of the log says. Raises Unlawful."""
        match said:
            case happenings.PoolOpened():
                require(said.pool not in self.prices, "the pool is there already")
                self.prices[said.pool] = [Interval(at, None, _micros(said.reserve_price))]
            case happenings.PriceChanged():
                self._change_price(at, said)
            case happenings.NodeSet():
                self.nodes[said.pool, said.node] = Node(said.state, said.cpu_millis, said.memory_mib)
            case happenings.BidSubmitted():
                require(said.bid_id == seq, "a bid is numbered by its entry")
                size = (said.cpu_millis, said.memory_mib)
                self.bids[seq] = Bid(said.pool, said.username, *size, _micros(said.max_price), "submitted")
            case happenings.BidAmended():
                bid = self._open(said.bid_id)
                self.bids[said.bid_id] = bid._replace(max_price_micros=_micros(said.max_price))
            case happenings.BidReturned():
                self._close_lease(said.bid_id)
                self.bids[said.bid_id] = self._open(said.bid_id)._replace(state="submitted", lease_id=None)
            case happenings.BidMatched() | happenings.ContainerStarting() | happenings.ContainerStarted():
                self._place(seq, said)
            case happenings.ContainerEvictionRequested() | happenings.ContainerStopRequested():
                self._tell(said)
            case (
                happenings.BidEvicted() | happenings.BidCompleted() | happenings.BidCancelled() | happenings.BidFailed()
            ):
                self._end(said)

    def _change_price(self, at: Instant, said: happenings.PriceChanged) -> None:
        known = self.prices[said.pool]
        require(known[-1].unit_price_micros == _micros(said.before), "the price was another one")
        changed = pricing.change(known[-1], _micros(said.unit_price), at=at)
        known[-1:] = changed

    def _open(self, bid_id: int) -> Bid:
        require(bid_id in self.bids, "there is no such bid")
        bid = self.bids[bid_id]
        require(bid.state in OPEN_BID_STATES, "the bid is over")
        return bid

    def _place(self, seq: int, said: Bound) -> None:
        bid = self._open(said.bid_id)
        match said:
            case happenings.BidMatched():
                require(bid.state == "submitted", "the bid has a place already")
                require(said.lease_id == seq, "a lease is numbered by its entry")
                state = self.nodes.get((said.pool, said.node), Node("", 0, 0)).state
                require(state == "ready", "the node is not ready")
                self.leases[seq] = Lease(said.pool, said.bid_id, said.username, said.node)
                bid = bid._replace(state="matched" if said.waits_for else "starting", lease_id=seq)
            case happenings.ContainerStarting():
                require(bid.state == "matched", "the bid does not wait for room")
                bid = bid._replace(state="starting")
            case happenings.ContainerStarted():
                require(bid.lease_id == said.lease_id, "it is not the bid's lease")
                self.leases[said.lease_id] = self.leases[said.lease_id]._replace(started_at=said.started_at)
                bid = bid._replace(state="running") if bid.state == "starting" else bid
        self.bids[said.bid_id] = bid

    def _tell(self, said: Told) -> None:
        bid = self._open(said.bid_id)
        require(bid.lease_id == said.lease_id, "it is not the bid's lease")
        require(bid.state not in ("submitted", "matched"), "nothing of it is there to be told")
        is_stop = isinstance(said, happenings.ContainerStopRequested)
        self.bids[said.bid_id] = bid._replace(state="running" if is_stop else "evicting")

    def _end(self, said: Over) -> None:
        bid = self._open(said.bid_id)
        self._close_lease(said.bid_id)
        charged = _micros(said.charged)
        self.bids[said.bid_id] = bid._replace(state=_OVER[type(said)], lease_id=None, charged_micros=charged)

    def _close_lease(self, bid_id: int) -> None:
        lease_id = self._open(bid_id).lease_id
        if lease_id is not None:
            self.leases[lease_id] = self.leases[lease_id]._replace(is_open=False)


def _micros(text: str) -> int:
    return money.parse_amount(text, decimals=ledger.CREDIT_DECIMALS)
