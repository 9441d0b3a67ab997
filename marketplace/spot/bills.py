"""What a lease costs, in the book: it is metered over the price's intervals, and what is owed at its end is paid.

A line of a bill grows while the price is the same: the last one is in the lease's own row, those before it are rows.
The charges of all lines add up to the lease's, always.
"""

from __future__ import annotations

from collections.abc import Iterator

from marketplace import ledger
from marketplace.foundation.clock import SECOND, Instant
from marketplace.foundation.errors import Refusal
from marketplace.spot import metering, pricing
from marketplace.spot.book import REVENUE, Book
from marketplace.spot.commands import SETTLE_SECONDS, STOP_GRACE_SECONDS
from marketplace.spot.metering import Meter
from marketplace.spot.model import Policy
from marketplace.spot.pricing import Interval
from marketplace.spot.records import BidRecord, LeaseRecord, LineRecord

REASON = "spot"


def held_seconds(policy: Policy) -> int:
    """Return for how long a bid's hold pays: its minimum runtime, and from a settlement to the end after the next."""
    return max(policy.minimum_runtime_seconds, SETTLE_SECONDS + STOP_GRACE_SECONDS)


def hold(book: Book, bid: BidRecord) -> Refusal | None:
    """Set aside what a bid has to be covered by, in place of what is. A refusal leaves all as it was."""
    amount = metering.cost(bid.max_price_micros_per_hour, seconds=held_seconds(book.pool_of(bid).policy()))
    if bid.hold_id is not None:
        if amount == bid.held_micros:
            return None
        missing = amount - (bid.held_micros or 0)
        wallet = ledger.wallet(bid.username)
        if missing > book.money.available(wallet):
            refusal = book.money.hold(wallet, REVENUE, missing, seq=book.log.next_seq, reason=REASON)
            assert isinstance(refusal, Refusal), "more than is available"
            return refusal
        release(book, bid)
    posted = book.money.hold(ledger.wallet(bid.username), REVENUE, amount, seq=book.log.next_seq, reason=REASON)
    if isinstance(posted, Refusal):
        return posted
    bid.hold_id, bid.held_micros = posted.transfer.transfer_id, amount
    return None


def release(book: Book, bid: BidRecord) -> None:
    """Set free what is held for a bid."""
    if bid.hold_id is not None:
        posted = book.money.release(bid.hold_id, seq=book.log.next_seq, reason=REASON)
        assert isinstance(posted, ledger.Posted), "a hold of ours is open, and only we end it"
        bid.hold_id = bid.held_micros = None


# ── a lease ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def begin(book: Book, lease: LeaseRecord, *, started_at: Instant) -> None:
    """Meter a lease from an instant on; first charge it when its hold would just last to the end after the next one."""
    lease.started_at = lease.metered_until = lease.line_from_at = started_at
    first = held_seconds(book.pool_of(lease).policy()) - SETTLE_SECONDS - STOP_GRACE_SECONDS
    lease.settle_at = started_at + first * SECOND


def meter(book: Book, lease: LeaseRecord, *, until: Instant) -> None:
    """Charge a lease up to an instant; nothing is paid by that."""
    book.add_lines(_meter(lease, book.prices(lease.pool), until))


def _meter(lease: LeaseRecord, prices: list[Interval], until: Instant) -> Iterator[LineRecord]:
    """Move a lease's meter, and yield the lines that the price has closed."""
    assert lease.metered_until is not None
    rule, terms = pricing.find(lease.pricing), lease.terms()
    meter = Meter(lease.metered_until, lease.charged_micros, lease.remainder)
    for price in prices:
        end = until if price.to_at is None else min(price.to_at, until)
        if end <= meter.until:
            continue
        if price.unit_price_micros != lease.line_unit_price_micros:
            yield from _close_line(lease, meter.until)
            lease.line_from_at, lease.line_unit_price_micros = meter.until, price.unit_price_micros
            lease.line_charged_micros = 0
        before = meter.charged_micros
        meter = metering.settle(meter, terms, [price], until=end, rule=rule)
        lease.line_charged_micros += meter.charged_micros - before
    lease.metered_until, lease.charged_micros, lease.remainder = meter.until, meter.charged_micros, meter.remainder


def _close_line(lease: LeaseRecord, at: Instant) -> Iterator[LineRecord]:
    price = lease.line_unit_price_micros
    if price is not None and lease.line_from_at is not None and at > lease.line_from_at:
        yield LineRecord(lease.pool, lease.lease_id, lease.line_from_at, at, price, lease.line_charged_micros)


def amend(book: Book, lease: LeaseRecord, *, max_price_micros: int) -> None:
    """Let another max price count for a lease from now on."""
    if lease.started_at is not None:
        meter(book, lease, until=book.now)
    lease.max_price_micros_per_hour = max_price_micros


def close(book: Book, lease: LeaseRecord, bid: BidRecord, *, ended_at: Instant) -> None:
    """Charge a lease that ran to its end and pay for it: from the hold first, the rest as far as the wallet goes.

    The bid's hold has ended then.
    """
    meter(book, lease, until=ended_at)
    lease.settle_at = None
    owed = lease.charged_micros - lease.paid_micros
    if owed and bid.hold_id is not None and bid.held_micros is not None:
        captured = min(owed, bid.held_micros)
        posted = book.money.capture(bid.hold_id, captured, seq=book.log.next_seq, reason=REASON)
        assert isinstance(posted, ledger.Posted), "a hold of ours is open, and only we end it"
        bid.hold_id = bid.held_micros = None
        lease.paid_micros += captured
        rest = min(owed - captured, book.money.available(ledger.wallet(lease.username)), ledger.MAX_AMOUNT)
        if rest > 0:
            _transfer(book, lease, rest)
    release(book, bid)
    bid.charged_micros += lease.charged_micros


def _transfer(book: Book, lease: LeaseRecord, amount: int) -> None:
    posted = book.money.transfer(ledger.wallet(lease.username), REVENUE, amount, seq=book.log.next_seq, reason=REASON)
    if isinstance(posted, ledger.Posted):
        lease.paid_micros += amount
