"""What a lease owes, what of it can be paid, and who has to stop: decided purely, for one lease or one member.

A lease is charged by `metering`, cumulatively and exactly. What it owes is what it was charged less what was paid. It
is settled at least every SETTLE_SECONDS, and pays from what is available in the wallet. Its bid's hold is not touched
meanwhile: it is security for the last seconds, and large enough for a step between two settlements and the grace of a
stop. So whoever could pay at one settlement can be charged to the end, whatever the price does.

Where the wallet cannot pay, the dearest a unit and then the oldest are paid first. A lease that is not paid goes on
as long as its hold covers what it owes, and the grace besides; then it has to stop. In the same way it has to stop
when its bid's budget would not last for the grace.

    max price 3.60 an hour, which is 1 000 micro-credits a second; 60 s are held; nothing else is in the wallet
    after 40 s at that price it owes 40 000, with the grace 50 000: it goes on, and is looked at again after 9 s
    after 49 s it owes 49 000, with the grace 59 000: it has to stop, and is gone after 59 s, or at the latest 60
    at half of the price it would have gone on for about 100 s

All leases of a member are settled at the same instants, so that one transfer pays for all of them: those of its grid.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Self

import msgspec
from msgspec.structs import replace

from marketplace.foundation.clock import DAY, MINUTE, SECOND, Instant
from marketplace.spot import metering, pricing
from marketplace.spot.commands import SETTLE_SECONDS, STOP_GRACE_SECONDS
from marketplace.spot.metering import Line, Meter
from marketplace.spot.pricing import Interval, Rule, Terms

STEP = SETTLE_SECONDS * SECOND
LATEST_FIRST = MINUTE
"""A lease is settled for the first time no later than this, however much is held for it."""
LATENESS = SECOND
"""A settlement may come so late, and still nothing stays unpaid. Who could go on for no longer has to stop now."""
FOREVER = 2**62
HEARD_SECONDS = 30
"""What runs on a node is charged no further beyond its last sign of life: after an outage nobody pays, or has to stop,
for what may have ended long ago."""
LOW_SECONDS = 300
ENOUGH_SECONDS = 600
"""Whoever was told that money runs out is told again only after it lasted this long."""


@cache
def find_rule(name: str) -> Rule:
    """Return a pricing rule; where one was installed once and is no more, the usual one, so that all can be charged."""
    try:
        return pricing.find(name)
    except LookupError:
        return pricing.uniform


class Tab(msgspec.Struct, frozen=True):
    """What a lease is charged by, and how it stands: columns of its row, by their names.

    Its bill is the lines that were closed, and the last one: since `line_from_at`, at the price of a unit
    `line_unit_price_micros`, `line_charged_micros` up to `metered_until`. A line lies within one day (UTC).
    """

    pool: str
    lease_id: int
    size: int
    parts: int
    max_price_micros_per_hour: int
    pricing: str
    started_at: Instant | None = None
    metered_until: Instant | None = None
    charged_micros: int = 0
    remainder: int = 0
    paid_micros: int = 0
    line_from_at: Instant | None = None
    line_unit_price_micros: int | None = None
    line_charged_micros: int = 0
    settle_at: Instant | None = None
    is_low: int = 0

    @classmethod
    def of(cls, row: Any) -> Self:
        """Take the columns from a row, or whatever has them as attributes."""
        return cls(**{name: getattr(row, name) for name in cls.__struct_fields__})

    @property
    def terms(self) -> Terms:
        return Terms(self.size, self.parts, self.max_price_micros_per_hour)

    @property
    def meter(self) -> Meter:
        """Raises AssertionError for a lease that never ran."""
        assert self.metered_until is not None, "a lease that runs has a meter"
        return Meter(self.metered_until, self.charged_micros, self.remainder)

    @property
    def owed_micros(self) -> int:
        return self.charged_micros - self.paid_micros

    @property
    def worth(self) -> int:
        """Return what it would pay at most for a unit, as an integer that compares as the fraction does."""
        return (self.max_price_micros_per_hour * self.parts << 120) // self.size

    @property
    def last_line(self) -> Line | None:
        """Return the line that still grows, None where it has no length yet."""
        if self.line_from_at is None or self.metered_until is None or self.metered_until == self.line_from_at:
            return None
        assert self.line_unit_price_micros is not None, "time that was charged had a price"
        return Line(self.line_from_at, self.metered_until, self.line_unit_price_micros, self.line_charged_micros)

    def write_to(self, record: Any) -> None:
        """Put all of it into a record's fields of the same names."""
        for name in self.__struct_fields__:
            setattr(record, name, getattr(self, name))


# ── what is held ─────────────────────────────────────────────────────────────────────────────────────────────────────


def security(max_price_micros: int, *, minimum_runtime_seconds: int) -> int:
    """Return what has to be held for a bid as long as it is open: what its minimum runtime costs at most.

    Where that is short, what it costs from one settlement to the end after the next.
    """
    seconds = max(minimum_runtime_seconds, SETTLE_SECONDS + STOP_GRACE_SECONDS)
    return max(metering.cost(max_price_micros, seconds=seconds), 1)


def is_spent(budget_micros: int | None, charged_micros: int, *, max_price_micros: int) -> bool:
    """Tell whether so much of a budget is spent that no lease may run: the grace of its stop would exceed it."""
    grace = metering.cost(max_price_micros, seconds=STOP_GRACE_SECONDS)
    return budget_micros is not None and budget_micros - charged_micros <= grace


# ── a lease's bill ───────────────────────────────────────────────────────────────────────────────────────────────────


def begin(
    tab: Tab, *, started_at: Instant, username: str, held_micros: int, budget_left_micros: int | None = None
) -> Tab:
    """Let a lease be charged from this instant on."""
    tab = replace(tab, started_at=started_at, metered_until=started_at, line_from_at=started_at)
    secured, budget = _lasts_until(tab, held_micros) - STEP, _budget_lasts_until(tab, budget_left_micros)
    look_at = min(secured - LATENESS, budget - LATENESS, started_at + LATEST_FIRST)
    on_grid = next_on_grid(username, look_at) - STEP
    return replace(tab, settle_at=on_grid if on_grid > started_at else max(look_at, started_at))


def charged_until(tab: Tab, *, heartbeat_at: Instant | None, now: Instant) -> Instant:
    """Return up to when a settlement charges a lease, given when its node was last heard of."""
    heard = now if heartbeat_at is None else heartbeat_at + HEARD_SECONDS * SECOND
    return max(tab.meter.until, min(heard, now))


def charge(tab: Tab, prices: Sequence[Interval], *, until: Instant) -> tuple[Tab, Sequence[Line]]:
    """Charge a lease up to an instant; return it with the lines that are closed by that.

    A line is closed where the price changes and where a day ends. What is charged does not depend on either.
    """
    closed: list[Line] = []
    since = tab.meter.until
    while since // DAY < until // DAY:  # rarely
        since = (since // DAY + 1) * DAY
        tab = _charge_within_a_day(tab, prices, until=since, closed=closed)
        tab = _close_line(tab, closed)
    return _charge_within_a_day(tab, prices, until=until, closed=closed), closed


def _charge_within_a_day(tab: Tab, prices: Sequence[Interval], *, until: Instant, closed: list[Line]) -> Tab:
    meter, lines = metering.read(tab.meter, tab.terms, prices, until=until, rule=find_rule(tab.pricing))
    if not lines:
        return tab
    from_at, charged = tab.line_from_at, tab.line_charged_micros
    assert from_at is not None, "a lease that runs has a line"
    price = tab.line_unit_price_micros
    for line in lines:
        if price is not None and line.unit_price_micros != price:
            if line.from_at > from_at:
                closed.append(Line(from_at, line.from_at, price, charged))
            from_at, charged = line.from_at, 0
        price = line.unit_price_micros
        charged += line.charged_micros
    return replace(
        tab,
        metered_until=meter.until,
        charged_micros=meter.charged_micros,
        remainder=meter.remainder,
        line_from_at=from_at,
        line_unit_price_micros=price,
        line_charged_micros=charged,
    )


def amend(tab: Tab, prices: Sequence[Interval], *, max_price_micros: int, now: Instant) -> tuple[Tab, Sequence[Line]]:
    """Let another max price count from now on. What it was before counts up to now, and has lines of its own."""
    if tab.metered_until is None:
        return replace(tab, max_price_micros_per_hour=max_price_micros), ()
    tab, lines = charge(tab, prices, until=now)
    closed = [*lines]
    tab = _close_line(tab, closed)
    return replace(tab, max_price_micros_per_hour=max_price_micros), closed


def take_back(tab: Tab, lines: Sequence[Line], *, until: Instant) -> tuple[Tab, Sequence[Line]]:
    """Take back what was charged for the time after an end that came to be known later; the lease is not metered on.

    `lines` are the closed ones that end after that, in order; what is returned beside the tab are those that are left
    out of its bill. The last line is divided exactly; one that was closed by its time, which may be off by less than
    one micro-credit, since it may be that other terms counted then.
    """
    assert tab.started_at is not None, "what never ran was not charged"
    assert tab.started_at <= until <= tab.meter.until, "an end since the start, of which time was charged after it"
    out = [*lines]
    while out and tab.line_from_at is not None and until < tab.line_from_at:
        line, charged = out.pop(), tab.charged_micros - tab.line_charged_micros
        kept = line.charged_micros * max(until - line.from_at, 0) // (line.to_at - line.from_at)
        tab = replace(
            tab,
            metered_until=max(until, line.from_at),
            charged_micros=charged - line.charged_micros + kept,
            remainder=0,
            line_from_at=line.from_at,
            line_unit_price_micros=line.unit_price_micros,
            line_charged_micros=kept,
        )
    assert tab.line_from_at is not None, "what was charged has a line"
    assert until >= tab.line_from_at, "all lines that end after it were given"
    if (last := tab.last_line) and until < last.to_at:
        rule = find_rule(tab.pricing)
        meter = metering.rewind(tab.meter, tab.terms, last.unit_price_micros, until=until, rule=rule)
        tab = replace(
            tab,
            metered_until=until,
            charged_micros=meter.charged_micros,
            remainder=meter.remainder,
            line_charged_micros=tab.line_charged_micros - (tab.charged_micros - meter.charged_micros),
        )
    return tab, lines[len(out) :]


def _close_line(tab: Tab, closed: list[Line]) -> Tab:
    if (line := tab.last_line) is None:
        return tab
    closed.append(line)
    return replace(tab, line_from_at=line.to_at, line_unit_price_micros=None, line_charged_micros=0)


# ── a member's settlement ────────────────────────────────────────────────────────────────────────────────────────────


class Running(msgspec.Struct, frozen=True):
    """A lease that runs, charged up to now, with what of its bid counts for its money."""

    tab: Tab
    held_micros: int
    budget_left_micros: int | None = None
    """Of what it was charged nothing is taken off yet; None: no budget."""
    stop_at: Instant | None = None
    """When it is killed, where it was told to go."""


class Settled(msgspec.Struct, frozen=True):
    """What becomes of a lease: `tab` says what is paid and when it is looked at again; `cause` why it has to stop."""

    tab: Tab
    cause: Literal["insufficient_funds", "budget_spent"] | None = None


class Settlement(msgspec.Struct, frozen=True):
    """What becomes of the leases of a member, in the order given; and of the money.

    `seconds_left` is how long what is left in the wallet lasts, where the member is to be told that it is not long.
    """

    leases: Sequence[Settled]
    paid_micros: int
    available_micros: int
    seconds_left: int | None = None


def settle(
    username: str, running: Sequence[Running], *, available_micros: int, micros_per_hour: int, now: Instant
) -> Settlement:
    """Decide what a member's leases pay, which of them have to stop, and when to look at the others again.

    `micros_per_hour` is what all that the member runs costs now, what is not settled with these included; 0 where the
    money lasts for long anyway.
    """
    paid = _pay(running, available_micros)
    left = available_micros - sum(paid)
    step = next_on_grid(username, now)
    leases = [_judge(each, amount, now=now, step=step) for each, amount in zip(running, paid, strict=True)]
    seconds_left = left * 3_600 // micros_per_hour if micros_per_hour > 0 else ENOUGH_SECONDS + 1
    was_low = any(each.tab.is_low for each in running)
    is_low = seconds_left < LOW_SECONDS or (was_low and seconds_left <= ENOUGH_SECONDS)
    leases = [
        each if each.tab.is_low == is_low else replace(each, tab=replace(each.tab, is_low=int(is_low)))
        for each in leases
    ]
    return Settlement(leases, sum(paid), left, seconds_left if is_low and not was_low else None)


def next_on_grid(username: str, instant: Instant) -> Instant:
    """Return the first of a member's instants after this one. Those of all members are spread evenly."""
    return instant + STEP - (instant - zlib.crc32(username.encode()) % STEP) % STEP


def may_be_low(left_micros: int, most_per_hour: int) -> bool:
    """Tell whether what is left may last for so short a time, at the max prices of all, that a member is told of it."""
    return left_micros * 3_600 <= ENOUGH_SECONDS * most_per_hour


def _pay(running: Sequence[Running], available_micros: int) -> list[int]:
    """Return what each lease pays: all that it owes, or of the wallet what is left, dearest and oldest first."""
    owed = [each.tab.owed_micros for each in running]
    if sum(owed) <= available_micros:
        return owed
    paid, left = [0] * len(owed), max(available_micros, 0)
    for place in sorted(range(len(owed)), key=lambda place: _standing(running[place].tab)):
        paid[place] = min(owed[place], left)
        left -= paid[place]
    return paid


def _standing(tab: Tab) -> tuple[int, int]:
    """Order leases of a member, those that stay longest first."""
    return -tab.worth, tab.lease_id


def _judge(lease: Running, paid_micros: int, *, now: Instant, step: Instant) -> Settled:
    """Let a lease pay, and decide whether it goes on, and how long without another look."""
    tab = replace(lease.tab, paid_micros=lease.tab.paid_micros + paid_micros)
    if lease.stop_at is not None and lease.stop_at <= now + STOP_GRACE_SECONDS * SECOND:
        return Settled(replace(tab, settle_at=step))
    budget_left = None if lease.budget_left_micros is None else lease.budget_left_micros - tab.charged_micros
    budget, hold = _budget_lasts_until(tab, budget_left), _hold_lasts_until(tab, lease.held_micros)
    if min(budget, hold) <= now + LATENESS:
        return Settled(replace(tab, settle_at=step), "budget_spent" if budget <= hold else "insufficient_funds")
    return Settled(replace(tab, settle_at=min(step, budget - LATENESS, hold - LATENESS)))


# Up to when a lease may go on at its max price, so that the grace of its stop is covered besides.


def _hold_lasts_until(tab: Tab, held_micros: int) -> Instant:
    """What is owed now could not be paid, and waits for the end; where nothing is, the wallet pays the next time."""
    return _lasts_until(tab, held_micros - tab.owed_micros) if tab.owed_micros > 0 else FOREVER


def _budget_lasts_until(tab: Tab, left_micros: int | None) -> Instant:
    return FOREVER if left_micros is None else _lasts_until(tab, left_micros)


def _lasts_until(tab: Tab, micros: int) -> Instant:
    credit = micros - metering.cost(tab.max_price_micros_per_hour, seconds=STOP_GRACE_SECONDS)
    if credit < 0:
        return tab.meter.until
    until = metering.lasts_until(tab.meter, tab.terms.max_rate, parts=tab.parts, credit_micros=credit)
    return FOREVER if until is None else until
