"""What a batch has in its hands of the spot market: read once for all, changed in memory, written once for all.

Records are looked up, changed in their fields, and reported. `touch_…` stamps one with the log's last entry, so it
comes after the entry; projections read by these stamps. `keep_…` does not: for what no projection knows of.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import Log
from marketplace.foundation import money
from marketplace.foundation.clock import Instant
from marketplace.spot import billing_sql, happenings, pricing, sql
from marketplace.spot.happenings import Happening
from marketplace.spot.pricing import Interval
from marketplace.spot.records import BidRecord, LeaseRecord, LineRecord, NodeRecord, PoolRecord, PriceRecord
from marketplace.spot.sql import NodeKey

REVENUE = ledger.revenue("spot")
"""Where holds and charges go."""


class Wanted(msgspec.Struct):
    """What the commands of a batch name. Where they may move money, of `paying` bids and leases that is read, too."""

    pools: set[str] = set()
    nodes: set[NodeKey] = set()
    bids: set[int] = set()
    leases: set[int] = set()
    usernames: set[str] = set()
    """Who places bids."""
    paying_bids: set[int] = set()
    paying_leases: set[int] = set()
    leases_of_nodes: set[NodeKey] = set()
    """Nodes whose open leases are wanted, all of them, to be paid for."""
    due_bids: list[int] = []
    """Bids that may have waited as long as they may, the longest overdue first; paid for, too."""
    due_leases: list[int] = []
    """Leases that may have run as long as they may."""


class Book:
    """All that a batch reads and changes. What it was asked for and does not have does not exist."""

    def __init__(self, tx: sa.Connection, log: Log, wanted: Wanted, *, now: Instant, starting_credits: int) -> None:
        """Read what is wanted, and with a lease its bid, with a bid its open lease, with both their pool."""
        self.tx, self.log, self.now = tx, log, now
        self.due_bids, self.due_leases = wanted.due_bids, wanted.due_leases
        self.open_leases = {key: sql.read_open_leases(tx, key) for key in sorted(wanted.leases_of_nodes)}
        paying_leases = wanted.paying_leases.union(*self.open_leases.values())
        self.leases = {
            one.lease_id: one for one in sql.read_leases(tx, paying_leases.union(wanted.leases, wanted.due_leases))
        }
        paying_bids = wanted.paying_bids.union(wanted.due_bids)
        named = {lease.bid_id for lease in self.leases.values()}
        self.bids = {one.bid_id: one for one in sql.read_bids(tx, named.union(wanted.bids, paying_bids))}
        placed = {bid.lease_id for bid in self.bids.values() if bid.lease_id is not None}
        self.leases |= {one.lease_id: one for one in sql.read_leases(tx, placed - self.leases.keys())}
        node_keys = wanted.nodes | wanted.leases_of_nodes
        self.nodes = {(one.pool, one.node): one for one in sql.read_nodes(tx, node_keys)}
        names = wanted.pools.union((bid.pool for bid in self.bids.values()), (pool for pool, _ in node_keys))
        self.pools = {one.pool: one for one in sql.read_pools(tx, names)}
        paying = paying_bids | {one.bid_id for one in self.leases.values() if one.lease_id in paying_leases}
        self._money = self._open_money(wanted.usernames, paying, starting_credits)
        self._prices: dict[str, list[Interval]] = {}
        self._changed_pools: dict[str, PoolRecord] = {}
        self._changed_nodes: dict[NodeKey, NodeRecord] = {}
        self._changed_bids: dict[int, BidRecord] = {}
        self._changed_leases: dict[int, LeaseRecord] = {}
        self._changed_prices: dict[tuple[str, Instant], PriceRecord] = {}
        self.new_lines: list[LineRecord] = []
        self._gone_lines: list[LineRecord] = []

    def _open_money(
        self, usernames: Iterable[str], paying: Iterable[int], starting_credits: int
    ) -> ledger.Books | None:
        bids = [self.bids[bid_id] for bid_id in paying if bid_id in self.bids]
        wallets = {ledger.wallet(username) for username in usernames}
        wallets |= {ledger.wallet(bid.username) for bid in bids}
        if not wallets:
            return None
        return ledger.open_books(
            self.tx,
            accounts={*wallets, REVENUE},
            holds=[bid.hold_id for bid in bids if bid.hold_id is not None],
            now=self.now,
            starting_credits=starting_credits,
        )

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def money(self) -> ledger.Books:
        """The ledger's books, of whoever's money was wanted."""
        assert self._money, "whoever moves money has wanted it"
        return self._money

    def pool_of(self, record: BidRecord | LeaseRecord | NodeRecord) -> PoolRecord:
        return self.pools[record.pool]

    def node_of(self, lease: LeaseRecord) -> NodeRecord:
        """Return the node of a lease, reading it where nobody has asked for it yet."""
        key = (lease.pool, lease.node)
        if key not in self.nodes:
            (self.nodes[key],) = sql.read_nodes(self.tx, [key])
        return self.nodes[key]

    def bid_of(self, lease: LeaseRecord) -> BidRecord:
        return self.bids[lease.bid_id]

    def lease_of(self, bid: BidRecord) -> LeaseRecord | None:
        """Return a bid's open lease."""
        return None if bid.lease_id is None else self.leases[bid.lease_id]

    def prices(self, pool: str) -> list[Interval]:
        """Return a pool's prices since the first instant from which on a lease of this book is still to be metered."""
        if pool not in self._prices:
            of_pool = (one for one in self.leases.values() if one.pool == pool and one.is_open)
            since = [one.metered_until or one.start_at or self.now for one in of_pool]
            self._prices[pool] = sql.read_prices(self.tx, pool, since=min([*since, self.now]))
        return self._prices[pool]

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def note(self, said: Happening) -> int:
        """Append what happened to the log, and return its seq."""
        subject, member = happenings.about(said)
        kind = str(said.__struct_config__.tag)
        return self.log.append(topic=happenings.TOPIC, kind=kind, subject=subject, member=member, data=said)

    def touch_pool(self, pool: PoolRecord) -> None:
        pool.changed_seq = self.log.last_seq
        self.keep_pool(pool)

    def keep_pool(self, pool: PoolRecord) -> None:
        self.pools[pool.pool] = self._changed_pools[pool.pool] = pool

    def took(self, pool: str) -> None:
        """Note that the log's last entry took something away that a plan of the pool may rely on."""
        self.pools[pool].taken_seq = self.log.last_seq
        self.keep_pool(self.pools[pool])

    def opened(self, pool: str) -> None:
        """Note that the log's last entry opened room in the pool."""
        self.pools[pool].opened_seq = self.log.last_seq
        self.keep_pool(self.pools[pool])

    def touch_node(self, node: NodeRecord) -> None:
        node.changed_seq = self.log.last_seq
        self.keep_node(node)

    def keep_node(self, node: NodeRecord) -> None:
        self.nodes[node.pool, node.node] = self._changed_nodes[node.pool, node.node] = node

    def touch_bid(self, bid: BidRecord) -> None:
        bid.changed_seq = self.log.last_seq
        self.bids[bid.bid_id] = self._changed_bids[bid.bid_id] = bid

    def touch_lease(self, lease: LeaseRecord) -> None:
        """Report a lease, and its bid with it: that is what projections look at."""
        lease.changed_seq = self.log.last_seq
        self.keep_lease(lease)
        self.touch_bid(self.bid_of(lease))

    def keep_lease(self, lease: LeaseRecord) -> None:
        self.leases[lease.lease_id] = self._changed_leases[lease.lease_id] = lease

    def set_price(self, pool: str, unit_price_micros: int) -> Interval | None:
        """Let a unit cost this from now on. Return the interval before, None where the price is the same."""
        known = self.prices(pool)
        before = known[-1] if known else None
        changes = pricing.change(before, unit_price_micros, at=self.now)
        for interval in changes:
            self._changed_prices[pool, interval.from_at] = PriceRecord(
                pool, interval.from_at, interval.to_at, interval.unit_price_micros
            )
            known[:] = [one for one in known if one.from_at != interval.from_at] + [interval]
        return before if changes else None

    def add_lines(self, lines: Iterable[LineRecord]) -> None:
        """Add lines of bills that are closed."""
        self.new_lines += lines

    def drop_lines(self, lines: Iterable[LineRecord]) -> None:
        """Take lines out again that were closed, now or before."""
        for line in lines:
            if line in self.new_lines:
                self.new_lines.remove(line)
            else:
                self._gone_lines.append(line)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Leave all that has changed to the lane to be written. Call it once."""
        if self._money:
            ledger.settle(self._money, self.log)
        self.log.write_later(
            [
                sql.put_pools(list(self._changed_pools.values())),
                sql.put_prices([self._changed_prices[key] for key in sorted(self._changed_prices)]),
                sql.put_nodes(list(self._changed_nodes.values())),
                sql.put_bids(list(self._changed_bids.values())),
                sql.put_leases([self._changed_leases[key] for key in sorted(self._changed_leases)]),
                sql.insert_lines(self.new_lines),
                billing_sql.delete_lines(self._gone_lines),
            ]
        )


def shown(micros: int) -> str:
    """Write an amount of credits, or a price of them."""
    return money.format_amount(micros, decimals=ledger.CREDIT_DECIMALS)
