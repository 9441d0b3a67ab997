"""What the lane runs: addresses given out and taken back, over any number of networks."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.addresses import errors, model, networks, subnets
from marketplace.addresses.book import Book, Command, offset_of
from marketplace.addresses.model import Assigned, Assignment
from marketplace.database import Abandon, Apply, Log
from marketplace.foundation.clock import Instant
from marketplace.foundation.errors import Refusal

Decide = Callable[[Book, Log, Any], Any]


def handlers(source: random.Random | None = None) -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it; `source` draws random addresses.

    Nobody can guess what the usual source draws next.
    """
    of_addresses = functools.partial(apply, source=source or random.SystemRandom())
    of_networks = (model.CreateNetwork, model.EnsureNetwork, model.DeleteNetwork)
    return {**dict.fromkeys(_DECISIONS, of_addresses), **dict.fromkeys(of_networks, networks.apply)}


def apply(tx: sa.Connection, log: Log, commands: Sequence[Any], /, *, now: Instant, source: random.Random) -> list[Any]:
    """Run allocations and releases in arrival order.

    Keeps: an address is in exactly one of the segments, free, resting, assigned; a VM has one address a network.
    Reads what the commands name and the first addresses that can be given out, as many as the batch may take.
    A refusal is an outcome and writes nothing; a request for many that is refused raises Abandon.
    """
    book = Book(tx, list(_each(commands)), now=now, source=source, kept=networks.kept(log))
    outcomes = [_DECISIONS[type(command)](book, log, command) for command in commands]
    log.write_later(book.take_writes())
    return outcomes


def _each(commands: Sequence[Any]) -> Iterator[Command]:
    """Yield the single commands that commands consist of."""
    for command in commands:
        match command:
            case model.AllocateMany():
                yield from command.requests
            case model.ReleaseMany():
                yield from (model.Release(command.network, vm_id) for vm_id in command.vm_ids)
            case model.ReleaseOrphans():
                yield from (model.Release(command.network, vm_id) for vm_id, _ in command.orphans)
            case _:
                yield command


# ── giving out ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _allocate(book: Book, log: Log, command: model.Allocate) -> Assigned | Refusal:
    network = book.network(command.network)
    if network is None:
        return errors.UnknownNetwork(command.network)
    if found := book.of_vm(command.network, command.vm_id):
        return _allocate_again(book, log, command, network, found)
    offset = _take(book, command, network)
    if isinstance(offset, Refusal):
        return offset
    ip = subnets.text_of(network.version, network.base + offset)
    said = model.AddressAssigned(command.network, ip, command.vm_id, command.hostname, command.owner)
    seq = note(log, said, ip, member=command.owner)
    assignment = Assignment(command.network, offset, ip, command.vm_id, command.hostname, command.owner, seq, book.now)
    book.put(assignment)
    return Assigned(assignment, network, created=True)


def _allocate_again(
    book: Book, log: Log, command: model.Allocate, network: model.Network, found: Assignment
) -> Assigned | Refusal:
    """Tell a VM which address it has; a hostname that is new takes the old one's place."""
    if command.own_only and found.owner != command.owner:
        return errors.VmOfAnother(command.network, command.vm_id)
    if command.ip is not None:
        offset = offset_of(network, command.ip)
        if isinstance(offset, Refusal):
            return offset
        if offset != found.offset:
            return errors.AssignedElsewhere(found.vm_id, found.ip)
    if command.hostname is not None and command.hostname != found.hostname:
        said = model.HostnameChanged(found.network, found.ip, found.vm_id, command.hostname)
        note(log, said, found.ip, member=found.owner)
        found = msgspec.structs.replace(found, hostname=command.hostname)
        book.put(found)
    return Assigned(found, network)


def _take(book: Book, command: model.Allocate, network: model.Network) -> int | Refusal:
    """Take the address that is asked for, or any, out of the pool."""
    pool = book.pool(command.network)
    if command.ip is None:
        picked = pool.pick()
        return errors.NetworkExhausted(network.network, network.cidr) if picked is None else picked
    offset = offset_of(network, command.ip)
    if isinstance(offset, Refusal):
        return offset
    if pool.is_free(offset):
        pool.take(offset)
        return offset
    if book.at(command.network, offset):
        return errors.AddressTaken(command.ip)
    if pool.is_resting(offset):
        return errors.AddressResting(command.ip)
    return errors.AddressReserved(command.ip, network.cidr)


# ── taking back ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _release(book: Book, log: Log, command: model.Release) -> Assigned | Refusal:
    if book.network(command.network) is None:
        return errors.UnknownNetwork(command.network)
    found = book.of_vm(command.network, command.vm_id)
    if found is None or _is_foreign(found, command.owner):
        return errors.NotAssigned(command.network, command.vm_id)
    return _end(book, log, found)


def _release_address(book: Book, log: Log, command: model.ReleaseAddress) -> Assigned | Refusal:
    network = book.network(command.network)
    if network is None:
        return errors.UnknownNetwork(command.network)
    offset = offset_of(network, command.ip)
    if isinstance(offset, Refusal):
        return offset
    found = book.at(command.network, offset)
    if found is None or _is_foreign(found, command.owner):
        return errors.AddressNotAssigned(command.network, command.ip)
    return _end(book, log, found)


def _is_foreign(found: Assignment, owner: str | None) -> bool:
    """Tell whether an assignment is none of an owner's; without an owner none is foreign."""
    return owner is not None and found.owner != owner


def _end(book: Book, log: Log, found: Assignment) -> Assigned:
    said = model.AddressReleased(found.network, found.ip, found.vm_id)
    book.end(found, seq=note(log, said, found.ip, member=found.owner))
    network = book.network(found.network)
    assert network
    return Assigned(found, network)


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _allocate_many(book: Book, log: Log, command: model.AllocateMany) -> tuple[Assigned, ...]:
    return _all_or_none(_allocate(book, log, one) for one in command.requests)


def _release_many(book: Book, log: Log, command: model.ReleaseMany) -> tuple[Assigned, ...]:
    releases = (model.Release(command.network, vm_id, command.owner) for vm_id in command.vm_ids)
    return _all_or_none(_release(book, log, one) for one in releases)


def _all_or_none(outcomes: Iterator[Assigned | Refusal]) -> tuple[Assigned, ...]:
    done = []
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Refusal):
            outcome.extra["index"] = index
            raise Abandon(outcome)
        done.append(outcome)
    return tuple(done)


def _release_orphans(book: Book, log: Log, command: model.ReleaseOrphans) -> tuple[Assigned, ...] | Refusal:
    if command.orphans and book.network(command.network) is None:  # a network is read for those who name a VM in it
        return errors.UnknownNetwork(command.network)
    found = ((book.of_vm(command.network, vm_id), seq) for vm_id, seq in command.orphans)
    seen = (orphan for orphan, seq in found if orphan and orphan.seq == seq)
    return tuple(_end(book, log, orphan) for orphan in seen if not _is_foreign(orphan, command.owner))


def note(log: Log, said: model.Event, ip: str, *, member: str | None) -> int:
    """Append what happened to an address and return its seq."""
    return networks.note(log, said, f"{said.network}/{ip}", member=member)


_DECISIONS: dict[type, Decide] = {
    model.Allocate: _allocate,
    model.Release: _release,
    model.ReleaseAddress: _release_address,
    model.AllocateMany: _allocate_many,
    model.ReleaseMany: _release_many,
    model.ReleaseOrphans: _release_orphans,
}
