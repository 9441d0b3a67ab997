"""What the lane runs for the spot market: pools, nodes, bids, plans, and what is recorded of leases."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.database import Apply, Log
from marketplace.foundation.clock import Instant
from marketplace.spot import bids, commands, nodes, plans, pools, recordings, settlement, sql
from marketplace.spot.book import Book, Wanted


def handlers(*, starting_credits: int = 0) -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it.

    `starting_credits`, in micro-credits, are what a wallet opens with.
    """
    return {
        **dict.fromkeys(_DECIDE, functools.partial(apply, starting_credits=starting_credits)),
        commands.Settle: functools.partial(settlement.apply_settlements, starting_credits=starting_credits),
    }


def apply(tx: sa.Connection, log: Log, given: Sequence[Any], /, *, now: Instant, starting_credits: int) -> list[Any]:
    """Run commands of the spot market in arrival order.

    Keeps: a bid is open as long as money is held for it, and has at most one open lease; what a lease was charged
    is the sum of its lines; nothing is placed on a node that is not ready.
    A refusal is an outcome and writes nothing. What the clock asks for is read once for all, and looked at again.
    """
    wanted = Wanted()
    for command in given:
        _want(wanted, command)
    _want_by_the_clock(wanted, tx, given, now=now)
    book = Book(tx, log, wanted, now=now, starting_credits=starting_credits)
    outcomes = [_DECIDE[type(command)](book, command) for command in given]
    book.close()
    return outcomes


def _want(wanted: Wanted, command: Any) -> None:
    """Say what a command needs to be decided."""
    match command:
        case commands.OpenPool():
            wanted.pools.add(command.pool.pool)
        case commands.SetPool():
            wanted.pools.add(command.pool)
        case commands.AddNode() | commands.RemoveNode() | commands.Heartbeat():
            wanted.pools.add(command.pool)
            wanted.nodes.add((command.pool, command.node))
        case commands.SetNode():
            wanted.leases_of_nodes.add((command.pool, command.node))
        case commands.PlaceBid():
            wanted.pools.add(command.pool)
            wanted.usernames.add(command.username)
        case commands.AmendBid() | commands.CancelBid():
            wanted.paying_bids.add(command.bid_id)
        case commands.StopLease() | commands.RecordFailed() | commands.RecordEnded():
            wanted.paying_leases.add(command.lease_id)
        case commands.EvictLease() | commands.RecordStarted() | commands.RecordTry():
            wanted.leases.add(command.lease_id)
        case commands.RecordClean():
            wanted.leases.update(command.lease_ids)
        case commands.ApplyPlan():
            _want_of_plan(wanted, command)


def _want_of_plan(wanted: Wanted, plan: commands.ApplyPlan) -> None:
    wanted.pools.add(plan.pool)
    wanted.bids.update(start.bid_id for start in plan.starts)
    wanted.bids.update(eviction.bid_id for eviction in plan.evictions)
    wanted.bids.update(plan.released)
    wanted.nodes.update((plan.pool, start.node) for start in plan.starts)


def _want_by_the_clock(wanted: Wanted, tx: sa.Connection, given: Sequence[Any], *, now: Instant) -> None:
    """Find what is due. What the batch itself makes due is found the next time."""
    expiring = sum(each.limit for each in given if isinstance(each, commands.ExpireBids))
    overdue = sum(each.limit for each in given if isinstance(each, commands.StopOverdue))
    wanted.due_bids = sql.read_expiring(tx, now=now, limit=expiring) if expiring else []
    wanted.due_leases = sql.read_overdue(tx, now=now, limit=overdue) if overdue else []
    for seconds in {each.seconds for each in given if isinstance(each, commands.LoseNodes)}:
        wanted.leases_of_nodes.update(sql.read_silent(tx, now=now, seconds=seconds))


_DECIDE: Mapping[type, Callable[[Book, Any], Any]] = {
    commands.OpenPool: pools.open_pool,
    commands.SetPool: pools.set_pool,
    commands.AddNode: nodes.add,
    commands.SetNode: nodes.set_state,
    commands.RemoveNode: nodes.remove,
    commands.ClaimNodes: nodes.claim,
    commands.Heartbeat: nodes.hear,
    commands.LoseNodes: nodes.lose,
    commands.PlaceBid: bids.place,
    commands.AmendBid: bids.amend,
    commands.CancelBid: bids.cancel,
    commands.StopLease: bids.stop_lease,
    commands.EvictLease: bids.evict_lease,
    commands.ExpireBids: bids.expire,
    commands.ApplyPlan: plans.apply_plan,
    commands.RecordStarted: recordings.record_started,
    commands.RecordFailed: recordings.record_failed,
    commands.RecordTry: recordings.record_try,
    commands.RecordEnded: recordings.record_ended,
    commands.RecordClean: recordings.record_clean,
    commands.StopOverdue: recordings.stop_overdue,
}
