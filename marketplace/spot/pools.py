"""Pools opened and set."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from marketplace.foundation.errors import Refusal
from marketplace.spot import errors, happenings, pricing
from marketplace.spot.book import Book, shown
from marketplace.spot.commands import MAX_PRICE_MICROS, OpenPool, Pool, SetPool
from marketplace.spot.model import Policy
from marketplace.spot.records import PoolRecord

LONGEST_NOTICE_SECONDS = 3_600
DAY_SECONDS = 86_400
_OF_THE_POLICY = (
    "reserve_micros",
    "margin_basis_points",
    "minimum_runtime_seconds",
    "notice_seconds",
    "notice_bounds",
    "backoff_seconds",
    "max_backoff_seconds",
    "pricing",
)
_OF_THE_POOL = ("images", "needs_digest", "max_cpu_millis", "max_memory_mib", "network")


def open_pool(book: Book, command: OpenPool) -> Pool | Refusal:
    pool = command.pool
    if pool.pool in book.pools:
        return errors.PoolExists(pool.pool)
    if refusal := _check(pool.policy):
        return refusal
    record = PoolRecord.of(pool, opened_at=book.now)
    policy = pool.policy
    said = happenings.PoolOpened(
        pool.pool, policy.unit_cpu_millis, policy.unit_memory_mib, shown(policy.reserve_micros), policy.pricing
    )
    book.note(said)
    book.touch_pool(record)
    book.set_price(pool.pool, policy.reserve_micros)
    return record.told()


def set_pool(book: Book, command: SetPool) -> Pool | Refusal:
    record = book.pools.get(command.pool)
    if record is None:
        return errors.UnknownPool(command.pool)
    before = record.told()
    try:
        policy = msgspec.structs.replace(before.policy, **_given(command, _OF_THE_POLICY))
    except ValueError as error:
        return errors.BadPolicy(str(error))
    if refusal := _check(policy):
        return refusal
    after = msgspec.structs.replace(before, policy=policy, **_given(command, _OF_THE_POOL))
    if after == before:
        return before
    changed = PoolRecord.of(after, opened_at=record.opened_at)
    changed.opened_seq = record.opened_seq
    book.note(happenings.PoolSet(command.pool, shown(policy.reserve_micros), policy.pricing))
    book.touch_pool(changed)
    book.took(command.pool)
    return after


def _given(command: SetPool, names: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name in names if (value := getattr(command, name)) is not UNSET}


def _check(policy: Policy) -> Refusal | None:
    """Tell what the tables would refuse, or what could not be charged by."""
    try:
        pricing.find(policy.pricing)
    except LookupError as error:
        return errors.UnknownPricing(str(error.args[0]))
    shortest, longest = policy.notice_bounds
    if not 0 <= shortest <= policy.notice_seconds <= longest <= LONGEST_NOTICE_SECONDS:
        clause = f"the notice is within its bounds, and these within 0 and {LONGEST_NOTICE_SECONDS} seconds"
        return errors.BadPolicy(clause, field="notice_seconds")
    if not 1 <= policy.backoff_seconds <= policy.max_backoff_seconds <= DAY_SECONDS:
        clause = f"backoffs are at least 1 second, and the longest, at most {DAY_SECONDS}, is not below the first"
        return errors.BadPolicy(clause, field="backoff_seconds")
    if not 0 <= policy.minimum_runtime_seconds <= DAY_SECONDS:
        return errors.BadPolicy(f"a minimum runtime is up to {DAY_SECONDS} seconds", field="minimum_runtime_seconds")
    if not 0 <= policy.reserve_micros <= MAX_PRICE_MICROS:
        return errors.BadPolicy(f"a reserve price is up to {shown(MAX_PRICE_MICROS)}", field="reserve_price_per_hour")
    return None
