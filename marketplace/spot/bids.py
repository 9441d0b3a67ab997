"""Bids as their members change them: placed, amended, cancelled; stopped, tried out and expired."""

from __future__ import annotations

import fnmatch

from msgspec import json

from marketplace.foundation.clock import SECOND
from marketplace.foundation.errors import Refusal
from marketplace.spot import bills, errors, happenings, leaving
from marketplace.spot.book import Book, shown
from marketplace.spot.commands import (
    AmendBid,
    CancelBid,
    Container,
    EvictLease,
    ExpireBids,
    PlaceBid,
    Placed,
    StopLease,
)
from marketplace.spot.model import MAX_SIZE
from marketplace.spot.records import BidRecord, PoolRecord

STOPPED = "Its member wanted it to end."
EXPIRED = "It has waited as long as it was to."
DRILLED = "An administrator tries out what an eviction does."


def place(book: Book, command: PlaceBid) -> Placed | Refusal:
    pool = book.pools.get(command.pool)
    if pool is None:
        return errors.UnknownPool(command.pool)
    container, wish = command.container, command.wish
    if wish.expires_at is not None and wish.expires_at <= book.now:
        return errors.ExpiresInPast()
    if refusal := check(pool, container, wish.max_price_micros):
        return refusal
    bid = _submitted(book, command)
    if refusal := bills.hold(book, bid):
        return refusal
    said = happenings.BidSubmitted(
        bid.pool,
        bid.bid_id,
        bid.username,
        container.image,
        bid.cpu_millis,
        bid.memory_mib,
        shown(bid.max_price_micros_per_hour),
        shown(bid.held_micros or 0),
    )
    book.note(said)
    book.touch_bid(bid)
    return bid.told()


def _submitted(book: Book, command: PlaceBid) -> BidRecord:
    bid_id, container, wish = book.log.next_seq, command.container, command.wish
    return BidRecord(
        pool=command.pool,
        bid_id=bid_id,
        username=command.username,
        cpu_millis=container.cpu_millis,
        memory_mib=container.memory_mib,
        max_price_micros_per_hour=wish.max_price_micros,
        ttl_seconds=wish.ttl_seconds,
        on_eviction=wish.on_eviction,
        expires_at=wish.expires_at,
        budget_micros=wish.budget_micros,
        max_preemptions=wish.max_preemptions,
        notice_seconds=wish.notice_seconds,
        state="submitted",
        cause=None,
        reason=None,
        queue_seq=bid_id,
        not_before=None,
        avoids="[]",
        evictions=0,
        failures=0,
        hold_id=None,
        held_micros=None,
        charged_micros=0,
        lease_id=None,
        submitted_at=book.now,
        ended_at=None,
        changed_seq=bid_id,
        image=container.image,
        command=json.encode(container.command).decode(),
        environment=json.encode(container.environment).decode(),
    )


def check(pool: PoolRecord, container: Container, max_price_micros: int) -> Refusal | None:
    """Tell why a pool does not take a container at a price; None where it does."""
    return (
        _check_image(pool, container.image)
        or _check_size(pool, container)
        or _check_price(pool, max_price_micros, container.cpu_millis, container.memory_mib)
    )


def _check_image(pool: PoolRecord, image: str) -> Refusal | None:
    patterns = pool.allowed_images()
    is_allowed = not patterns or any(fnmatch.fnmatchcase(image, pattern) for pattern in patterns)
    if is_allowed and ("@sha256:" in image or not pool.needs_digest):
        return None
    return errors.ImageNotAllowed(image, patterns=patterns, needs_digest=bool(pool.needs_digest))


def _check_size(pool: PoolRecord, container: Container) -> Refusal | None:
    most_of_a_size = MAX_SIZE - 1
    for field, asked, cap, other in (
        ("cpu_millis", container.cpu_millis, pool.max_cpu_millis, pool.unit_memory_mib),
        ("memory_mib", container.memory_mib, pool.max_memory_mib, pool.unit_cpu_millis),
    ):
        most = most_of_a_size // other if cap is None else min(cap, most_of_a_size // other)
        if asked > most:
            return errors.TooLarge(field, asked=asked, most=most)
    return None


def _check_price(pool: PoolRecord, max_price_micros: int, cpu_millis: int, memory_mib: int) -> Refusal | None:
    policy = pool.policy()
    reserve = -(-policy.reserve_micros * policy.size(cpu_millis, memory_mib) // policy.parts)
    if max_price_micros >= reserve:
        return None
    return errors.BelowReserve(max_price=shown(max_price_micros), reserve_price=shown(reserve))


# ── changed ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _find(book: Book, bid_id: int, username: str | None) -> BidRecord | errors.UnknownBid:
    bid = book.bids.get(bid_id)
    if bid is None or username not in (None, bid.username):
        return errors.UnknownBid(bid_id)
    return bid


def amend(book: Book, command: AmendBid) -> Placed | Refusal:
    bid = _find(book, command.bid_id, command.username)
    if isinstance(bid, Refusal):
        return bid
    lease = book.lease_of(bid)
    if not bid.is_open or (lease is not None and not lease.is_wanted):
        return errors.BidOver(bid.bid_id, lease.state if lease else bid.state)
    before, price = bid.max_price_micros_per_hour, command.max_price_micros
    if price == before:
        return bid.told()
    if refusal := _check_price(book.pool_of(bid), price, bid.cpu_millis, bid.memory_mib):
        return refusal
    bid.max_price_micros_per_hour = price
    if refusal := bills.hold(book, bid):
        bid.max_price_micros_per_hour = before
        return refusal
    if lease is not None:
        bills.amend(book, lease, max_price_micros=price)
    said = happenings.BidAmended(
        bid.pool, bid.bid_id, bid.username, shown(price), shown(before), shown(bid.held_micros or 0)
    )
    seq = book.note(said)
    if lease is None:
        bid.queue_seq = seq
        book.touch_bid(bid)
    else:
        book.touch_lease(lease)
    book.took(bid.pool)
    return bid.told()


def cancel(book: Book, command: CancelBid) -> Placed | Refusal:
    bid = _find(book, command.bid_id, command.username)
    if isinstance(bid, Refusal):
        return bid
    _cancel(book, bid)
    return bid.told()


def stop_lease(book: Book, command: StopLease) -> Placed | Refusal:
    lease = book.leases.get(command.lease_id)
    if lease is None or command.username not in (None, lease.username):
        return errors.UnknownLease(command.lease_id)
    bid = book.bid_of(lease)
    if lease.is_open:
        _cancel(book, bid)
    return bid.told()


def _cancel(book: Book, bid: BidRecord) -> None:
    """End a bid at once, or have its container stopped; a bid that is over, or whose lease stops, stays as it is."""
    lease = book.lease_of(bid)
    if lease is None or lease.state == "matched":
        if not bid.is_open:
            return
        lease_id = bid.lease_id
        if lease is not None:
            leaving.give_up_place(book, lease, cause="stopped", reason=STOPPED)
        leaving.finish(book, bid, "cancelled", cause="stopped", reason=STOPPED, lease_id=lease_id)
        book.took(bid.pool)
        if lease is not None:
            book.opened(bid.pool)
    elif lease.state != "stopping":
        leaving.stop(book, lease, cause="stopped", reason=STOPPED)


def evict_lease(book: Book, command: EvictLease) -> Placed | Refusal:
    """Do as if the lease had been displaced, by nobody."""
    lease = book.leases.get(command.lease_id)
    if lease is None:
        return errors.UnknownLease(command.lease_id)
    if lease.state != "running":
        return errors.LeaseNotRunning(lease.lease_id, lease.state)
    bid = book.bid_of(lease)
    stop_at = book.now + book.pool_of(lease).policy().notice(bid.notice_seconds) * SECOND
    leaving.evict(book, lease, cause="drill", reason=DRILLED, stop_at=stop_at)
    book.took(lease.pool)
    return bid.told()


def expire(book: Book, command: ExpireBids) -> int:
    """Cancel the first of those that are due."""
    count = 0
    while book.due_bids and count < command.limit:
        bid = book.bids[book.due_bids.pop(0)]
        if bid.state == "submitted" and bid.expires_at is not None and bid.expires_at <= book.now:
            leaving.finish(book, bid, "cancelled", cause="expired", reason=EXPIRED)
            book.took(bid.pool)
            count += 1
    return count
