"""What is held for a bid, and what its leases cost, in the book. How it is decided stands in `charging`.

A line of a bill grows while the price is the same: the last one is in the lease's own row, those before it are rows.
The charges of all lines add up to the lease's, always.
"""

from __future__ import annotations

from collections.abc import Iterable

from marketplace import ledger
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal
from marketplace.ledger import Posted
from marketplace.spot import billing_sql, charging, happenings
from marketplace.spot.book import REVENUE, Book, shown
from marketplace.spot.charging import Tab
from marketplace.spot.metering import Line
from marketplace.spot.model import Policy
from marketplace.spot.records import BidRecord, LeaseRecord, LineRecord

REASON = "spot"

# ── what is held ─────────────────────────────────────────────────────────────────────────────────────────────────────


def held_for(pool: Policy, max_price_micros: int) -> int:
    """Return what has to be held for a bid at this price."""
    return charging.security(max_price_micros, minimum_runtime_seconds=pool.minimum_runtime_seconds)


def hold(book: Book, bid: BidRecord) -> Refusal | None:
    """Set aside what a bid has to be covered by, in place of what is. A refusal leaves all as it was."""
    amount = held_for(book.pool_of(bid).policy(), bid.max_price_micros_per_hour)
    wallet = ledger.wallet(bid.username)
    if bid.hold_id is not None:
        if amount == bid.held_micros:
            return None
        missing = amount - (bid.held_micros or 0)
        if missing > book.money.available(wallet):
            refusal = book.money.hold(wallet, REVENUE, missing, seq=book.log.next_seq, reason=REASON)
            assert isinstance(refusal, Refusal), "more than is available"
            return refusal
        release(book, bid)
    posted = book.money.hold(wallet, REVENUE, amount, seq=book.log.next_seq, reason=REASON)
    if isinstance(posted, Refusal):
        return posted
    bid.hold_id, bid.held_micros = posted.transfer.transfer_id, amount
    return None


def release(book: Book, bid: BidRecord) -> None:
    """Set free what is held for a bid."""
    if bid.hold_id is not None:
        posted = book.money.release(bid.hold_id, seq=book.log.next_seq, reason=REASON)
        assert isinstance(posted, Posted), "a hold of ours is open, and only we end it"
        bid.hold_id = bid.held_micros = None


def is_spent(bid: BidRecord) -> bool:
    """Tell whether a bid's budget does not last for another lease."""
    price = bid.max_price_micros_per_hour
    return charging.is_spent(bid.budget_micros, bid.charged_micros, max_price_micros=price)


# ── a lease ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def begin(book: Book, lease: LeaseRecord, *, started_at: Instant) -> None:
    """Let a lease be charged from an instant on."""
    bid = book.bid_of(lease)
    tab = charging.begin(
        Tab.of(lease),
        started_at=started_at,
        username=lease.username,
        held_micros=bid.held_micros or 0,
        budget_left_micros=None if bid.budget_micros is None else bid.budget_micros - bid.charged_micros,
    )
    tab.write_to(lease)


def amend(book: Book, lease: LeaseRecord, *, max_price_micros: int) -> None:
    """Let another max price count for a lease from now on. What it owes up to now is paid as far as the wallet goes:
    the hold, which may be less from now on, is no security for it."""
    prices = book.prices(lease.pool)
    tab, closed = charging.amend(Tab.of(lease), prices, max_price_micros=max_price_micros, now=book.now)
    tab.write_to(lease)
    book.add_lines(records(lease, closed))
    if lease.settle_at is not None:
        lease.settle_at = book.now  # what its budget lasts for is another time now
        _pay(book, lease, reference=f"spot/{book.log.next_seq}")


def close(book: Book, lease: LeaseRecord, bid: BidRecord, *, ended_at: Instant) -> None:
    """Charge a lease that ran to its end and pay for it: from the hold first, the rest as far as the wallet goes.

    What was charged for time after the end is given back. The bid's hold has ended then.
    """
    seq = book.log.next_seq
    _charge(book, lease, until=ended_at)
    lease.settle_at = None
    if lease.owed_micros < 0:
        _give_back(book, lease, reference=f"spot/{seq}/back")
    captured = min(lease.owed_micros, bid.held_micros or 0)
    if captured and bid.hold_id is not None:
        posted = book.money.capture(bid.hold_id, captured, seq=seq, reason=REASON, reference=f"spot/{seq}")
        assert isinstance(posted, Posted), "a hold of ours is open, and only we end it"
        bid.hold_id = bid.held_micros = None
        lease.paid_micros += captured
        _pay(book, lease, reference=f"spot/{seq}/rest")
    release(book, bid)
    bid.charged_micros += lease.charged_micros
    if lease.owed_micros > 0:
        _note_unpaid(book, lease)


def _note_unpaid(book: Book, lease: LeaseRecord) -> None:
    """Tell that something stays unpaid: whoever settled came too late, or the container did not stop in time."""
    available, owed = shown(book.money.available(ledger.wallet(lease.username))), shown(lease.owed_micros)
    reason = f"{owed} of the {shown(lease.charged_micros)} that it has cost stay unpaid."
    said = happenings.InsufficientFunds(
        lease.pool, lease.bid_id, lease.lease_id, lease.username, available=available, needed=owed, reason=reason
    )
    book.note(said)


def _charge(book: Book, lease: LeaseRecord, *, until: Instant) -> None:
    """Charge a lease up to an instant, or back to it."""
    tab = Tab.of(lease)
    if until >= tab.meter.until:
        tab, closed = charging.charge(tab, book.prices(lease.pool), until=until)
        book.add_lines(records(lease, closed))
        tab.write_to(lease)
        return
    lines = _lines_after(book, tab, until)
    tab, gone = charging.take_back(tab, lines, until=until)
    if -tab.owed_micros > book.money.available(REVENUE):
        return  # somebody has taken the revenue out: what was charged stands
    book.drop_lines(records(lease, gone))
    tab.write_to(lease)


def _lines_after(book: Book, tab: Tab, instant: Instant) -> list[Line]:
    """Return the closed lines that end after an instant; there are some where it comes before the last one."""
    if tab.line_from_at is None or instant >= tab.line_from_at:
        return []
    read = billing_sql.read_lines(book.tx, tab.pool, tab.lease_id, after=instant)
    closed_now = [
        Line(one.from_at, one.to_at, one.unit_price_micros_per_hour, one.charged_micros)
        for one in book.new_lines
        if one.lease_id == tab.lease_id and one.to_at > instant
    ]
    return [*read, *closed_now]


def records(lease: LeaseRecord | Tab, lines: Iterable[Line]) -> list[LineRecord]:
    """Return closed lines of a lease as rows."""
    return [
        LineRecord(lease.pool, lease.lease_id, one.from_at, one.to_at, one.unit_price_micros, one.charged_micros)
        for one in lines
    ]


def _pay(book: Book, lease: LeaseRecord, *, reference: str) -> None:
    """Take what a lease owes from the wallet, as far as that goes."""
    wallet = ledger.wallet(lease.username)
    amount = min(lease.owed_micros, book.money.available(wallet), ledger.MAX_AMOUNT)
    if amount <= 0:
        return
    seq = book.log.next_seq
    posted = book.money.transfer(wallet, REVENUE, amount, seq=seq, reason=REASON, reference=reference)
    assert isinstance(posted, Posted), "as much as there is can be paid"
    lease.paid_micros += amount


def _give_back(book: Book, lease: LeaseRecord, *, reference: str) -> None:
    """Give back what was paid beyond what was owed in the end."""
    amount, wallet = -lease.owed_micros, ledger.wallet(lease.username)
    seq = book.log.next_seq
    posted = book.money.transfer(REVENUE, wallet, amount, seq=seq, reason=REASON, reference=reference)
    assert isinstance(posted, Posted), "there is as much to give back"
    lease.paid_micros -= amount
