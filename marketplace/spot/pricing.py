"""What a lease pays: pricing rules by name, and the price of a pool kept as intervals.

A rule is told what a lease is (Terms) and what a unit costs in its pool, and answers with a rate: micro-credits an hour
for the whole container, times `terms.parts`, so that it is a whole number. Whatever a rule says, nobody pays more than
the own max price (`rate` sees to it). Others add rules as entry points of the group `marketplace.spot.pricing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import metadata

import msgspec

from marketplace.foundation.clock import Instant
from marketplace.spot.model import Bid, Policy

ENTRY_POINTS = "marketplace.spot.pricing"


class Terms(msgspec.Struct, frozen=True):
    """What a lease is charged by: its size and what a unit is divided into, both in parts, and its max price."""

    size: int
    parts: int
    max_price_micros: int

    @classmethod
    def of(cls, bid: Bid, policy: Policy) -> Terms:
        return cls(policy.size(*bid.shape), policy.parts, bid.max_price_micros)

    @property
    def max_rate(self) -> int:
        return self.max_price_micros * self.parts


Rule = Callable[[Terms, int], int]
"""From terms and the price of a unit, in micro-credits an hour, to a rate."""


def uniform(terms: Terms, unit_price_micros: int) -> int:
    """Let everybody pay the pool's price for each unit."""
    return unit_price_micros * terms.size


def pay_as_bid(terms: Terms, unit_price_micros: int) -> int:  # noqa: ARG001 - what all rules are asked
    """Let everybody pay what they bid."""
    return terms.max_rate


RULES: Mapping[str, Rule] = {"uniform": uniform, "pay_as_bid": pay_as_bid}


def find(name: str) -> Rule:
    """Return the rule of this name, ours or an installed one. Raises LookupError, naming those that there are."""
    if name in RULES:
        return RULES[name]
    installed = metadata.entry_points(group=ENTRY_POINTS)
    if name in installed.names:
        rule: Rule = installed[name].load()
        return rule
    raise LookupError(f"there is no pricing rule {name!r}; there are {', '.join(sorted({*RULES, *installed.names}))}")


def rate(rule: Rule, terms: Terms, unit_price_micros: int) -> int:
    """Ask a rule, and keep it within nothing and the max price."""
    return min(max(rule(terms, unit_price_micros), 0), terms.max_rate)


# ── the price as intervals ───────────────────────────────────────────────────────────────────────────────────────────


class Interval(msgspec.Struct, frozen=True):
    """What a unit cost from one instant up to another, without it; `to_at` is None for the one that still goes on."""

    from_at: Instant
    to_at: Instant | None
    unit_price_micros: int


def change(current: Interval | None, unit_price_micros: int, *, at: Instant) -> Sequence[Interval]:
    """Return the intervals, by their beginning, that are new or other once the price is this one.

    None where it is the same. A price that lasted no time leaves no interval: its own is taken over.
    """
    if current is None:
        return [Interval(at, None, unit_price_micros)]
    if current.unit_price_micros == unit_price_micros:
        return []
    following = Interval(at, None, unit_price_micros)
    return [following] if at == current.from_at else [msgspec.structs.replace(current, to_at=at), following]
