"""What goes on in a pool, for whoever looks on: open bids with what they cost, those that are over, and who was where.

Functions of a read-only `tx`, run by `database.read`. What a lease costs is told as it will be billed, up to the
instant that is asked for, and not only up to its last settlement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.foundation.clock import Instant
from marketplace.spot import charging, errors, metering, pricing, sql
from marketplace.spot.charging import Tab
from marketplace.spot.commands import BidState, LeaseState
from marketplace.spot.history import Stay
from marketplace.spot.pricing import Interval
from marketplace.spot.tables import leases, nodes, spot_bids

MAX_STAYS = 20_000
"""How many of a pool's newest leases one look at its use goes over, beside those that are open."""


class Cost(msgspec.Struct, frozen=True):
    """What a lease that runs costs an hour at the present price, and what it has cost up to `until`.

    `until` is now; but of a node that was not heard of for long, nothing is charged beyond that.
    """

    micros_per_hour: int
    charged_micros: int
    until: Instant


class OpenBid(msgspec.Struct, frozen=True):
    """A bid that waits or has a place; what is of its lease is None for one that waits, the cost until it runs."""

    bid_id: int
    username: str
    image: str
    cpu_millis: int
    memory_mib: int
    max_price_micros_per_hour: int
    state: BidState
    reason: str | None
    not_before: Instant | None
    submitted_at: Instant
    lease_id: int | None
    lease_state: LeaseState | None
    node: str | None
    stop_at: Instant | None
    cost: Cost | None


class OverBid(msgspec.Struct, frozen=True):
    """A bid that has ended, and what it has cost."""

    bid_id: int
    username: str
    image: str
    state: BidState
    reason: str | None
    charged_micros: int
    ended_at: Instant


# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_BID = [spot_bids.c[name] for name in OpenBid.__struct_fields__[:10]]
_LEASE = [leases.c.lease_id, leases.c.state, leases.c.node, leases.c.stop_at]
_TAB = [leases.c[name] for name in Tab.__struct_fields__]
_on_node = sa.and_(nodes.c.pool == leases.c.pool, nodes.c.node == leases.c.node)
# Written out: a partial index is used only where the statement itself says so.
_is_open = sa.text("spot_bids.state IN ('submitted', 'matched', 'starting', 'running', 'evicting')")
_open_bids = (
    sa.select(*_BID, *(column.label(f"of_lease_{column.name}") for column in _LEASE), nodes.c.heartbeat_at)
    .add_columns(*(column.label(f"tab_{column.name}") for column in _TAB))
    .select_from(spot_bids)
    .outerjoin(leases, sa.and_(leases.c.pool == spot_bids.c.pool, leases.c.lease_id == spot_bids.c.lease_id))
    .outerjoin(nodes, _on_node)
    .where(_is_open)
    .order_by(spot_bids.c.bid_id.desc())
)
_over_bids = (
    sa.select(*(spot_bids.c[name] for name in OverBid.__struct_fields__))
    .where(spot_bids.c.ended_at.is_not(None))
    .order_by(spot_bids.c.bid_id.desc())
)
_tab = sa.select(*_TAB, nodes.c.heartbeat_at).select_from(leases).join(nodes, _on_node)
_find_tab = _tab.where(leases.c.lease_id == sa.bindparam("lease_id", type_=sa.BigInteger))


def list_open(tx: sa.Connection, pool: str, *, username: str | None, limit: int, now: Instant) -> list[OpenBid]:
    """Return the open bids of a pool, of a member or of all, the newest first, with what they cost up to now."""
    rows: Sequence[Any] = tx.execute(_of(_open_bids, pool, username).limit(limit)).fetchall()
    width, first = len(_BID) + len(_LEASE), len(_BID) + len(_LEASE) + 1
    tabs = [Tab(*row[first:]) if row.tab_metered_until is not None else None for row in rows]
    since = [tab.meter.until for tab in tabs if tab]
    prices = sql.read_prices(tx, pool, since=min(since)) if since else []
    return [
        OpenBid(*(*row[:width], _cost(tab, prices, heartbeat_at=row.heartbeat_at, now=now) if tab else None))
        for row, tab in zip(rows, tabs, strict=True)
    ]


def list_over(tx: sa.Connection, pool: str, *, username: str | None, limit: int) -> list[OverBid]:
    """Return the newest bids of a pool that are over, of a member or of all. A single statement."""
    return [OverBid(*row) for row in tx.execute(_of(_over_bids, pool, username).limit(limit))]


def read_cost(tx: sa.Connection, lease_id: int, *, now: Instant) -> Cost | None:
    """Return what a lease costs that runs; None for one that does not run yet, or not any more. Raises UnknownLease."""
    row: Any = tx.execute(_find_tab, {"lease_id": lease_id}).first()
    if row is None:
        raise errors.UnknownLease(lease_id)
    if row.settle_at is None:
        return None
    tab = Tab(*row[: len(_TAB)])
    prices = sql.read_prices(tx, tab.pool, since=tab.meter.until)
    return _cost(tab, prices, heartbeat_at=row.heartbeat_at, now=now)


def _of(query: sa.Select[Any], pool: str, username: str | None) -> sa.Select[Any]:
    query = query.where(spot_bids.c.pool == pool)
    return query if username is None else query.where(spot_bids.c.username == username)


def _cost(tab: Tab, prices: Sequence[Interval], *, heartbeat_at: Instant | None, now: Instant) -> Cost:
    until = charging.charged_until(tab, heartbeat_at=heartbeat_at, now=now)
    rule = charging.find_rule(tab.pricing)
    meter = metering.settle(tab.meter, tab.terms, prices, until=until, rule=rule)
    rate = pricing.rate(rule, tab.terms, prices[-1].unit_price_micros) // tab.parts
    return Cost(rate, meter.charged_micros, until)


# ── who was where ────────────────────────────────────────────────────────────────────────────────────────────────────

_pool, _since = sa.bindparam("pool", type_=sa.Text), sa.bindparam("since", type_=sa.BigInteger)
_STAY = (leases.c.node, spot_bids.c.cpu_millis, spot_bids.c.memory_mib, leases.c.start_at, leases.c.ended_at)
_of_bid = sa.and_(spot_bids.c.pool == leases.c.pool, spot_bids.c.bid_id == leases.c.bid_id)
_newest = (
    sa.select(leases.c.lease_id)
    .where(leases.c.pool == _pool)
    .order_by(leases.c.lease_id.desc())
    .limit(MAX_STAYS)
    .subquery("newest")
)
_staying = (
    sa.select(*_STAY)
    .join(spot_bids, _of_bid)
    .where(leases.c.pool == _pool, leases.c.is_clean == sa.literal_column("0"))
    .where(leases.c.state.in_(("starting", "running", "evicting", "stopping")))
)
_gone = (
    sa.select(*_STAY)
    .select_from(_newest)
    .join(leases, sa.and_(leases.c.pool == _pool, leases.c.lease_id == _newest.c.lease_id))
    .join(spot_bids, _of_bid)
    .where(leases.c.ended_at > _since, leases.c.start_at.is_not(None))
)


def list_stays(tx: sa.Connection, pool: str, *, since: Instant) -> list[Stay]:
    """Return who had room on a pool's nodes since an instant: all that are there, and of the newest leases the ended.

    Those are MAX_STAYS; of a pool where so many come in less time, what was earlier is left out.
    """
    given = {"pool": pool, "since": since}
    rows: Iterable[Any] = [*tx.execute(_staying, given), *tx.execute(_gone, given)]
    return [Stay(*row) for row in rows]
