"""Addresses for what runs: what goes over the wire.

`network` in a request is a network's name; left out, it is the server's default one. In an answer it is the network's
CIDR, which is what a machine needs beside its address. Addresses in answers are canonical.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace.wire import limits

Allocation = Literal["lowest", "random"]
"""The lowest free address, or a free one drawn at random."""

MAX_BATCH = 1_000
MAX_LIVE = 100_000
MAX_SECONDS = 10 * 365 * 86_400

IpText = Annotated[str, Meta(min_length=2, max_length=45, description="an IPv4 or IPv6 address, in any spelling")]
CidrText = Annotated[
    str, Meta(min_length=3, max_length=64, description="10.0.0.0/16, fd00::/64, or 172.16.0 for its /24; no host bits")
]
RangeText = Annotated[
    str, Meta(min_length=2, max_length=91, description="an address, two joined by a dash, or a CIDR inside the network")
]
Seconds = Annotated[int, Meta(ge=0, le=MAX_SECONDS)]
VmIds = Annotated[list[limits.VmId], Meta(min_length=1, max_length=MAX_BATCH)]


# ── one address ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Allocate(Struct, frozen=True, omit_defaults=True):
    """Give a VM an address, or tell which one it has. Fields that are not known are ignored.

    `hostname` given again replaces the stored one, left out it stays. `ip` asks for that very address. `owner` is who
    it is for.
    """

    vm_id: limits.VmId
    hostname: limits.Hostname | None = None
    network: limits.NetworkName | None = None
    ip: IpText | None = None
    owner: limits.Username | None = None


class Assignment(Struct, frozen=True):
    """An address that a VM has. `network` is the CIDR; `gateway` is null where the network has none."""

    ip: str
    vm_id: str
    gateway: str | None
    network: str
    hostname: str | None


class Stats(Struct, frozen=True):
    """total = allocated + reserved + resting + available, exact at any size.

    `total` are the network's hosts, `reserved` its gateway and reserved ranges, `resting` what was released less than
    `reuse_delay_seconds` ago.
    """

    network: str
    gateway: str | None
    total: int
    allocated: int
    reserved: int
    resting: int
    available: int


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────────


class AllocateEach(Allocate, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    pass


class AllocateMany(Struct, frozen=True, forbid_unknown_fields=True):
    """All or none."""

    requests: Annotated[list[AllocateEach], Meta(min_length=1, max_length=MAX_BATCH)]


class Allocated(Struct, frozen=True):
    """In the order of the requests."""

    assignments: list[Assignment]


class ReleaseMany(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """All or none."""

    vm_ids: VmIds
    network: limits.NetworkName | None = None


class Released(Struct, frozen=True):
    """In the order of the vm_ids."""

    released: list[Assignment]


class Reconcile(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Find addresses whose VM is not among the live ones and that were given out `grace_seconds` ago or earlier.

    With `apply` they are released.
    """

    vm_ids: Annotated[list[limits.VmId], Meta(max_length=MAX_LIVE)]
    grace_seconds: Seconds = 3600
    apply: bool = False
    network: limits.NetworkName | None = None


class Reconciled(Struct, frozen=True):
    """The orphans by address, 1 000 at most; `more` where there are further ones: ask again.

    `applied` says whether they were released.
    """

    orphans: list[Assignment]
    applied: bool
    more: bool


# ── networks ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class NewNetwork(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`gateway` left out is the first host, where there is one to spare; null is none.

    An address that was released rests for `reuse_delay_seconds`, unless the network would be exhausted otherwise.
    """

    network: limits.NetworkName
    cidr: CidrText
    gateway: IpText | UnsetType | None = UNSET
    reserved: Annotated[list[RangeText], Meta(max_length=1000)] = []
    allocation: Allocation = "lowest"
    reuse_delay_seconds: Seconds = 0


class Network(Struct, frozen=True):
    network: str
    cidr: str
    gateway: str | None
    allocation: Allocation
    reuse_delay_seconds: int
    created_at: datetime


class Networks(Struct, frozen=True):
    items: list[Network]
    next: str | None = None


class ReservedRange(Struct, frozen=True):
    first: str
    last: str


class ReservedRanges(Struct, frozen=True):
    """What the network's owner reserved, in order; the gateway is reserved besides."""

    items: list[ReservedRange]


class Health(Struct, frozen=True):
    status: str
