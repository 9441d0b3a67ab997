"""What the spot market shows of bids and leases: functions of a read-only `tx`, run by `database.read` or `read_one`.

Lists are keyset pages in a total order, stable while rows are added.
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from marketplace.foundation.clock import Instant
from marketplace.spot import errors
from marketplace.spot.commands import BidState, Cause, LeaseState, OnEviction
from marketplace.spot.tables import leases, spot_bids

_id = sa.bindparam("id", type_=sa.BigInteger)

# ── bids ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class BidRow(msgspec.Struct, frozen=True):
    """A bid: its fields are the columns."""

    pool: str
    bid_id: int
    username: str
    image: str
    command: str
    environment: str
    cpu_millis: int
    memory_mib: int
    max_price_micros_per_hour: int
    ttl_seconds: int | None
    on_eviction: OnEviction
    expires_at: Instant | None
    budget_micros: int | None
    max_preemptions: int | None
    notice_seconds: int | None
    state: BidState
    cause: Cause | None
    reason: str | None
    not_before: Instant | None
    evictions: int
    failures: int
    held_micros: int | None
    charged_micros: int
    lease_id: int | None
    submitted_at: Instant
    ended_at: Instant | None


_BID = [spot_bids.c[name] for name in BidRow.__struct_fields__]
_find_bid = sa.select(*_BID).where(spot_bids.c.bid_id == _id)


def find_bid(tx: sa.Connection, bid_id: int) -> BidRow:
    """Return a bid of any state. A single statement. Raises UnknownBid."""
    row = tx.execute(_find_bid, {"id": bid_id}).first()
    if row is None:
        raise errors.UnknownBid(bid_id)
    return BidRow(*row)


def list_bids(
    tx: sa.Connection, *, username: str | None, pool: str | None, state: str | None, after: int | None, limit: int
) -> list[BidRow]:
    """Return bids in the order of their ids, after one. A single statement."""
    query = sa.select(*_BID).order_by(spot_bids.c.bid_id).limit(limit)
    for column, value in ((spot_bids.c.username, username), (spot_bids.c.pool, pool), (spot_bids.c.state, state)):
        query = query if value is None else query.where(column == value)
    if after is not None:
        query = query.where(spot_bids.c.bid_id > after)
    return [BidRow(*row) for row in tx.execute(query)]


# ── leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class LeaseRow(msgspec.Struct, frozen=True):
    """A lease: its fields are columns."""

    pool: str
    lease_id: int
    bid_id: int
    username: str
    node: str
    state: LeaseState
    cause: Cause | None
    reason: str | None
    for_bid: int | None
    address: str | None
    matched_at: Instant
    started_at: Instant | None
    notice_at: Instant | None
    stop_at: Instant | None
    ended_at: Instant | None
    exit_code: int | None
    max_price_micros_per_hour: int
    metered_until: Instant | None
    charged_micros: int
    paid_micros: int
    notice_secret: str


_LEASE = [leases.c[name] for name in LeaseRow.__struct_fields__]
_find_lease = sa.select(*_LEASE).where(leases.c.lease_id == _id)


def find_lease(tx: sa.Connection, lease_id: int) -> LeaseRow:
    """Return a lease of any state. A single statement. Raises UnknownLease."""
    row = tx.execute(_find_lease, {"id": lease_id}).first()
    if row is None:
        raise errors.UnknownLease(lease_id)
    return LeaseRow(*row)


def newest_leases(tx: sa.Connection, pool: str, bid_id: int, *, limit: int) -> list[LeaseRow]:
    """Return the leases of a bid, the newest first. A single statement."""
    of_bid = sa.select(*_LEASE).where(leases.c.pool == pool, leases.c.bid_id == bid_id)
    return [LeaseRow(*row) for row in tx.execute(of_bid.order_by(leases.c.lease_id.desc()).limit(limit))]


def list_leases(
    tx: sa.Connection,
    *,
    username: str | None,
    pool: str | None,
    bid_id: int | None,
    state: str | None,
    after: int | None,
    limit: int,
) -> list[LeaseRow]:
    """Return leases in the order of their ids, after one. A single statement."""
    query = sa.select(*_LEASE).order_by(leases.c.lease_id).limit(limit)
    wanted = ((leases.c.username, username), (leases.c.pool, pool), (leases.c.bid_id, bid_id), (leases.c.state, state))
    for column, value in wanted:
        query = query if value is None else query.where(column == value)
    if bid_id is not None:  # the index on a bid's leases begins with its pool
        of_bid = sa.select(spot_bids.c.pool).where(spot_bids.c.bid_id == bid_id).scalar_subquery()
        query = query.where(leases.c.pool == of_bid)
    if after is not None:
        query = query.where(leases.c.lease_id > after)
    return [LeaseRow(*row) for row in tx.execute(query)]
