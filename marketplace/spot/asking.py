"""What a bid would get, or why it waits: the answers of a pool's state in words that callers understand."""

from __future__ import annotations

from typing import NamedTuple

from marketplace.foundation import clock
from marketplace.spot import bids, bills, pricing
from marketplace.spot.boards import OpenBid
from marketplace.spot.commands import MAX_PRICE_MICROS, Container
from marketplace.spot.listings import BidRow
from marketplace.spot.model import Bid, Policy
from marketplace.spot.pricing import Terms
from marketplace.spot.projection import Projection
from marketplace.spot.records import PoolRecord
from marketplace.wire import spot as wire

UNSEEN = 0
"""The id of a bid that there is not."""
SHAPES = (1, 2, 4, 8)
"""Units of the containers for which a price is told."""


Indicative = list[tuple[int, int, int | None]]
"""Cpu, memory and the least price to run now of each."""


class Waiting(NamedTuple):
    """A waiting bid's place in the queue, why it waits, and the least price for which it would run now."""

    rank: int | None
    because: str | None
    least_micros: int | None


class Answer(NamedTuple):
    """What a bid would get. The cost is by the hour at the present price, with the least price where it named none."""

    runs_now: bool
    unit_price_micros: int
    least_micros: int | None
    would_evict: tuple[int, ...]
    price_micros: int | None
    """What it bids: its own price where that is enough, else the least one."""
    cost_micros: int
    held_micros: int | None
    because: str | None


NOT_WAITING = Waiting(None, None, None)


def waiting(found: BidRow | OpenBid, seen: Projection) -> Waiting:
    """Answer for a bid that is there."""
    if found.state != "submitted":
        return NOT_WAITING
    standing = seen.standing(found.bid_id)
    if standing is None:
        at = clock.to_datetime(found.not_before or found.submitted_at).strftime("%H:%M:%S")
        return Waiting(None, f"It was displaced, and is queued again at {at} UTC.", None)
    least = standing.min_price_micros
    may_run = least is not None and least <= found.max_price_micros_per_hour
    return Waiting(standing.rank, "It is about to be placed." if may_run else standing.reason.text, least)


def preview(seen: Projection, container: Container, price_micros: int | None) -> Answer:
    """Answer for a bid that there is not: for its price, or where it has none or one too low, for the least.

    Raises ImageNotAllowed and TooLarge, and BelowReserve for a price that is, as placing it would.
    """
    pool = seen.settings
    assert pool is not None, "it has caught up"
    record = PoolRecord.of(pool, opened_at=pool.opened_at)
    if refusal := bids.check(record, container, MAX_PRICE_MICROS if price_micros is None else price_micros):
        raise refusal
    asked = seen.preview(container, price_micros or 1)
    least = asked.min_price_to_run_micros
    runs = asked.runs_now and price_micros is not None
    because = None
    if price_micros is not None and not runs:
        because = seen.state.reason(_meant(container, price_micros)).text
    elif least is None:
        because = seen.state.reason(_meant(container, MAX_PRICE_MICROS)).text
    enough = price_micros if runs else least
    shown = enough or price_micros
    return Answer(
        runs,
        asked.price_micros,
        least,
        seen.preview(container, shown or 1).would_evict,
        enough,
        _cost(pool.policy, _meant(container, shown or MAX_PRICE_MICROS), asked.price_micros),
        None if shown is None else bills.held_for(pool.policy, shown),
        because,
    )


def indicative(seen: Projection) -> Indicative:
    """Return cpu, memory and the least price to run now of containers of a few units."""
    policy = seen.state.policy
    found = []
    for units in SHAPES:
        cpu, memory = units * policy.unit_cpu_millis, units * policy.unit_memory_mib
        one = Container(image="", cpu_millis=cpu, memory_mib=memory)
        found.append((cpu, memory, seen.preview(one, 1).min_price_to_run_micros))
    return found


def ready_to_send(draft: wire.BidDraft, answer: Answer) -> wire.NewSpotBid | None:
    """Return a bid that would run now, None where none would or where no image was named."""
    if draft.image is None or answer.price_micros is None:
        return None
    given = {name: getattr(draft, name) for name in draft.__struct_fields__}
    whole, fraction = divmod(answer.price_micros, 1_000_000)
    price = f"{whole}.{fraction:06d}".rstrip("0").rstrip(".")
    return wire.NewSpotBid(**(given | {"max_price_per_hour": price, "max_price_per_minute": None}))


def _meant(container: Container, price_micros: int) -> Bid:
    return Bid(UNSEEN, UNSEEN, container.cpu_millis, container.memory_mib, price_micros)


def _cost(policy: Policy, bid: Bid, unit_price_micros: int) -> int:
    """Return what an hour costs at a price of a unit, a fraction left out."""
    terms = Terms.of(bid, policy)
    return pricing.rate(pricing.find(policy.pricing), terms, unit_price_micros) // terms.parts
