"""Proves the books of the address pool: nothing twice, nothing lost, and replaying the log gives the same assignments.

Each usable address is in a segment, or has one row: assigned, free or resting. Segments that are disjoint and rows that
lie outside them, both among the usable addresses, and together as many as those: so none is twice and none is missing.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from marketplace.addresses import model, networks, sql, subnets
from marketplace.addresses.book import offset_of
from marketplace.addresses.errors import BadNetwork
from marketplace.addresses.model import Assignment, Network
from marketplace.addresses.tables import LANE, addresses, past_assignments, reserved_ranges, segments
from marketplace.addresses.tables import networks as networks_table
from marketplace.database import proofs
from marketplace.database.proofs import SHOWN, Unlawful, require
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

_decode = msgspec.json.Decoder(model.Event).decode


def audit(tx: sa.Connection) -> list[str]:
    """Return what is wrong with the books, a sentence each; nothing for books that balance.

    A log that was cut cannot be replayed: then the tables have to agree with themselves.
    """
    stored = [sql.to_network(row) for row in proofs.pages(tx, networks_table, [networks_table.c.network])]
    faults = itertools.chain.from_iterable(_check_network(tx, network) for network in stored)
    found = [*_check_overlap(stored), *faults, *proofs.check_log(tx, LANE)]
    return [*found, *_check_replay(tx, stored)] if proofs.is_whole(tx, LANE) else found


# ── what the tables say ──────────────────────────────────────────────────────────────────────────────────────────────


def _check_overlap(stored: list[Network]) -> Iterator[str]:
    in_order = sorted(stored, key=lambda network: (network.version, network.base))
    for one, other in itertools.pairwise(in_order):
        if one.version == other.version and one.last >= other.base:
            yield f"networks: {one.network} and {other.network} overlap"


def _check_network(tx: sa.Connection, network: Network) -> Iterator[str]:
    name = network.network
    try:
        plan = _plan_of(tx, network)
    except (BadNetwork, ValueError) as error:
        yield f"networks: {name} cannot be: {error}"
        return
    if (network.base, network.last, network.total, network.reserved) != (
        plan.base,
        plan.last,
        plan.total,
        plan.reserved_count,
    ):
        yield f"networks: {name} has bounds or counts that are not those of {network.cidr}"
    runs = [
        (sql.to_number(row.next_offset), sql.to_number(row.last_offset))
        for row in proofs.pages(tx, segments, [segments.c.last_offset], segments.c.network == name)
    ]
    for (_, last), (first, _) in itertools.pairwise(runs):
        if first <= last:
            yield f"segments: {name} has two segments with the offset {first}"
    for first, last in runs:
        if not _has(plan.usable, first, last):
            yield f"segments: {name} has a segment {first}-{last} that is not usable"
    counts: Counter[str] = Counter()
    shown = 0
    for row in proofs.pages(tx, addresses, [addresses.c.ip_offset], addresses.c.network == name):
        counts["resting" if row.resting_until is not None else "free" if row.vm_id is None else "assigned"] += 1
        for fault in _check_address(row, network, plan, runs):
            if (shown := shown + 1) <= SHOWN:
                yield fault
    never_used = sum(last - first + 1 for first, last in runs)
    found = (counts["assigned"], counts["free"], counts["resting"], never_used)
    if found != (network.assigned, network.free, network.resting, network.never_used):
        yield (
            f"networks: {name} counts {network.assigned} assigned, {network.free} free, {network.resting} resting and "
            f"{network.never_used} never used; there are {found}"
        )


def _check_address(row: Any, network: Network, plan: subnets.Plan, runs: list[subnets.Range]) -> Iterator[str]:
    offset = sql.to_number(row.ip_offset)
    if row.ip != subnets.text_of(network.version, network.base + offset):
        yield f"addresses: {row.ip} is not the address at {offset} of {network.cidr}"
    if not _has(plan.usable, offset, offset):
        yield f"addresses: {row.ip} cannot be given out in {network.network}"
    if _has(runs, offset, offset):
        yield f"addresses: {row.ip} was given out, and is in a segment of {network.network} too"


def _has(runs: tuple[subnets.Range, ...] | list[subnets.Range], first: int, last: int) -> bool:
    """Tell whether one of the runs, which are in order, has all from the first to the last."""
    place = bisect.bisect_left(runs, first, key=lambda run: run[1])
    return place < len(runs) and runs[place][0] <= first and last <= runs[place][1]


def _plan_of(tx: sa.Connection, network: Network) -> subnets.Plan:
    rows = proofs.pages(
        tx, reserved_ranges, [reserved_ranges.c.first_offset], reserved_ranges.c.network == network.network
    )

    def text(offset: str) -> str:
        return subnets.text_of(network.version, network.base + sql.to_number(offset))

    reserved = [f"{text(row.first_offset)}-{text(row.last_offset)}" for row in rows]
    return subnets.plan(network.cidr, network.gateway, reserved)


# ── the replay ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Replay:
    """The whole pool in memory, as the log tells it. Counts are not replayed, the tables' own prove those."""

    def __init__(self) -> None:
        self.networks: dict[str, Network] = {}
        self.plans: dict[str, subnets.Plan] = {}
        self.assigned: dict[sql.Place, Assignment] = {}
        self.resting_until: dict[sql.Place, Instant] = {}
        self.past: dict[tuple[str, str, int], sql.Past] = {}
        self._by_vm: dict[tuple[str, str], Assignment] = {}

    def run(self, seq: int, at: Instant, said: model.Event) -> tuple[str, str | None]:
        """Do again what one entry of the log says; return its subject and member. Raises Unlawful, KeyError."""
        match said:
            case model.NetworkCreated():
                return self._create(seq, at, said)
            case model.NetworkDeleted():
                require(all(each.network != said.network for each in self.assigned.values()), "it had assignments")
                del self.networks[said.network], self.plans[said.network]
                self.resting_until = {
                    place: until for place, until in self.resting_until.items() if place[0] != said.network
                }
                return said.network, None
            case model.AddressAssigned():
                owner = self._assign(seq, at, said).owner
            case model.AddressReleased():
                owner = self._end(self._of_vm(said), seq, at).owner
            case _:
                owner = self._put(msgspec.structs.replace(self._of_vm(said), hostname=said.hostname)).owner
        return f"{said.network}/{said.ip}", owner

    def _create(self, seq: int, at: Instant, said: model.NetworkCreated) -> tuple[str, None]:
        require(said.network not in self.networks, "the network was there already")
        plan = subnets.plan(said.cidr, said.gateway, [f"{first}-{last}" for first, last in said.reserved])
        self.plans[said.network] = plan
        self.networks[said.network] = networks.new_network(said, plan, seq=seq, now=at)
        return said.network, None

    def _assign(self, seq: int, at: Instant, said: model.AddressAssigned) -> Assignment:
        offset = offset_of(self.networks[said.network], said.ip)
        require(
            isinstance(offset, int) and _has(self.plans[said.network].usable, offset, offset),
            "the address could not be given out",
        )
        assert isinstance(offset, int)
        require((said.network, offset) not in self.assigned, "the address was assigned already")
        require((said.network, said.vm_id) not in self._by_vm, "the VM had an address already")
        self.resting_until.pop((said.network, offset), None)
        return self._put(Assignment(said.network, offset, said.ip, said.vm_id, said.hostname, said.owner, seq, at))

    def _of_vm(self, said: model.AddressReleased | model.HostnameChanged) -> Assignment:
        found = self._by_vm[said.network, said.vm_id]
        require(found.ip == said.ip, "the VM had another address")
        return found

    def _put(self, assignment: Assignment) -> Assignment:
        self.assigned[assignment.network, assignment.offset] = assignment
        self._by_vm[assignment.network, assignment.vm_id] = assignment
        return assignment

    def _end(self, a: Assignment, seq: int, at: Instant) -> Assignment:
        del self.assigned[a.network, a.offset], self._by_vm[a.network, a.vm_id]
        delay = self.networks[a.network].reuse_delay_seconds
        self.resting_until[a.network, a.offset] = at + delay * clock.SECOND if delay else 0
        self.past[a.network, a.ip, a.seq] = sql.Past(
            a.network, a.ip, a.seq, a.vm_id, a.hostname, a.owner, a.assigned_at, seq, at
        )
        return a


def _check_replay(tx: sa.Connection, stored: list[Network]) -> Iterator[str]:
    replay = Replay()
    for row in proofs.read_log(tx, LANE):
        try:
            said = _decode(row.data)
            told = (model.TOPIC, networks.kind(said), *replay.run(row.seq, row.at, said))
        except (Unlawful, KeyError, BadNetwork, msgspec.MsgspecError) as error:
            yield f"events: seq {row.seq} cannot be replayed: {error!r}"
            return
        if told != (row.topic, row.kind, row.subject, row.member):
            yield f"events: seq {row.seq} says {(row.topic, row.kind, row.subject, row.member)}, its data {told}"
            return
    uncounted = ((each.network, msgspec.structs.replace(each, assigned=0, free=0, resting=0)) for each in stored)
    yield from proofs.differences("networks", replay.networks, uncounted)
    expected: dict[sql.Place, Any] = {**replay.assigned, **replay.resting_until}
    rows = proofs.pages(tx, addresses, [*addresses.primary_key.columns])
    keyed = (((row.network, sql.to_number(row.ip_offset)), row) for row in rows)
    found = ((place, _state(row, expected.get(place))) for place, row in keyed)
    yield from proofs.differences("addresses", expected, found)
    past = proofs.pages(tx, past_assignments, [*past_assignments.primary_key.columns])
    over = (sql.Past(*row) for row in map(tuple, past))
    yield from proofs.differences(
        "past_assignments", replay.past, (((one.network, one.ip, one.seq), one) for one in over)
    )


def _state(row: Any, expected: Any) -> Assignment | Instant | None:
    """Return who has an address or until when it rests, which may be free already if that is over."""
    if row.vm_id is not None:
        return sql.to_assignment(row)
    return expected if row.resting_until is None and isinstance(expected, int) else row.resting_until
