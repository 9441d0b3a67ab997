"""All networks of a pool as plain sets: says of each answer whether it may be.

Commands are held against it one after the other, with what the real pool answered; of batches and databases it knows
nothing. Where the real one draws at random, any address that is available may be the answer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from marketplace.addresses import (
    Allocate,
    AllocateMany,
    Assigned,
    Release,
    ReleaseAddress,
    ReleaseMany,
    ReleaseOrphans,
    model,
)
from marketplace.foundation.errors import Refusal
from tests.addresses.plain_set import PlainSet


@dataclass
class SimpleNetwork:
    base: int
    plain: PlainSet
    hostnames: dict[str, str | None] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)
    size: int = 16

    def offset_of(self, vm_id: str) -> int | None:
        return next((offset for offset, holder in self.plain.held.items() if holder == vm_id), None)

    def text(self, offset: int) -> str:
        number = self.base + offset
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))

    def number(self, ip: str) -> int:
        octets = [int(part) for part in ip.split(".")]
        return sum(octet << shift for octet, shift in zip(octets, (24, 16, 8, 0), strict=True)) - self.base


class SimplePool:
    """`check` holds one command against the answer that the real pool gave, and follows it."""

    def __init__(self, networks: dict[str, SimpleNetwork]) -> None:
        self.networks = networks

    def set_clock(self, now: int) -> None:
        for network in self.networks.values():
            network.plain.set_clock(now)

    def check(self, command: Any, answer: Any) -> None:
        match command:
            case AllocateMany():
                self._check_many(command.requests, answer)
            case ReleaseMany():
                self._check_many([Release(command.network, vm_id) for vm_id in command.vm_ids], answer)
            case ReleaseOrphans():
                network = self.networks[command.network]
                gone = [vm_id for vm_id, seq in dict.fromkeys(command.orphans) if network.seqs.get(vm_id) == seq]
                assert [each.assignment.vm_id for each in answer] == gone
                for vm_id in gone:
                    self._end(network, vm_id)
            case _:
                code = self._run(command, answer)
                told = answer.code.removeprefix("addresses.") if isinstance(answer, Refusal) else None
                assert told == code, (command, answer)

    def _check_many(self, commands: Iterable[Any], answer: Any) -> None:
        if not isinstance(answer, Refusal):
            for command, one in zip(commands, answer, strict=True):
                self.check(command, one)
            return
        tried = copy.deepcopy(self)
        codes = [tried._run(command, None) for command in commands]
        index = next(place for place, code in enumerate(codes) if code)
        assert (answer.code, answer.extra["index"]) == (f"addresses.{codes[index]}", index)

    def _run(self, command: Any, answer: Any) -> str | None:
        """Do what the answer says; return the code with which it should have been refused."""
        network = self.networks.get(command.network)
        if network is None:
            return "unknown_network"
        match command:
            case Allocate():
                return self._allocate(network, command, answer)
            case Release():
                return self._release(network, command.vm_id, "not_assigned")
            case ReleaseAddress():
                offset = network.number(command.ip)
                if not 0 <= offset < network.size:
                    return "address_outside"
                return self._release(network, network.plain.held.get(offset), "address_not_assigned")
        raise AssertionError(command)

    def _allocate(self, network: SimpleNetwork, command: Allocate, answer: Any) -> str | None:
        wanted = None if command.ip is None else network.number(command.ip)
        if wanted is not None and not 0 <= wanted < network.size:
            return "address_outside"
        has = network.offset_of(command.vm_id)
        if has is not None:
            if wanted not in (None, has):
                return "assigned_elsewhere"
            network.hostnames[command.vm_id] = command.hostname or network.hostnames[command.vm_id]
            self._compare(network, command, answer, has, created=False)
            return None
        allowed = network.plain.allowed() if wanted is None else {wanted}
        if allowed is None:
            return "network_exhausted"
        if wanted is not None and (code := self._refuses(network.plain, wanted)):
            return code
        taken = answer.assignment.offset if isinstance(answer, Assigned) else min(allowed)
        assert taken in allowed, (command, answer, allowed)
        network.plain.take(taken, command.vm_id)
        network.hostnames[command.vm_id] = command.hostname
        network.seqs[command.vm_id] = answer.assignment.seq if isinstance(answer, Assigned) else 0
        self._compare(network, command, answer, taken, created=True)
        return None

    def _refuses(self, plain: PlainSet, offset: int) -> str | None:
        if offset not in plain.usable:
            return "address_reserved"
        if offset in plain.held:
            return "address_taken"
        return "address_resting" if offset in plain.resting else None

    def _compare(self, network: SimpleNetwork, command: Allocate, answer: Any, offset: int, *, created: bool) -> None:
        if isinstance(answer, Assigned):
            a = answer.assignment
            assert (a.ip, a.vm_id, a.hostname, a.seq, answer.created) == (
                network.text(offset),
                command.vm_id,
                network.hostnames[command.vm_id],
                network.seqs[command.vm_id],
                created,
            )

    def _release(self, network: SimpleNetwork, vm_id: str | None, otherwise: str) -> str | None:
        if vm_id is None or network.offset_of(vm_id) is None:
            return otherwise
        self._end(network, vm_id)
        return None

    def _end(self, network: SimpleNetwork, vm_id: str) -> None:
        offset = network.offset_of(vm_id)
        assert offset is not None
        network.plain.give_back(offset)
        del network.hostnames[vm_id], network.seqs[vm_id]


def stats_of(name: str, network: SimpleNetwork, *, cidr: str, hosts: int) -> model.Stats:
    """Return the counts that a network should tell."""
    plain = network.plain
    return model.Stats(
        name,
        cidr,
        network.text(1),
        total=hosts,
        allocated=len(plain.held),
        reserved=hosts - len(plain.usable),
        resting=len(plain.resting),
        available=len(plain.available),
    )
