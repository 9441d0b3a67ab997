"""The part of the pool that a batch has in its hands: read once for all, changed in memory by the decisions, written
once for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

import sqlalchemy as sa

from marketplace.addresses import errors, pool, sql, subnets
from marketplace.addresses.model import Allocate, Assignment, Network, Release, ReleaseAddress
from marketplace.addresses.pool import Pool
from marketplace.addresses.sql import Place
from marketplace.database import bulk
from marketplace.foundation.clock import Instant

MOST_RESTED = 4096
"""Addresses whose rest may end in one transaction; further ones wait for the next."""

Command = Allocate | Release | ReleaseAddress
_BY_VM = (Allocate, Release)


class Kept(NamedTuple):
    """What the lane keeps between transactions, by network: the networks as they are, and the first segments of those
    of which no address came back: what they give out next, without looking."""

    networks: dict[str, Network]
    first_segments: dict[str, dict[int, int]]


class Book:
    """All that a batch reads and changes, over any number of networks."""

    def __init__(self, tx: sa.Connection, commands: list[Command], *, now: Instant, source: Random, kept: Kept) -> None:
        """Read what the commands name and is not kept, and as many free addresses as they may take."""
        self._tx = tx
        self.now = now
        self._first_segments = kept.first_segments
        names = {command.network for command in commands}
        unknown = sorted(names - kept.networks.keys())
        kept.networks.update({network.network: network for network in sql.read_networks(tx, unknown)})
        self._networks = {name: kept.networks[name] for name in sorted(names & kept.networks.keys())}
        self._by_vm: dict[tuple[str, str], Assignment] = {}
        self._by_offset: dict[Place, Assignment] = {}
        self._stored: dict[Place, Assignment] = {}
        self._past: list[sql.Past] = []
        wanted = Counter(each.network for each in commands if isinstance(each, Allocate))
        draws = {each.network: pool.draw(each, wanted[each.network], source) for each in self._networks.values()}
        drawn = {(name, offset) for name, offsets in draws.items() for offset in offsets}
        places = drawn.union(self._named(commands))
        self._looked_up = {network for network, _ in places}
        known = {name: sql.Known({}, {}) for name in self._networks}
        self._keep(sql.read_by_vm(tx, {(one.network, one.vm_id) for one in commands if isinstance(one, _BY_VM)}))
        self._keep(sql.read_places(tx, places, known))
        self._pools = {
            name: self._open(network, known[name], wanted=wanted[name], draws=draws[name])
            for name, network in self._networks.items()
        }

    def _named(self, commands: Iterable[Command]) -> Iterable[Place]:
        """Yield the places of the addresses that commands name and that are in their networks."""
        for command in commands:
            network = self._networks.get(command.network)
            ip = getattr(command, "ip", None)
            if network and ip is not None:
                offset = offset_of(network, ip)
                if isinstance(offset, int):
                    yield command.network, offset

    def _keep(self, found: Iterable[Assignment]) -> None:
        for assignment in found:
            self._by_vm[assignment.network, assignment.vm_id] = assignment
            self._by_offset[assignment.network, assignment.offset] = assignment
            self._stored[assignment.network, assignment.offset] = assignment

    def _open(self, network: Network, known: sql.Known, *, wanted: int, draws: list[int]) -> Pool:
        """Read what a network can give out first, beside what is known from the places that were looked up."""
        first = self._first_segments.pop(network.network, {})
        if self._gives_out_segments(network) and sum(last - next_ + 1 for last, next_ in first.items()) >= wanted:
            return Pool(network, segments=first, released={}, now=self.now)
        is_short = network.never_used + network.free < wanted
        for start in sorted({0, *draws[:1]}) if wanted else ():
            sql.read_available(
                self._tx,
                network.network,
                known,
                start=start,
                limit=wanted,
                rested=max(MOST_RESTED, wanted) if network.resting else 0,
                until=sql.FOREVER if is_short else self.now,
            )
        return Pool(network, segments=known.segments, released=known.released, now=self.now, draws=draws)

    def _gives_out_segments(self, network: Network) -> bool:
        """Tell whether the first segments are all that the batch needs of a network, or leaves to be known of it."""
        return network.free == network.resting == 0 and network.network not in self._looked_up

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def network(self, name: str) -> Network | None:
        return self._networks.get(name)

    def pool(self, name: str) -> Pool:
        return self._pools[name]

    def of_vm(self, network: str, vm_id: str) -> Assignment | None:
        return self._by_vm.get((network, vm_id))

    def at(self, network: str, offset: int) -> Assignment | None:
        return self._by_offset.get((network, offset))

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, assignment: Assignment) -> None:
        """Note an assignment, new or changed, whose address was taken from the pool."""
        self._by_vm[assignment.network, assignment.vm_id] = assignment
        self._by_offset[assignment.network, assignment.offset] = assignment

    def end(self, assignment: Assignment, *, seq: int) -> None:
        """Note that an assignment is over, and give its address back to the pool."""
        a = assignment
        del self._by_vm[a.network, a.vm_id]
        del self._by_offset[a.network, a.offset]
        self._pools[a.network].give_back(a.offset)
        self._past.append(sql.Past(a.network, a.ip, a.seq, a.vm_id, a.hostname, a.owner, a.assigned_at, seq, self.now))

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take_writes(self) -> list[bulk.Write]:
        """Return all writes. Where a VM has moved, its old row is emptied at once: a VM is never seen twice."""
        moved = [
            (self._networks[name], offset, None)
            for (name, offset), stored in self._stored.items()
            if (now := self._by_vm.get((name, stored.vm_id))) and now.offset != offset
        ]
        bulk.write(self._tx, [sql.put_addresses((), moved)])
        for name, each in self._pools.items():
            if self._gives_out_segments(each.network):
                self._first_segments[name] = each.segments
        assigned = [each for place, each in self._by_offset.items() if self._stored.get(place) is not each]
        pools = self._pools.items()
        return [
            sql.put_networks(each.network for _, each in pools),
            sql.put_addresses(
                assigned,
                [(each.network, *change) for _, each in pools for change in each.changed_released().items()],
            ),
            sql.put_segments([(name, *change) for name, each in pools for change in each.changed_segments().items()]),
            sql.drop_segments([(name, last) for name, each in pools for last in each.used_up_segments()]),
            sql.insert_past(self._past),
        ]


def offset_of(network: Network, ip: str) -> int | errors.BadAddress | errors.AddressOutside:
    """Return where an address, in any spelling, is in a network; a refusal where it is not."""
    try:
        version, number = subnets.parse(ip)
    except errors.BadAddress as refusal:
        return refusal
    if version != network.version or not network.base <= number <= network.last:
        return errors.AddressOutside(ip, network.cidr)
    return number - network.base
