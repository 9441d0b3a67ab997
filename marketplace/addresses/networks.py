"""What the lane runs on networks themselves: made, ensured, deleted. Rare, so each has statements of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from marketplace.addresses import errors, model, sql, subnets
from marketplace.addresses.book import Kept
from marketplace.addresses.model import Network
from marketplace.database import Log, bulk
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal

FIRST_NAME = "default"


def apply(tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant) -> list[Any]:
    """Make, ensure and delete networks in arrival order. A refusal is an outcome and writes nothing.

    Keeps: no two networks overlap; a network that is deleted has nothing assigned.
    """
    for each in kept(log):
        each.clear()
    return [_run(tx, log, command, now) for command in commands]


def _run(tx: sa.Connection, log: Log, command: Any, now: Instant) -> Network | Refusal:
    try:
        match command:
            case model.CreateNetwork():
                return _create(tx, log, command, now)
            case model.EnsureNetwork():
                return _ensure(tx, log, command, now)
            case _:
                return _delete(tx, log, command)
    except errors.BadNetwork as refusal:
        return refusal


def _create(tx: sa.Connection, log: Log, command: model.CreateNetwork, now: Instant) -> Network | Refusal:
    plan = subnets.plan(command.cidr, command.gateway, command.reserved)
    if sql.read_networks(tx, [command.network]):
        return errors.NetworkExists(command.network)
    if other := sql.find_overlap(tx, plan):
        return errors.NetworkOverlaps(plan.cidr, other.network, other.cidr)
    reserved = tuple((_text(plan, first), _text(plan, last)) for first, last in plan.reserved)
    said = model.NetworkCreated(
        command.network, plan.cidr, plan.gateway, reserved, command.allocation, command.reuse_delay_seconds
    )
    network = new_network(said, plan, seq=note(log, said, command.network), now=now)
    bulk.write(tx, [sql.put_networks([network])])
    bulk.write(
        tx,
        [
            sql.insert_reserved(command.network, plan.reserved),
            sql.put_segments((command.network, last, first) for first, last in plan.usable),
        ],
    )
    return network


def new_network(said: model.NetworkCreated, plan: subnets.Plan, *, seq: int, now: Instant) -> Network:
    """Return the network that an entry of the log makes."""
    return Network(
        said.network,
        seq,
        plan.cidr,
        plan.gateway,
        said.allocation,
        said.reuse_delay_seconds,
        plan.version,
        plan.base,
        plan.last,
        plan.total,
        plan.reserved_count,
        assigned=0,
        free=0,
        resting=0,
        created_at=now,
    )


def _ensure(tx: sa.Connection, log: Log, command: model.EnsureNetwork, now: Instant) -> Network | Refusal:
    plan = subnets.plan(command.cidr, command.gateway)
    first = sql.find_first(tx)
    if first and command.only_if_none:
        return first
    stored = sql.find_overlap(tx, plan)
    if stored is None or stored.cidr != plan.cidr:  # new, or refused with the other's name
        name = subnets.name_of(plan.cidr) if first else FIRST_NAME
        return _create(tx, log, model.CreateNetwork(name, plan.cidr, command.gateway), now)
    if command.gateway != model.FIRST_HOST and stored.gateway != plan.gateway:
        return errors.NetworkDiffers(plan.cidr, stored.gateway, plan.gateway)
    return stored


def _delete(tx: sa.Connection, log: Log, command: model.DeleteNetwork) -> Network | Refusal:
    found = sql.read_networks(tx, [command.network])
    if not found:
        return errors.UnknownNetwork(command.network)
    if found[0].assigned:
        return errors.NetworkInUse(command.network, found[0].assigned)
    note(log, model.NetworkDeleted(command.network), command.network)
    sql.delete_network(tx, command.network)
    return found[0]


def _text(plan: subnets.Plan, offset: int) -> str:
    return subnets.text_of(plan.version, plan.base + offset)


def kept(log: Log) -> Kept:
    return Kept(log.kept("networks"), log.kept("first segments"))


def note(log: Log, said: model.Event, subject: str, *, member: str | None = None) -> int:
    """Append what happened and return its seq."""
    return log.append(topic=model.TOPIC, kind=kind(said), subject=subject, member=member, data=said)


def kind(said: model.Event) -> str:
    """Return what the log calls it."""
    return str(said.__struct_config__.tag)
