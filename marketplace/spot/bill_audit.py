"""Proves the bills: a lease's lines follow each other and add up to what it was charged, a bid has cost what its leases
have, each line has the price that its pool had, and the ledger has received what the leases have paid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import proofs
from marketplace.database.proofs import SHOWN
from marketplace.foundation.clock import DAY, HOUR, Instant
from marketplace.spot.tables import lease_lines, leases, spot_bids, spot_prices

REFERENCES = "spot/"
"""What the references of all charges begin with."""


def check_bills(tx: sa.Connection) -> Iterator[str]:
    """Yield what is wrong with the bills, a sentence each."""
    yield from itertools.islice(_check_leases(tx), SHOWN)
    yield from _check_line_prices(tx)
    yield from _check_bids(tx)
    yield from _check_revenue(tx)


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_leases(tx: sa.Connection) -> Iterator[str]:
    lines = proofs.pages(tx, lease_lines, [lease_lines.c.pool, lease_lines.c.lease_id, lease_lines.c.from_at])
    of_leases = itertools.groupby(lines, key=lambda line: (line.pool, line.lease_id))
    following = next(of_leases, None)
    for lease in proofs.pages(tx, leases, [leases.c.pool, leases.c.lease_id]):
        closed = []
        if following and following[0] == (lease.pool, lease.lease_id):
            closed, following = list(following[1]), next(of_leases, None)
        if fault := _fault_of(lease, closed):
            yield f"leases: the bill of {lease.lease_id} {fault}"


def _fault_of(lease: Any, closed: list[Any]) -> str | None:
    """Return a clause about what is wrong with a lease's bill."""
    if lease.started_at is None:
        return "has a charge, and it never ran" if closed or lease.charged_micros else None
    at: Instant = lease.started_at
    for line in closed:
        if line.from_at != at:
            return f"has a line from {line.from_at}, and the one before ends at {at}"
        at = line.to_at
        if fault := _fault_of_line(lease, line.from_at, at, line.unit_price_micros_per_hour, line.charged_micros):
            return fault
    if lease.line_from_at != at:
        return f"has a last line from {lease.line_from_at}, and the one before ends at {at}"
    if lease.metered_until > at:
        price, charged = lease.line_unit_price_micros, lease.line_charged_micros
        if fault := _fault_of_line(lease, at, lease.metered_until, price, charged):
            return fault
    if lease.state == "ended" and lease.metered_until != lease.ended_at:
        return f"ends at {lease.metered_until}, and it ended at {lease.ended_at}"
    total = sum(line.charged_micros for line in closed) + lease.line_charged_micros
    return None if total == lease.charged_micros else f"adds up to {total}, and {lease.charged_micros} were charged"


def _fault_of_line(lease: Any, from_at: Instant, to_at: Instant, unit_price: int, charged: int) -> str | None:
    if from_at // DAY != (to_at - 1) // DAY:
        return f"has a line from {from_at} that goes over midnight"
    # One more than the product: what a line before has left over is charged in it.
    most = unit_price * lease.size * (to_at - from_at) // (lease.parts * HOUR) + 1
    if lease.pricing == "uniform" and charged > most:
        return f"has a line from {from_at} of {charged}, and at its price it is {most} at most"
    return None


def _check_line_prices(tx: sa.Connection) -> Iterator[str]:
    """Look for lines whose price is not that of their pool in all of their time."""
    of_pool = spot_prices.c.pool == lease_lines.c.pool
    at_first = (
        sa.select(spot_prices.c.unit_price_micros_per_hour)
        .where(of_pool, spot_prices.c.from_at <= lease_lines.c.from_at)
        .order_by(spot_prices.c.from_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    # One that came and went at an instant leaves two intervals of the same price.
    changed = sa.exists().where(
        of_pool,
        spot_prices.c.from_at > lease_lines.c.from_at,
        spot_prices.c.from_at < lease_lines.c.to_at,
        spot_prices.c.unit_price_micros_per_hour != lease_lines.c.unit_price_micros_per_hour,
    )
    is_other = lease_lines.c.unit_price_micros_per_hour != sa.func.coalesce(at_first, -1)
    query = (
        sa.select(lease_lines.c.lease_id, lease_lines.c.from_at, lease_lines.c.unit_price_micros_per_hour)
        .where(sa.or_(is_other, changed))
        .order_by(lease_lines.c.lease_id, lease_lines.c.from_at)
        .limit(SHOWN)
    )
    for row in tx.execute(query):
        price = row.unit_price_micros_per_hour
        yield f"lease_lines: that of {row.lease_id} from {row.from_at} has the price {price}, which its pool had not"


# ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_bids(tx: sa.Connection) -> Iterator[str]:
    sums = (
        sa.select(leases.c.pool, leases.c.bid_id, sa.func.sum(leases.c.charged_micros).label("charged"))
        .where(leases.c.state == "ended")
        .group_by(leases.c.pool, leases.c.bid_id)
        .subquery()
    )
    charged = sa.func.coalesce(sums.c.charged, 0)
    query = (
        sa.select(spot_bids.c.bid_id, spot_bids.c.charged_micros, charged.label("charged"))
        .outerjoin(sums, sa.and_(sums.c.pool == spot_bids.c.pool, sums.c.bid_id == spot_bids.c.bid_id))
        .where(spot_bids.c.charged_micros != charged)
        .order_by(spot_bids.c.bid_id)
        .limit(SHOWN)
    )
    for row in tx.execute(query):
        yield f"spot_bids: {row.bid_id} has cost {row.charged_micros}, and its leases that ended {row.charged}"


def _check_revenue(tx: sa.Connection) -> Iterator[str]:
    """Compare what the ledger has received for leases with what they say to have paid."""
    paid = int(tx.scalar(sa.select(sa.func.coalesce(sa.func.sum(leases.c.paid_micros), 0))) or 0)
    received = ledger.received(tx, ledger.revenue("spot"), references=REFERENCES)
    if paid != received:
        yield f"leases: they have paid {paid}, and the ledger has received {received} for them"
