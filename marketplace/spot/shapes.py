"""What the spot market keeps, as it goes over the wire: micro-credits as decimal text, instants as times."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from marketplace.foundation import clock, money
from marketplace.foundation.clock import Instant
from marketplace.spot import asking
from marketplace.spot.commands import NodeRow, Placed, Pool
from marketplace.spot.history import Candle
from marketplace.spot.invoices import LeaseBill, MonthlyLine, MonthlySum
from marketplace.spot.listings import BidRow, LeaseRow
from marketplace.spot.pool_listings import NodeUse, Use
from marketplace.spot.pricing import Interval
from marketplace.wire import spot as wire
from marketplace.wire import spot_pools

DECIMALS = 6


def credits_of(micros: int) -> str:
    return money.format_amount(micros, decimals=DECIMALS)


def optional_credits(micros: int | None) -> str | None:
    return None if micros is None else credits_of(micros)


def moment(instant: Instant) -> datetime:
    return clock.to_datetime(instant)


def optional_moment(instant: Instant | None) -> datetime | None:
    return None if instant is None else clock.to_datetime(instant)


# ── bids and leases ──────────────────────────────────────────────────────────────────────────────────────────────────


def placed(one: Placed) -> wire.PlacedBid:
    return wire.PlacedBid(
        one.pool,
        one.bid_id,
        one.username,
        one.state,
        credits_of(one.max_price_micros),
        optional_credits(one.held_micros),
        one.lease_id,
        one.reason,
        moment(one.submitted_at),
    )


def bid(row: BidRow) -> wire.SpotBid:
    return wire.SpotBid(
        pool=row.pool,
        bid_id=row.bid_id,
        username=row.username,
        state=row.state,
        image=row.image,
        command=msgspec.json.decode(row.command, type=list[str]),
        environment=msgspec.json.decode(row.environment, type=dict[str, str]),
        cpu_millis=row.cpu_millis,
        memory_mib=row.memory_mib,
        max_price_per_hour=credits_of(row.max_price_micros_per_hour),
        held=optional_credits(row.held_micros),
        charged=credits_of(row.charged_micros),
        lease_id=row.lease_id,
        cause=row.cause,
        reason=row.reason,
        ttl_seconds=row.ttl_seconds,
        on_eviction=row.on_eviction,
        expires_at=optional_moment(row.expires_at),
        budget=optional_credits(row.budget_micros),
        max_preemptions=row.max_preemptions,
        notice_seconds=row.notice_seconds,
        evictions=row.evictions,
        failures=row.failures,
        not_before=optional_moment(row.not_before),
        submitted_at=moment(row.submitted_at),
        ended_at=optional_moment(row.ended_at),
    )


def bid_read(row: BidRow, waits: asking.Waiting) -> wire.SpotBidRead:
    return wire.SpotBidRead(
        **msgspec.structs.asdict(bid(row)),
        rank=waits.rank,
        waits_because=waits.because,
        min_price_to_run_per_hour=optional_credits(waits.least_micros),
    )


def lease(row: LeaseRow) -> wire.Lease:
    return wire.Lease(
        pool=row.pool,
        lease_id=row.lease_id,
        bid_id=row.bid_id,
        username=row.username,
        node=row.node,
        state=row.state,
        cause=row.cause,
        reason=row.reason,
        for_bid=row.for_bid,
        address=row.address,
        max_price_per_hour=credits_of(row.max_price_micros_per_hour),
        charged=credits_of(row.charged_micros),
        paid=credits_of(row.paid_micros),
        charged_until=optional_moment(row.metered_until),
        matched_at=moment(row.matched_at),
        started_at=optional_moment(row.started_at),
        notice_at=optional_moment(row.notice_at),
        stop_at=optional_moment(row.stop_at),
        ended_at=optional_moment(row.ended_at),
        exit_code=row.exit_code,
    )


def notice(row: LeaseRow, *, now: Instant) -> wire.Notice:
    """Shape the notice of a lease that has one."""
    assert row.stop_at is not None
    left = max(row.stop_at - now, 0) // clock.SECOND
    return wire.Notice(row.lease_id, moment(row.stop_at), left, row.cause or "", row.reason or "")


def preview(found: asking.Answer, *, pool: str, body: wire.NewSpotBid | None) -> wire.SpotPreview:
    return wire.SpotPreview(
        pool=pool,
        runs_now=found.runs_now,
        unit_price_per_hour=credits_of(found.unit_price_micros),
        min_price_to_run_per_hour=optional_credits(found.least_micros),
        would_evict=list(found.would_evict),
        cost_per_hour=credits_of(found.cost_micros),
        held=optional_credits(found.held_micros),
        waits_because=found.because,
        body=body,
    )


# ── bills ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lease_bill(found: LeaseBill, *, following: str | None) -> wire.LeaseBill:
    return wire.LeaseBill(
        lease_id=found.lease_id,
        bid_id=found.bid_id,
        pool=found.pool,
        username=found.username,
        cpu_millis=found.cpu_millis,
        memory_mib=found.memory_mib,
        max_price_per_hour=credits_of(found.max_price_micros),
        started_at=moment(found.started_at),
        ended_at=optional_moment(found.ended_at),
        charged_until=moment(found.charged_until),
        charged=credits_of(found.charged_micros),
        paid=credits_of(found.paid_micros),
        lines=[
            wire.BillLine(
                moment(line.from_at),
                moment(line.to_at),
                credits_of(line.unit_price_micros),
                credits_of(line.charged_micros),
            )
            for line in found.lines
        ],
        next=following,
    )


def monthly_bill(
    username: str, month: str, of_all: MonthlySum, lines: list[MonthlyLine], *, following: str | None
) -> wire.MonthlyBill:
    return wire.MonthlyBill(
        username=username,
        month=month,
        leases=of_all.leases,
        ran_seconds=of_all.ran // clock.SECOND,
        charged=credits_of(of_all.charged_micros),
        items=[
            wire.MonthlyCharge(
                lease_id=line.lease_id,
                bid_id=line.bid_id,
                pool=line.pool,
                started_at=moment(line.started_at),
                ended_at=optional_moment(line.ended_at),
                ran_seconds=line.ran // clock.SECOND,
                charged=credits_of(line.charged_micros),
            )
            for line in lines
        ],
        next=following,
    )


# ── pools, nodes, prices ─────────────────────────────────────────────────────────────────────────────────────────────


def pool(one: Pool) -> spot_pools.Pool:
    policy = one.policy
    shortest, longest = policy.notice_bounds
    return spot_pools.Pool(
        pool=one.pool,
        unit_cpu_millis=policy.unit_cpu_millis,
        unit_memory_mib=policy.unit_memory_mib,
        reserve_price_per_hour=credits_of(policy.reserve_micros),
        pricing=policy.pricing,
        margin_basis_points=policy.margin_basis_points,
        minimum_runtime_seconds=policy.minimum_runtime_seconds,
        notice_seconds=policy.notice_seconds,
        shortest_notice_seconds=shortest,
        longest_notice_seconds=longest,
        backoff_seconds=policy.backoff_seconds,
        max_backoff_seconds=policy.max_backoff_seconds,
        images=list(one.images),
        needs_digest=one.needs_digest,
        max_cpu_millis=one.max_cpu_millis,
        max_memory_mib=one.max_memory_mib,
        network=one.network,
        opened_at=moment(one.opened_at),
    )


def node(row: NodeRow | NodeUse) -> spot_pools.Node:
    return spot_pools.Node(
        pool=row.pool,
        node=row.node,
        provider=row.provider,
        backend=row.backend,
        state=row.state,
        cpu_millis=row.cpu_millis,
        memory_mib=row.memory_mib,
        heartbeat_at=optional_moment(row.heartbeat_at),
        added_at=moment(row.added_at),
    )


def node_use(row: NodeUse) -> spot_pools.NodeUse:
    return spot_pools.NodeUse(
        **msgspec.structs.asdict(node(row)),
        used_cpu_millis=row.used_cpu_millis,
        used_memory_mib=row.used_memory_mib,
        leases=row.leases,
    )


def interval(one: Interval) -> spot_pools.PriceInterval:
    return spot_pools.PriceInterval(moment(one.from_at), optional_moment(one.to_at), credits_of(one.unit_price_micros))


def current_price(
    pool: str, current: Interval, *, reserve_micros: int, indicative: Iterable[tuple[int, int, int | None]]
) -> spot_pools.CurrentPrice:
    return spot_pools.CurrentPrice(
        pool=pool,
        unit_price_per_hour=credits_of(current.unit_price_micros),
        since=moment(current.from_at),
        reserve_price_per_hour=credits_of(reserve_micros),
        indicative=[spot_pools.Indicative(cpu, memory, optional_credits(least)) for cpu, memory, least in indicative],
    )


def candles(items: Iterable[Candle]) -> list[spot_pools.PriceCandle]:
    return [
        spot_pools.PriceCandle(
            moment(one.opened_at), *map(credits_of, (one.open, one.high, one.low, one.close, one.average))
        )
        for one in items
    ]


def utilisation(found: Use, *, pool: str, ideal_micros: int) -> spot_pools.Utilisation:
    """Shape what is used; the percentage is of what there is less of, cpu or memory, to a hundredth."""
    shares = [
        10_000 * used // offered
        for used, offered in ((found.used_cpu_millis, found.cpu_millis), (found.used_memory_mib, found.memory_mib))
        if offered
    ]
    return spot_pools.Utilisation(
        pool=pool,
        nodes=found.nodes,
        cpu_millis=found.cpu_millis,
        memory_mib=found.memory_mib,
        used_cpu_millis=found.used_cpu_millis,
        used_memory_mib=found.used_memory_mib,
        running=found.running,
        leaving=found.leaving,
        waiting=found.waiting,
        used_percent=money.format_amount(max(shares, default=0), decimals=2),
        value_per_hour=credits_of(found.value_micros),
        ideal_value_per_hour=credits_of(ideal_micros),
    )
