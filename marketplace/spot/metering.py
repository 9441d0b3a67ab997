"""What a lease owes: the integral of its rate over the time that it ran, exactly.

A rate is constant within an interval of the pool's price, so the integral is a sum of products of integers: of rates,
which are micro-credits an hour times the parts of a unit, by microseconds. One micro-credit is `parts * HOUR` of that.
What has been charged is the integral so far without its fraction, and the fraction is carried on. So it makes no
difference how often a lease is settled, or when: its charges add up to the integral, less than one micro-credit short.

    3.00 credits an hour for 10 s are 8 333 and a third micro-credits: charged 8 333, 8 333, 8 334, 8 333 …

A budget or a balance is watched with `lasts_until`. Who settles every `step` seconds and stops what has used its budget
up exceeds it by `overrun` at most, whatever the price does meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from marketplace.foundation.clock import HOUR, SECOND, Instant
from marketplace.spot import pricing
from marketplace.spot.pricing import Interval, Rule, Terms


class Meter(msgspec.Struct, frozen=True):
    """What a lease has been charged up to an instant, and the fraction of a micro-credit that was not.

    `remainder` is below parts * HOUR, which fits 63 bits.
    """

    until: Instant
    charged_micros: int = 0
    remainder: int = 0


class Line(msgspec.Struct, frozen=True):
    """A line of a bill. The charges of all lines add up to the lease's."""

    from_at: Instant
    to_at: Instant
    unit_price_micros: int
    charged_micros: int


def settle(meter: Meter, terms: Terms, prices: Sequence[Interval], *, until: Instant, rule: Rule) -> Meter:
    """Return the meter as it stands at `until`; what is to be charged is the difference.

    `prices` are in order and cover the time from the meter's instant on without a gap. Before that instant, nothing is
    charged again: settling up to a time that has been settled changes nothing.
    """
    return read(meter, terms, prices, until=until, rule=rule)[0]


def bill(
    terms: Terms, prices: Sequence[Interval], *, started_at: Instant, until: Instant, rule: Rule
) -> Sequence[Line]:
    """Return the lines of a lease's bill, one an interval of the price."""
    return read(Meter(started_at), terms, prices, until=until, rule=rule)[1]


def read(
    meter: Meter, terms: Terms, prices: Sequence[Interval], *, until: Instant, rule: Rule
) -> tuple[Meter, Sequence[Line]]:
    """Return the meter as it stands at `until`, as `settle` does, and the lines that lead there."""
    before, lines = meter, []
    for price, after in _read(before, terms, prices, until=until, rule=rule):
        charged = after.charged_micros - before.charged_micros
        lines.append(Line(before.until, after.until, price.unit_price_micros, charged))
        before = after
    return before, lines


def rewind(meter: Meter, terms: Terms, unit_price_micros: int, *, until: Instant, rule: Rule) -> Meter:
    """Return the meter as it stood at an earlier instant, since when the price and the terms were these."""
    assert until <= meter.until, "back, and not forth"
    over = pricing.rate(rule, terms, unit_price_micros) * (meter.until - until)
    charged, remainder = divmod(meter.charged_micros * terms.parts * HOUR + meter.remainder - over, terms.parts * HOUR)
    return Meter(until, charged, remainder)


def lasts_until(meter: Meter, rate: int, *, parts: int, credit_micros: int) -> Instant | None:
    """Return the last instant at which no more than `credit_micros` are owed beyond what has been charged.

    At a `rate` that stays; None if it is nothing. With a lease's `max_rate` it holds whatever the price does.
    """
    if rate == 0:
        return None
    return meter.until + ((max(credit_micros, 0) + 1) * parts * HOUR - 1 - meter.remainder) // rate


def cost(price_micros: int, *, seconds: int) -> int:
    """Return what a time costs at a price an hour, rounded up: to be held before a lease starts."""
    return -(-price_micros * seconds * SECOND // HOUR)


def overrun(max_price_micros: int, *, step_seconds: int) -> int:
    """Return by how much a budget is exceeded at most, if it is looked at every so many seconds."""
    return cost(max_price_micros, seconds=step_seconds)


def _read(
    meter: Meter, terms: Terms, prices: Sequence[Interval], *, until: Instant, rule: Rule
) -> Iterator[tuple[Interval, Meter]]:
    """Yield each interval that the lease ran in, up to `until`, with the meter as it stands at its end."""
    for price in prices:
        end = until if price.to_at is None else min(price.to_at, until)
        if end <= meter.until:
            continue
        assert price.from_at <= meter.until, "the price is known for all the time"
        owed = meter.remainder + pricing.rate(rule, terms, price.unit_price_micros) * (end - meter.until)
        charged, remainder = divmod(owed, terms.parts * HOUR)
        meter = Meter(end, meter.charged_micros + charged, remainder)
        yield price, meter
    assert meter.until >= until, "the price is known for all the time"
