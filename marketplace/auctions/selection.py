"""The rule of selection: the most output first, then the least input, then the earliest bid.

A bid promises `min_output` = max_input × conversion_rate, computed exactly and rounded down to the output's unit. It is
valid at an instant if its time is not over, its solver is not blocked, it asks for no more than the budget and promises
no less than the limit, and the money that it needs is there. Of the valid bids the first one wins; the others stand
behind it in rank, and take over in that order if the winner fails.

    an order for hours, with a budget of 10 credits and a limit of 20 hours; three solvers bid
    s1   10 credits at 2.19 hours each    21 hours (of 21.9)
    s2    9 credits at 2.4  hours each    21 hours (of 21.6)
    s3    5 credits at 4    hours each    20 hours, exactly the limit
    s2 wins: as many hours as s1 for less; s1 is second, s3 third

Whoever has the bids can compute it again: nothing but the bids, the instant and the list of the blocked decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from marketplace.auctions.model import Order, Reason, SolverBid
from marketplace.foundation.clock import Instant

_RATE = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,18}))?", re.ASCII)

Judge = Callable[[SolverBid], Reason | None]
"""Says why a bid is not valid."""


class Selection(NamedTuple):
    """The valid bids, the best one first, and those that were passed over, in the same order."""

    ranked: list[SolverBid]
    passed: list[tuple[SolverBid, Reason]]


class Rate(NamedTuple):
    """A conversion rate, exactly: `digits` / 10^`decimals`."""

    digits: int
    decimals: int


def parse_rate(text: str) -> Rate:
    """Read a decimal number above 0. Raises ValueError for anything else, an exponent, a sign or `NaN` included."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("a conversion rate is a decimal number of at most 12 digits before and 18 after the point")
    fraction = match[2] or ""
    rate = Rate(int(match[1] + fraction), len(fraction))
    if rate.digits == 0:
        raise ValueError("a conversion rate is above 0")
    return rate


def output_of(max_input: int, rate: Rate, *, input_decimals: int, output_decimals: int) -> int:
    """Return the units of output that a rate makes of units of input, rounded down.

    A rate is between whole assets: 1 credit of 1 000 000 units at 2.5 hours each is 2 hours.
    """
    units = max_input * rate.digits * 10**output_decimals
    return int(units // 10 ** (rate.decimals + input_decimals))


def precedence(bid: SolverBid) -> tuple[int, int, int]:
    """Return what bids are sorted by: the smaller goes first."""
    return -bid.min_output, bid.max_input, bid.bid_id


def judge_terms(order: Order, bid: SolverBid, *, now: Instant) -> Reason | None:
    """Say what is wrong with what a bid says, as far as it and its order tell."""
    if bid.valid_till <= now:
        return "expired"
    if order.input_budget is not None and bid.max_input > order.input_budget:
        return "over_budget"
    if bid.min_output < max(order.limit_output or 0, 1):
        return "below_limit"
    return None


def select(bids: Iterable[SolverBid], judge: Judge) -> Selection:
    """Judge the bids and rank those that are valid; the first one wins."""
    selection = Selection([], [])
    for bid in sorted(bids, key=precedence):
        reason = judge(bid)
        if reason is None:
            selection.ranked.append(bid)
        else:
            selection.passed.append((bid, reason))
    return selection


def find_successor(
    ranking: Iterable[int], bids: Iterable[SolverBid], judge: Judge, *, failed: int
) -> tuple[SolverBid | None, list[tuple[SolverBid, Reason]]]:
    """Return the next bid of a ranking after the failed one that is still there and valid, and those passed over.

    A bid whose solver has sent a newer one is not there any more: the newer one counts from the next round on.
    """
    there = {bid.bid_id: bid for bid in bids if bid.state == "live"}
    order = list(ranking)
    passed: list[tuple[SolverBid, Reason]] = []
    for bid_id in order[order.index(failed) + 1 :]:
        bid = there.get(bid_id)
        if bid is None:
            continue
        reason = judge(bid)
        if reason is None:
            return bid, passed
        passed.append((bid, reason))
    return None, passed
