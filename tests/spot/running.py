"""Containers as the lane knows them: a plan places them, a node's loop records what came of them; none is real."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from marketplace import spot
from marketplace.database import log
from marketplace.spot import billing_sql, tables
from marketplace.spot.metering import Line
from tests.spot.desk import CREDIT, Desk

SECONDLY = 3_600 * CREDIT // 1_000
"""A price an hour of which each second costs 1 000 micro-credits."""


async def head(desk: Desk) -> int:
    return int(await desk.read(lambda tx: log.read_head(tx, desk.lane.name).last_seq))


async def set_price(desk: Desk, price: float, *starts: spot.PlannedStart) -> None:
    """Apply a plan that starts these, at a price of a unit in credits an hour."""
    plan = spot.ApplyPlan(
        pool=spot.DEFAULT_POOL,
        seq=await head(desk),
        starts=starts,
        evictions=(),
        released=(),
        unit_price_micros=round(price * CREDIT),
    )
    assert await desk.run(plan)


async def start(desk: Desk, bid_id: int, *, price: float | None = None, node: str = "n") -> int:
    """Let a bid run from now on; return its lease's id. The price of a unit is its own unless one is given."""
    bid = await desk.bid_of(bid_id)
    unit_price = bid.max_price_micros_per_hour / CREDIT if price is None else price
    await set_price(desk, unit_price, spot.PlannedStart(bid_id, node, waits=False, secret="s"))
    lease_id = (await desk.bid_of(bid_id)).lease_id
    assert lease_id is not None
    assert await desk.run(spot.RecordStarted(lease_id, "ref", desk.clock()))
    return lease_id


async def run(desk: Desk, username: str, price: float, *, at: float | None = None, **wish: Any) -> tuple[int, int]:
    """Place a bid and let it run; return its id and the lease's."""
    bid_id = await desk.place(username, price, **wish)
    return bid_id, await start(desk, bid_id, price=at)


async def end(desk: Desk, lease_id: int, *, ago: float = 0, exit_code: int | None = 0) -> None:
    ended_at = desk.clock() - round(ago * 1_000_000)
    assert await desk.run(spot.RecordEnded(lease_id, ended_at, exit_code))


async def settle(desk: Desk, limit: int = 500) -> int:
    return int(await desk.run(spot.Settle(limit)))


async def settle_for(desk: Desk, seconds: int) -> None:
    """Let time go by, with a settlement each second."""
    for _ in range(seconds):
        desk.clock.advance(1)
        await settle(desk)


async def lines(desk: Desk, lease_id: int) -> list[Line]:
    """Return a lease's bill as its rows have it."""

    def read(tx: sa.Connection) -> list[Line]:
        lease = tx.execute(sa.select(tables.leases).where(tables.leases.c.lease_id == lease_id)).one()
        found = billing_sql.read_lines(tx, lease.pool, lease_id, after=0)
        if lease.metered_until > lease.line_from_at:
            price = lease.line_unit_price_micros
            found.append(Line(lease.line_from_at, lease.metered_until, price, lease.line_charged_micros))
        return found

    found: list[Line] = await desk.read(read)
    return found
