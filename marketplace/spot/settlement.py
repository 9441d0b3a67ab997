"""What the lane runs on a clock: running leases are charged, and who can pay no longer has to stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from marketplace import ledger
from marketplace.database import Log
from marketplace.foundation.clock import Instant
from marketplace.spot import billing_sql, bills, charging, happenings, leaving, sql
from marketplace.spot.billing_sql import Due
from marketplace.spot.book import REVENUE, Book, Wanted, shown
from marketplace.spot.charging import Running, Settled, Settlement, Tab
from marketplace.spot.commands import Settle
from marketplace.spot.pricing import Interval

SPENT = "What is left of its budget lasts no longer than it takes to stop."


def apply_settlements(
    tx: sa.Connection, log: Log, commands: Sequence[Settle], /, *, now: Instant, starting_credits: int
) -> list[int]:
    """Charge the leases whose time has come, the longest overdue first; each member pays for its own in one transfer.

    Where a member's money does not pay for them, all that the member runs is charged, so that the cheapest a unit has
    to stop first, wherever it stands. Leases are read by what is due, prices once a pool; all is written once.
    """
    due = billing_sql.read_due(tx, now=now, limit=sum(command.limit for command in commands))
    if due:
        usernames = {lease.username for lease in due}
        book = Book(tx, log, Wanted(usernames=usernames), now=now, starting_credits=starting_credits)
        settling = _Settling(book)
        settling.charge(due)
        settling.charge_others_of_short_members()
        settling.decide()
        settling.stop()
        book.close()
        log.write_later([billing_sql.set_metered(settling.metered)])
        log.is_dirty = True  # where nothing was owed there is no entry
    return [len(due), *(0 for _ in commands[1:])]


class _Charged(NamedTuple):
    """A lease that was due, and its tab as it stands now."""

    due: Due
    tab: Tab


class _Settling:
    """One transaction's settlement, by member."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._prices: dict[str, list[Interval]] = {}
        self._by_member: dict[str, list[_Charged]] = {}
        self._short: dict[str, tuple[int, int]] = {}
        """Members whose money does not pay for what they owe: what is available, and how much that is."""
        self._stopped: list[tuple[Settled, Due]] = []
        self.metered: list[Tab] = []
        """Leases that go on, as they stand after it."""

    # ── what is charged ──────────────────────────────────────────────────────────────────────────────────────────────

    def charge(self, due: Iterable[Due]) -> None:
        """Charge leases up to now, or as far as is known that they run."""
        due = list(due)
        self._read_prices(due)
        for lease in due:
            until = charging.charged_until(lease.tab, heartbeat_at=lease.heartbeat_at, now=self._book.now)
            tab, closed = charging.charge(lease.tab, self._prices[lease.tab.pool], until=until)
            self._book.add_lines(bills.records(tab, closed))
            self._by_member.setdefault(lease.username, []).append(_Charged(lease, tab))

    def _read_prices(self, due: Iterable[Due]) -> None:
        since: dict[str, Instant] = {}
        for lease in due:
            pool, until = lease.tab.pool, lease.tab.meter.until
            since[pool] = min(until, since.get(pool, until))
        for pool, instant in since.items():
            known = self._prices.get(pool)
            if not known or known[0].from_at > instant:
                self._prices[pool] = sql.read_prices(self._book.tx, pool, since=instant)

    def charge_others_of_short_members(self) -> None:
        """Charge everything of those whose money does not pay for what is due, where they run more than that."""
        for username, charged in [*self._by_member.items()]:
            owed, available = sum(each.tab.owed_micros for each in charged), self._available(username)
            if owed > available:
                self.charge(billing_sql.read_others(self._book.tx, username, now=self._book.now))
                owed = sum(each.tab.owed_micros for each in charged)
                self._short[username] = (available, owed)

    def _available(self, username: str) -> int:
        return min(self._book.money.available(ledger.wallet(username)), ledger.MAX_AMOUNT)

    # ── what is decided ──────────────────────────────────────────────────────────────────────────────────────────────

    def decide(self) -> None:
        """Decide for each member what is paid, and which leases have to stop."""
        per_hour = self._read_per_hour()
        for username, charged in self._by_member.items():
            settlement = charging.settle(
                username,
                [_running(each) for each in charged],
                available_micros=self._available(username),
                micros_per_hour=per_hour.get(username, 0),
                now=self._book.now,
            )
            self._pay(username, charged, settlement)
            for each, settled in zip(charged, settlement.leases, strict=True):
                if settled.cause:
                    self._stopped.append((settled, each.due))
                else:
                    self.metered.append(settled.tab)

    def _read_per_hour(self) -> dict[str, int]:
        """Return what all that a member runs costs an hour, for those whose money may not last for long."""
        most = billing_sql.read_most_per_hour(self._book.tx, self._by_member)
        low = [
            username
            for username, charged in self._by_member.items()
            if charging.may_be_low(
                self._available(username) - sum(each.tab.owed_micros for each in charged), most[username]
            )
        ]
        return billing_sql.read_per_hour(self._book.tx, low)

    def _pay(self, username: str, charged: Sequence[_Charged], settlement: Settlement) -> None:
        """Take what the member's leases pay together, and tell if there is not much left."""
        amount, book = settlement.paid_micros, self._book
        if amount:
            seq, wallet = book.log.next_seq, ledger.wallet(username)
            done = book.money.transfer(wallet, REVENUE, amount, seq=seq, reason=bills.REASON, reference=f"spot/{seq}")
            assert isinstance(done, ledger.Posted), "no more is paid than there is"
            pairs = ((before.tab, after.tab) for before, after in zip(charged, settlement.leases, strict=True))
            charges = {
                str(after.lease_id): shown(after.paid_micros - before.paid_micros)
                for before, after in pairs
                if after.paid_micros > before.paid_micros
            }
            book.note(happenings.LeasesCharged(username, shown(amount), charges))
        if settlement.seconds_left is not None:
            low = happenings.FundsLow(username, shown(settlement.available_micros), settlement.seconds_left)
            book.note(low)

    # ── who has to stop ──────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Tell leases to stop whose bill or budget allows no more."""
        if not self._stopped:
            return
        of_stopped = Wanted(leases={settled.tab.lease_id for settled, _ in self._stopped})
        book = Book(self._book.tx, self._book.log, of_stopped, now=self._book.now, starting_credits=0)
        for settled, due in self._stopped:
            lease = book.leases[due.tab.lease_id]
            settled.tab.write_to(lease)
            assert settled.cause, "a lease stops for a cause"
            reason = SPENT
            if settled.cause == "insufficient_funds":
                available, owed = (shown(amount) for amount in self._short[lease.username])
                reason = f"{lease.username!r} had {available} available, and owed {owed}."
                said = happenings.InsufficientFunds(
                    lease.pool, lease.bid_id, lease.lease_id, lease.username, available, owed, reason
                )
                book.note(said)
            leaving.stop(book, lease, cause=settled.cause, reason=reason)
        book.close()


def _running(charged: _Charged) -> Running:
    due = charged.due
    return Running(charged.tab, due.held_micros, due.budget_left_micros, due.stop_at)
