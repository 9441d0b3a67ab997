"""How a lease is told to go, how it ends, and what becomes of its bid.

A container that ends by itself before it was told to go has ended by itself; after that, for what it was told. Whoever
is displaced and wishes for it is queued again, later each time; whoever's node failed, at once. A bid goes on only if
its wallet covers it anew, and not after its container has failed to start, or vanished, too often.
"""

from __future__ import annotations

from typing import Literal

from marketplace.foundation.clock import SECOND, Instant
from marketplace.foundation.errors import Refusal
from marketplace.spot import bills, happenings
from marketplace.spot.book import Book, shown
from marketplace.spot.commands import MAX_FAILURES, STOP_GRACE_SECONDS, Cause
from marketplace.spot.records import BidRecord, LeaseRecord

OverState = Literal["evicted", "completed", "cancelled", "failed"]

# ── told to go ───────────────────────────────────────────────────────────────────────────────────────────────────────


def stop(book: Book, lease: LeaseRecord, *, cause: Cause, reason: str) -> None:
    """Tell a lease to stop, or to stop sooner than it was told before. It has to be open, and past `matched`."""
    stop_at = book.now + STOP_GRACE_SECONDS * SECOND
    lease.state, lease.cause, lease.reason = "stopping", cause, reason
    lease.notice_at = lease.notice_at or book.now
    lease.stop_at = stop_at if lease.stop_at is None else min(lease.stop_at, stop_at)
    lease.overdue_at = None
    bid = book.bid_of(lease)
    bid.state, bid.cause, bid.reason = "running", cause, reason
    said = happenings.ContainerStopRequested(
        lease.pool, lease.bid_id, lease.lease_id, lease.username, lease.node, lease.stop_at, cause, reason
    )
    book.note(said)
    book.touch_lease(lease)
    book.took(lease.pool)


def evict(
    book: Book,
    lease: LeaseRecord,
    *,
    cause: Cause,
    reason: str,
    stop_at: Instant,
    for_bid: int | None = None,
    unit_prices: tuple[int, int] | None = None,
) -> None:
    """Give a lease notice. `unit_prices` are what it and the bid that displaces it pay for a unit."""
    lease.state, lease.cause, lease.reason, lease.for_bid = "evicting", cause, reason, for_bid
    lease.notice_at, lease.stop_at = book.now, max(stop_at, book.now)
    bid = book.bid_of(lease)
    bid.state, bid.cause, bid.reason = "evicting", cause, reason
    paid, more = (shown(price) for price in unit_prices) if unit_prices else (None, None)
    said = happenings.ContainerEvictionRequested(
        lease.pool,
        lease.bid_id,
        lease.lease_id,
        lease.username,
        lease.node,
        lease.stop_at,
        cause,
        reason,
        for_bid=for_bid,
        unit_price=paid,
        for_unit_price=more,
    )
    book.note(said)
    book.touch_lease(lease)


# ── ended ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def give_up_place(book: Book, lease: LeaseRecord, *, cause: Cause, reason: str) -> BidRecord:
    """End a lease that never ran, unbilled. Its bid is left without a place; whoever asks says what becomes of it."""
    return _end(book, lease, at=book.now, cause=cause, reason=reason)


def end(
    book: Book,
    lease: LeaseRecord,
    *,
    ended_at: Instant,
    cause: Cause,
    reason: str,
    exit_code: int | None = None,
) -> None:
    """End a lease and charge what it ran, and decide what becomes of its bid."""
    if lease.started_at is not None:
        ended_at = min(max(ended_at, lease.started_at), book.now)
        bills.close(book, lease, book.bid_of(lease), ended_at=ended_at)
    else:
        ended_at = book.now
    bid = _end(book, lease, at=ended_at, cause=cause, reason=reason, exit_code=exit_code)
    if cause in ("evicted", "drill"):
        bid.evictions += 1
    elif cause == "vanished":
        bid.failures += 1
    if not _goes_on(bid, cause):
        finish(
            book,
            bid,
            _state_after(cause, exit_code),
            cause=cause,
            reason=reason,
            lease_id=lease.lease_id,
            exit_code=exit_code,
        )
    elif bills.is_spent(bid):
        reason = f"Its budget of {shown(bid.budget_micros or 0)} is spent."
        finish(book, bid, "cancelled", cause="budget_spent", reason=reason, lease_id=lease.lease_id)
    else:
        was_displaced = cause in ("evicted", "drill")
        backoff = book.pool_of(bid).policy().backoff(bid.evictions) if was_displaced else None
        requeue(book, bid, cause=cause, reason=reason, backoff_seconds=backoff, queue_anew=was_displaced)
    book.touch_lease(lease)
    book.opened(lease.pool)


def _end(
    book: Book, lease: LeaseRecord, *, at: Instant, cause: Cause, reason: str, exit_code: int | None = None
) -> BidRecord:
    if lease.state == "matched":
        lease.is_clean = 1  # nobody was asked to start it
    lease.state, lease.cause, lease.reason = "ended", cause, reason
    lease.ended_at, lease.exit_code = at, exit_code
    lease.overdue_at = lease.try_at = lease.settle_at = None
    book.keep_lease(lease)
    bid = book.bid_of(lease)
    bid.lease_id = None
    return bid


def _goes_on(bid: BidRecord, cause: Cause) -> bool:
    """Tell whether a bid whose lease has ended for this cause is queued again."""
    match cause:
        case "lost":
            return True
        case "drained":
            return bid.on_eviction == "requeue"
        case "vanished":
            return bid.on_eviction == "requeue" and bid.failures < MAX_FAILURES
        case "evicted" | "drill":
            may_again = bid.max_preemptions is None or bid.evictions <= bid.max_preemptions
            return bid.on_eviction == "requeue" and may_again
    return False


def _state_after(cause: Cause, exit_code: int | None) -> OverState:
    match cause:
        case "evicted" | "drill" | "drained":
            return "evicted"
        case "stopped" | "insufficient_funds" | "budget_spent" | "expired":
            return "cancelled"
        case "ttl":
            return "completed"
        case "exited":
            return "completed" if exit_code == 0 else "failed"
    return "failed"


# ── what becomes of a bid ────────────────────────────────────────────────────────────────────────────────────────────


def requeue(
    book: Book,
    bid: BidRecord,
    *,
    cause: Cause,
    reason: str,
    backoff_seconds: int | None = None,
    queue_anew: bool = False,
) -> None:
    """Queue a bid again that has no place now, behind its equals where it is queued anew. It is cancelled if its wallet
    does not cover it."""
    refusal = None if bid.hold_id is not None else bills.hold(book, bid)
    if refusal is not None:
        _note_uncovered(book, bid, refusal)
        why = "Its wallet does not cover another run."
        finish(book, bid, "cancelled", cause="insufficient_funds", reason=why)
        return
    bid.state, bid.cause, bid.reason = "submitted", cause, reason
    bid.not_before = None if backoff_seconds is None else book.now + backoff_seconds * SECOND
    said = happenings.BidReturned(bid.pool, bid.bid_id, bid.username, cause, reason, bid.not_before)
    seq = book.note(said)
    if queue_anew:
        bid.queue_seq = seq
    book.touch_bid(bid)


def _note_uncovered(book: Book, bid: BidRecord, refusal: Refusal) -> None:
    said = happenings.InsufficientFunds(
        bid.pool,
        bid.bid_id,
        None,
        bid.username,
        available=str(refusal.extra.get("available", "")),
        needed=str(refusal.extra.get("needed", "")),
        reason="It is not queued again.",
    )
    book.note(said)


def finish(
    book: Book,
    bid: BidRecord,
    state: OverState,
    *,
    cause: Cause,
    reason: str,
    lease_id: int | None = None,
    exit_code: int | None = None,
) -> None:
    """End a bid that has no place now, and set free what is held for it."""
    bills.release(book, bid)
    bid.state, bid.cause, bid.reason = state, cause, reason
    bid.ended_at, bid.not_before = book.now, None
    charged = shown(bid.charged_micros)
    said: happenings.Happening
    if state == "evicted":
        assert lease_id is not None, "who is evicted had a place"
        said = happenings.BidEvicted(bid.pool, bid.bid_id, lease_id, bid.username, cause, reason, charged)
    elif state == "completed":
        assert lease_id is not None, "who has completed had a place"
        said = happenings.BidCompleted(bid.pool, bid.bid_id, lease_id, bid.username, cause, reason, exit_code, charged)
    elif state == "cancelled":
        said = happenings.BidCancelled(bid.pool, bid.bid_id, lease_id, bid.username, cause, reason, charged)
    else:
        said = happenings.BidFailed(bid.pool, bid.bid_id, lease_id, bid.username, cause, reason, exit_code, charged)
    book.note(said)
    book.touch_bid(bid)
