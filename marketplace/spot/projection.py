"""A pool in memory as the placement rule wants it, kept up with the database by what has changed in it.

Every row carries the entry of the log that changed it last, so catching up reads what is newer than the projection is,
in one snapshot: it costs what has changed, not the whole book. A new one reads what is open. What is read twice changes
nothing. One belongs to one task at a time; each process has its own.

It lets in a bounded number of new bids at a time, the best first, so that a plan is a bounded command.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.database import log, money
from marketplace.foundation import clock as clocks
from marketplace.foundation.clock import Instant
from marketplace.spot import errors, projection_sql, sql
from marketplace.spot.commands import Container, Pool
from marketplace.spot.model import Bid, Lease, Node, Policy, Preview, Ranked, Reason
from marketplace.spot.model import LeaseState as PlacedState
from marketplace.spot.placement import State
from marketplace.spot.records import OPEN_BID_STATES

AT_ONCE = 1_000
"""New bids that are let in at a time."""

_PLACED: dict[str, PlacedState] = {
    "matched": "waiting",
    "starting": "running",
    "running": "running",
    "evicting": "leaving",
    "stopping": "leaving",
}
_NOBODY = 2**62
"""The id and the place of a bid that is only thought of: behind its equals."""


class Standing(msgspec.Struct, frozen=True):
    """How a bid stands that waits: how manieth it is, why it waits, and for which price it would run now."""

    rank: int
    reason: Reason
    min_price_micros: int | None


class Projection:
    """The pool of this name as it was at `seq`. It lets in `at_once` new bids at a time, None for all."""

    def __init__(self, pool: str, *, at_once: int | None = AT_ONCE, clock: Callable[[], Instant] = clocks.now) -> None:
        self.pool = pool
        self._at_once, self._clock = at_once, clock
        self.settings: Pool | None = None
        """None before they were read."""
        self.price_micros = 0
        """Of a unit, as it is in the books."""
        self.at: Instant = 0
        """The instant of its last entry."""
        self.forget()

    def forget(self) -> None:
        """Begin anew: the next time all is read."""
        self.seq = 0
        self.state = State(self.settings.policy if self.settings else Policy())
        self._new: dict[int, Ranked] = {}
        """Bids that may be placed and are not let in yet."""
        self._later: dict[int, tuple[Instant, Bid]] = {}
        """Bids whose time has not come yet."""

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def catch_up(self, tx: sa.Connection) -> bool:
        """Read what has changed, in a snapshot, and let in whose time has come. Tell whether some are left outside.

        Raises UnknownPool.
        """
        head = log.read_head(tx, money.LANE)
        if self.settings is None or head.last_seq != self.seq:
            self._read(tx)
            self.seq, self.at = head
        return self._let_in(self.now())

    def now(self) -> Instant:
        """Return the time to decide by: never before the last entry."""
        return max(self._clock(), self.at)

    def _read(self, tx: sa.Connection) -> None:
        found = sql.read_pools(tx, [self.pool])
        if not found:
            raise errors.UnknownPool(self.pool)
        if self.settings is None or found[0].changed_seq > self.seq:
            self.settings = found[0].told()
            self.forget()
        self.price_micros = projection_sql.read_price(tx, self.pool)
        for node in projection_sql.read_changed_nodes(tx, self.pool, after=self.seq):
            self.state.put_node(Node(node.node, node.cpu_millis, node.memory_mib, node.state == "ready"))
        is_new = self.seq == 0
        read: Any = projection_sql.read_open_bids if is_new else projection_sql.read_changed_bids
        for row in read(tx, self.pool) if is_new else read(tx, self.pool, after=self.seq):
            self._put(row)

    def _put(self, row: Any) -> None:
        self._new.pop(row.bid_id, None)
        self._later.pop(row.bid_id, None)
        if row.state not in OPEN_BID_STATES:
            self.state.remove(row.bid_id)
            return
        bid = _bid(row)
        if row.lease_state is not None:
            placed = _PLACED[row.lease_state]
            self.state.put_lease(Lease(bid, row.node, placed, row.started_at, row.for_bid))
        elif self.state.queued(row.bid_id) == bid:
            pass  # it was decided about already
        else:
            self.state.remove(row.bid_id)
            if row.not_before is None:
                self._new[row.bid_id] = self.state.policy.rank(bid)
            else:
                self._later[row.bid_id] = (row.not_before, bid)

    def _let_in(self, now: Instant) -> bool:
        """Queue bids whose time has come, the best first."""
        due = [bid_id for bid_id, (not_before, _) in self._later.items() if not_before <= now]
        for bid_id in due:
            self._new[bid_id] = self.state.policy.rank(self._later.pop(bid_id)[1])
        if self._at_once is None or len(self._new) <= self._at_once:
            chosen = list(self._new.values())
        else:
            chosen = heapq.nsmallest(self._at_once, self._new.values())
        for ranked in chosen:
            del self._new[ranked.bid.bid_id]
            self.state.put_bid(ranked.bid)
        return bool(self._new)

    def changes_at(self) -> Instant | None:
        """Return when time alone may next change what is decided; None for never."""
        instants = [not_before for not_before, _ in self._later.values()]
        if (protected_until := self.state.changes_at()) is not None:
            instants.append(protected_until)
        return min(instants, default=None)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def preview(self, container: Container, max_price_micros: int) -> Preview:
        """Tell what a bid would get if it came now, behind its equals."""
        bid = Bid(_NOBODY, _NOBODY, container.cpu_millis, container.memory_mib, max_price_micros)
        return self.state.preview(bid, now=self.now())

    def standing(self, bid_id: int) -> Standing | None:
        """Tell how a bid stands that is queued; None where it is not, or its time has not come yet."""
        bid = self.state.queued(bid_id)
        rank = self.state.rank(bid_id)
        if bid is None or rank is None:
            return None
        least = self.state.preview(bid, now=self.now()).min_price_to_run_micros
        return Standing(rank, self.state.reason(bid), least)


def _bid(row: Any) -> Bid:
    avoids = frozenset(msgspec.json.decode(row.avoids, type=list[str])) if row.avoids != "[]" else frozenset()
    return Bid(
        row.bid_id,
        row.queue_seq,
        row.cpu_millis,
        row.memory_mib,
        row.max_price_micros_per_hour,
        row.notice_seconds,
        avoids,
    )
