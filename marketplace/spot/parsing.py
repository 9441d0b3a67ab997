"""What comes over the wire, as commands: decimal text as micro-credits, and what no single field can say checked."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import msgspec
from msgspec import UNSET, UnsetType

from marketplace.foundation import errors, money
from marketplace.http import params
from marketplace.spot import commands, compute
from marketplace.spot.commands import AddNode, Container, Pool, SetPool, Wish
from marketplace.spot.errors import BadPolicy, UnknownBackend
from marketplace.spot.model import Policy
from marketplace.spot.shapes import DECIMALS
from marketplace.wire import spot as wire
from marketplace.wire import spot_pools

MINUTES = 60


def micros(text: str) -> int:
    """Read credits; the text is within its bounds already."""
    return money.parse_amount(text, decimals=DECIMALS)


def price(given: wire.BidDraft | wire.PriceChange) -> int | None:
    """Return the max price in micro-credits an hour, None where none is named. Raises Invalid."""
    hour, minute = given.max_price_per_hour, given.max_price_per_minute
    if hour is not None and minute is not None:
        raise errors.Invalid("Say the max price by the hour or by the minute, not both.", field="max_price_per_minute")
    if minute is not None:
        return _within(micros(minute) * MINUTES, field="max_price_per_minute")
    return None if hour is None else _within(micros(hour), field="max_price_per_hour")


def needed_price(given: wire.BidDraft | wire.PriceChange) -> int:
    """Do the same where there has to be one. Raises Invalid."""
    found = price(given)
    if found is None:
        raise errors.Invalid(
            "Say the max price: max_price_per_hour or max_price_per_minute.", field="max_price_per_hour"
        )
    return found


def container(given: wire.BidDraft) -> Container:
    """Raises Invalid."""
    if given.command and not given.command[0]:
        raise errors.Invalid("A command begins with a program.", field="command[0]")
    _check_bytes("command", given.command)
    _check_bytes("environment", [*given.environment, *given.environment.values()])
    return Container(
        image=given.image or "",
        cpu_millis=given.cpu_millis,
        memory_mib=given.memory_mib,
        command=tuple(given.command),
        environment=given.environment,
    )


def wish(given: wire.BidDraft, *, max_price_micros: int) -> Wish:
    """Raises Invalid."""
    budget = None if given.budget is None else micros(given.budget)
    if budget == 0:
        raise errors.Invalid("A budget is more than 0; leave it out for none.", field="budget")
    return Wish(
        max_price_micros=max_price_micros,
        ttl_seconds=given.ttl_seconds,
        on_eviction=given.on_eviction,
        expires_at=params.expiry(given.expires_at, field="expires_at"),
        budget_micros=budget,
        max_preemptions=given.max_preemptions,
        notice_seconds=given.notice_seconds,
    )


def pool(given: spot_pools.NewPool) -> Pool:
    """Raises BadPolicy where the unit or the notices cannot be."""
    bounds = (given.shortest_notice_seconds, given.longest_notice_seconds)
    try:
        policy = Policy(
            given.unit_cpu_millis,
            given.unit_memory_mib,
            micros(given.reserve_price_per_hour),
            given.margin_basis_points,
            given.minimum_runtime_seconds,
            given.notice_seconds,
            bounds,
            given.backoff_seconds,
            given.max_backoff_seconds,
            given.pricing,
        )
    except ValueError as error:
        raise BadPolicy(str(error)) from None
    most = (given.max_cpu_millis, given.max_memory_mib)
    return Pool(given.pool, policy, tuple(given.images), given.needs_digest, *most, given.network)


def pool_change(name: str, given: spot_pools.PoolChange, *, before: Pool) -> SetPool:
    """Return what is to change; of the bounds of the notice the one that is left out stays as it was."""
    notice_bounds: tuple[int, int] | UnsetType = UNSET
    named = (given.shortest_notice_seconds, given.longest_notice_seconds)
    if any(one is not UNSET for one in named):
        shortest, longest = (
            was if one is UNSET else one for one, was in zip(named, before.policy.notice_bounds, strict=True)
        )
        notice_bounds = (shortest, longest)
    return SetPool(
        pool=name,
        reserve_micros=(UNSET if given.reserve_price_per_hour is UNSET else micros(given.reserve_price_per_hour)),
        margin_basis_points=given.margin_basis_points,
        minimum_runtime_seconds=given.minimum_runtime_seconds,
        notice_seconds=given.notice_seconds,
        notice_bounds=notice_bounds,
        backoff_seconds=given.backoff_seconds,
        max_backoff_seconds=given.max_backoff_seconds,
        pricing=given.pricing,
        images=UNSET if given.images is UNSET else tuple(given.images),
        needs_digest=given.needs_digest,
        max_cpu_millis=given.max_cpu_millis,
        max_memory_mib=given.max_memory_mib,
        network=given.network,
    )


def node(pool: str, given: spot_pools.NewNode, *, provider: str) -> AddNode:
    """Make up an owner's token besides, which a node keeps that is new. Raises Invalid, UnknownBackend."""
    names = compute.names()
    if given.backend not in names:
        raise UnknownBackend(given.backend, names)
    size = len(msgspec.json.encode(given.settings))
    if size > spot_pools.MAX_SETTINGS_BYTES:
        raise errors.Invalid(
            f"The settings of a node are at most {spot_pools.MAX_SETTINGS_BYTES} bytes of JSON, not {size}.",
            field="settings",
        )
    return AddNode(
        pool=pool,
        node=given.node,
        provider=provider,
        backend=given.backend,
        cpu_millis=given.cpu_millis,
        memory_mib=given.memory_mib,
        settings=given.settings,
        owner=secrets.token_hex(8),
        is_admin=True,
    )


def _within(found: int, *, field: str) -> int:
    if not 1 <= found <= commands.MAX_PRICE_MICROS:
        raise errors.Invalid(f"A max price is more than 0, and at most {wire.MAX_PRICE} credits an hour.", field=field)
    return found


def _check_bytes(field: str, texts: Iterable[str]) -> None:
    size = sum(len(text.encode()) for text in texts)
    if size > commands.MAX_COMMAND_BYTES:
        raise errors.Invalid(
            f"The field {field} has at most {commands.MAX_COMMAND_BYTES} bytes together, not {size}.", field=field
        )
