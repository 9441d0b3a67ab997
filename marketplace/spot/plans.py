"""What the matcher has decided is done, all of it or nothing.

A plan was made outside of the lane, of the pool as it was at a seq. Every entry since that took away what a plan may
rely on left its seq in the pool, and so did every entry that opened room: another plan takes room, a bid that is
cancelled is there no more; where a lease has ended, nobody may have to go. New bids change nothing about a plan.
"""

from __future__ import annotations

from marketplace.spot import happenings, leaving
from marketplace.spot.book import Book, shown
from marketplace.spot.commands import ApplyPlan, Cause, PlannedEviction, PlannedStart
from marketplace.spot.records import BidRecord, LeaseRecord


def apply_plan(book: Book, command: ApplyPlan) -> bool:
    if not _still_holds(book, command):
        return False
    for bid_id in command.released:
        _release(book, book.bids[bid_id])
    waits_for: dict[int, list[int]] = {}
    for eviction in command.evictions:
        waits_for.setdefault(eviction.for_bid, []).append(eviction.bid_id)
        _evict(book, eviction)
    for start in command.starts:
        _start(book, start, tuple(waits_for.get(start.bid_id, ())))
    if command.starts or command.evictions or command.released:
        book.took(command.pool)
    _set_price(book, command)
    return True


def _still_holds(book: Book, command: ApplyPlan) -> bool:
    pool = book.pools.get(command.pool)
    if pool is None or pool.taken_seq > command.seq or (command.evictions and pool.opened_seq > command.seq):
        return False
    for start in command.starts:
        bid, node = book.bids[start.bid_id], book.nodes.get((command.pool, start.node))
        lease = book.lease_of(bid)
        is_waiting = bid.state == "submitted" or start.bid_id in command.released
        is_claim = lease is not None and lease.state == "matched" and lease.node == start.node
        assert is_waiting or is_claim, "nobody took a bid from the queue since"
        assert node is not None, "a node's row stays"
        assert node.state == "ready", "no node was taken away since"
    running = (book.lease_of(book.bids[eviction.bid_id]) for eviction in command.evictions)
    assert all(lease is not None and lease.state == "running" for lease in running), "no lease has ended since"
    return True


def _release(book: Book, bid: BidRecord) -> None:
    """Give up a place that was reserved on a node which is ready no more; the plan may have another one for it."""
    lease = book.lease_of(bid)
    assert lease is not None, "who has a place has a lease"
    cause: Cause = "lost" if book.node_of(lease).state == "lost" else "drained"
    reason = f"The node {lease.node}, where room was reserved for it, takes nothing new any more."
    leaving.give_up_place(book, lease, cause=cause, reason=reason)
    leaving.requeue(book, bid, cause=cause, reason=reason)


def _evict(book: Book, eviction: PlannedEviction) -> None:
    lease = book.lease_of(book.bids[eviction.bid_id])
    assert lease is not None, "who is evicted has a lease"
    paid, more = eviction.unit_price_micros, eviction.for_unit_price_micros
    leaving.evict(
        book,
        lease,
        cause="evicted",
        reason=f"The bid {eviction.for_bid} pays {shown(more)} an hour for a unit, and it pays {shown(paid)}.",
        stop_at=eviction.stop_at,
        for_bid=eviction.for_bid,
        unit_prices=(paid, more),
    )


def _start(book: Book, start: PlannedStart, waits_for: tuple[int, ...]) -> None:
    bid = book.bids[start.bid_id]
    lease = book.lease_of(bid)
    if lease is not None:
        lease.state = bid.state = "starting"
        lease.start_at = book.now
        said = happenings.ContainerStarting(bid.pool, bid.bid_id, lease.lease_id, bid.username, lease.node)
        book.note(said)
        book.touch_lease(lease)
        return
    lease = _matched(book, bid, start)
    bid.state, bid.lease_id = ("matched" if start.waits else "starting"), lease.lease_id
    bid.cause = bid.reason = bid.not_before = None
    reason = f"It waits for {len(waits_for)} others to go." if start.waits else "There is room for it."
    happened = happenings.BidMatched(bid.pool, bid.bid_id, lease.lease_id, bid.username, start.node, waits_for, reason)
    book.note(happened)
    book.touch_lease(lease)


def _matched(book: Book, bid: BidRecord, start: PlannedStart) -> LeaseRecord:
    pool = book.pool_of(bid)
    policy = pool.policy()
    return LeaseRecord(
        pool=bid.pool,
        lease_id=book.log.next_seq,
        bid_id=bid.bid_id,
        username=bid.username,
        node=start.node,
        state="matched" if start.waits else "starting",
        cause=None,
        reason=None,
        for_bid=None,
        notice_secret=start.secret,
        reference=None,
        address=None,
        matched_at=book.now,
        start_at=None if start.waits else book.now,
        started_at=None,
        notice_at=None,
        stop_at=None,
        overdue_at=None,
        ended_at=None,
        exit_code=None,
        attempts=0,
        try_at=None,
        is_clean=0,
        size=policy.size(bid.cpu_millis, bid.memory_mib),
        parts=policy.parts,
        max_price_micros_per_hour=bid.max_price_micros_per_hour,
        pricing=pool.pricing,
        metered_until=None,
        charged_micros=0,
        remainder=0,
        paid_micros=0,
        line_from_at=None,
        line_unit_price_micros=None,
        line_charged_micros=0,
        settle_at=None,
        is_low=0,
        changed_seq=0,
    )


def _set_price(book: Book, command: ApplyPlan) -> None:
    before = book.set_price(command.pool, command.unit_price_micros)
    if before is not None:
        said = happenings.PriceChanged(command.pool, shown(command.unit_price_micros), shown(before.unit_price_micros))
        book.note(said)
