"""What came of leases between the lane's turns: started, failed, ended, cleaned up; and those whose time is over."""

from __future__ import annotations

from marketplace.foundation.clock import SECOND
from marketplace.spot import bills, happenings, leaving, sql
from marketplace.spot.book import Book
from marketplace.spot.commands import (
    MAX_FAILURES,
    Cause,
    RecordClean,
    RecordEnded,
    RecordFailed,
    RecordStarted,
    RecordTry,
    StopOverdue,
)
from marketplace.spot.records import BidRecord, LeaseRecord

OVERDUE = "It has run as long as it was to."


def record_started(book: Book, command: RecordStarted) -> bool:
    lease = book.leases.get(command.lease_id)
    if lease is None or not lease.is_open or lease.start_at is None:
        return False
    if lease.started_at is not None:
        return True
    bid = book.bid_of(lease)
    # The backend's clock may be off: nobody pays for time before the start was asked for, or for time to come.
    started_at = min(max(command.started_at, lease.start_at), book.now)
    lease.reference, lease.address = command.reference, command.address
    bills.begin(book, lease, started_at=started_at)
    if lease.state != "stopping" and bid.ttl_seconds is not None:
        lease.overdue_at = started_at + bid.ttl_seconds * SECOND
    if lease.state == "starting":
        lease.state = bid.state = "running"
    said = happenings.ContainerStarted(
        lease.pool, lease.bid_id, lease.lease_id, lease.username, lease.node, lease.address, started_at
    )
    book.note(said)
    book.touch_lease(lease)
    return True


def record_failed(book: Book, command: RecordFailed) -> bool:
    lease = book.leases.get(command.lease_id)
    if lease is None or not lease.is_open or lease.started_at is not None or lease.state == "matched":
        return False
    if not lease.is_wanted:
        assert lease.cause is not None, "who was told to go was told why"
        leaving.end(book, lease, ended_at=book.now, cause=lease.cause, reason=lease.reason or command.reason)
        return True
    bid = book.bid_of(lease)
    bid.failures += 1
    bid.avoid(lease.node)
    leaving.give_up_place(book, lease, cause="start_failed", reason=command.reason)
    if bid.failures < MAX_FAILURES and _has_another_node(book, bid):
        leaving.requeue(book, bid, cause="start_failed", reason=command.reason)
    else:
        leaving.finish(book, bid, "failed", cause="start_failed", reason=command.reason, lease_id=lease.lease_id)
    book.touch_lease(lease)
    book.opened(lease.pool)
    return True


def _has_another_node(book: Book, bid: BidRecord) -> bool:
    return sql.has_large_node(
        book.tx, bid.pool, cpu_millis=bid.cpu_millis, memory_mib=bid.memory_mib, avoiding=bid.avoided()
    )


def record_try(book: Book, command: RecordTry) -> None:
    lease = book.leases.get(command.lease_id)
    if lease is not None and lease.is_open:
        lease.attempts += 1
        lease.try_at = command.try_at
        book.keep_lease(lease)
        book.log.is_dirty = True


def record_ended(book: Book, command: RecordEnded) -> bool:
    lease = book.leases.get(command.lease_id)
    if lease is None or not lease.is_open or lease.state == "matched":
        return False
    cause, reason = _why(lease, book.bid_of(lease), command)
    leaving.end(book, lease, ended_at=command.ended_at, cause=cause, reason=reason, exit_code=command.exit_code)
    return True


def _why(lease: LeaseRecord, bid: BidRecord, command: RecordEnded) -> tuple[Cause, str]:
    """Tell why a container ended: by itself, unless it was told to go before."""
    if not lease.is_wanted:
        assert lease.cause is not None, "who was told to go was told why"
        assert lease.notice_at is not None, "and when"
        if command.exit_code is None or command.ended_at >= lease.notice_at:
            return lease.cause, lease.reason or ""
    if command.out_of_memory:
        return "out_of_memory", command.reason or f"It used more than its {bid.memory_mib} MiB of memory."
    if command.exit_code is None:
        return "vanished", command.reason or "Its node knows nothing of it any more."
    return "exited", command.reason or f"It exited with code {command.exit_code}."


def record_clean(book: Book, command: RecordClean) -> None:
    for lease_id in command.lease_ids:
        lease = book.leases.get(lease_id)
        if lease is not None and not lease.is_open and not lease.is_clean:
            lease.is_clean = 1
            book.keep_lease(lease)
            book.log.is_dirty = True


def stop_overdue(book: Book, command: StopOverdue) -> int:
    """Tell the first of those that are due to stop."""
    count = 0
    while book.due_leases and count < command.limit:
        lease = book.leases[book.due_leases.pop(0)]
        if lease.overdue_at is not None and lease.overdue_at <= book.now and lease.is_open:
            leaving.stop(book, lease, cause="ttl", reason=OVERDUE)
            count += 1
    return count
