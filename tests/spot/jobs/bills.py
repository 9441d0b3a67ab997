"""What leases owe, computed beside the market: from its prices alone, with fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from marketplace.foundation.clock import HOUR
from marketplace.spot import tables
from tests.spot.jobs.town import Town


async def integral(town: Town, lease: Any) -> int:
    """Return what a lease owes for the time that it ran; its max price was never amended."""
    if lease.started_at is None:
        return 0
    owed = Fraction(0)
    most = Fraction(lease.max_price_micros_per_hour)
    size = Fraction(lease.size, lease.parts)
    for price in await town.rows(sa.select(tables.spot_prices).order_by(tables.spot_prices.c.from_at)):
        begins, ends = max(price.from_at, lease.started_at), min(price.to_at or lease.ended_at, lease.ended_at)
        if begins < ends:
            owed += min(price.unit_price_micros_per_hour * size, most) * (ends - begins) / HOUR
    return int(owed)
