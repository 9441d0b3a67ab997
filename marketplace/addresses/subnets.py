"""Which addresses of a network can be given out: the usable runs between what is reserved.

    10.0.0.0/29, gateway 10.0.0.1, reserved 10.0.0.4
    hosts are 1 … 6 (0 is the network's own address, 7 its broadcast), usable are 2–3 and 5–6

A /31 and a /127 are two hosts and nothing else (RFC 3021, RFC 6164), a /32 and a /128 one host; they have a gateway
only where one is named. The address 0 of an IPv6 network, its subnet-router anycast (RFC 4291), is not given out; IPv6
has no broadcast.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator

import msgspec

from marketplace.addresses import errors
from marketplace.addresses.model import FIRST_HOST, MAX_RESERVED
from marketplace.foundation import networks

Range = tuple[int, int]
"""First and last offset, both included."""


class Plan(msgspec.Struct, frozen=True):
    """What a network consists of. `reserved` are disjoint and in order, and so are `usable`."""

    cidr: str
    version: int
    base: int
    last: int
    gateway: str | None
    reserved: tuple[Range, ...]
    usable: tuple[Range, ...]
    total: int

    @property
    def reserved_count(self) -> int:
        """Hosts that are never given out, the gateway included."""
        return self.total - sum(last - first + 1 for first, last in self.usable)


def plan(cidr: str, gateway: str | None = FIRST_HOST, reserved: Iterable[str] = ()) -> Plan:
    """Work a network out. Raises BadNetwork with a sentence that names the field at fault."""
    try:
        network = networks.parse_network(cidr)
    except ValueError as error:
        raise errors.BadNetwork(_sentence(error), field="cidr") from None
    base, size = int(network.network_address), network.num_addresses
    hosts = int(networks.first_host(network)) - base, int(networks.last_host(network)) - base
    try:
        door = _gateway(gateway, network)
    except ValueError as error:
        raise errors.BadNetwork(_sentence(error), field="gateway") from None
    kept = _merge(_parse_range(text, network) for text in reserved)
    if len(kept) > MAX_RESERVED:
        raise errors.BadNetwork(f"At most {MAX_RESERVED} ranges can be reserved.", field="reserved")
    closed = _merge([*kept, *((int(each) - base, int(each) - base) for each in (door,) if each)])
    return Plan(
        str(network),
        network.version,
        base,
        base + size - 1,
        None if door is None else str(door),
        tuple(kept),
        tuple(_between(hosts, closed)),
        hosts[1] - hosts[0] + 1,
    )


def parse(ip: str) -> tuple[int, int]:
    """Return version and number of an address in any spelling. Raises BadAddress."""
    try:
        address = networks.parse_address(ip)
    except ValueError:
        raise errors.BadAddress(ip) from None
    return address.version, int(address)


def text_of(version: int, number: int) -> str:
    """Return an address as text, canonical."""
    if version == 4:
        return socket.inet_ntoa(number.to_bytes(4, "big"))
    text = socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))
    # The C library, ten times as fast, has a notation of its own for addresses that hold an IPv4 one.
    return text if "." not in text else str(ipaddress.IPv6Address(number))


def name_of(cidr: str) -> str:
    """Return a network's name where nobody gave it one."""
    return re.sub("[:/]", "-", cidr).lstrip("-")


def _gateway(gateway: str | None, network: networks.Network) -> networks.Address | None:
    if gateway == FIRST_HOST:
        return networks.default_gateway(network)
    return None if gateway is None else networks.parse_gateway(gateway, network)


def _sentence(error: ValueError) -> str:
    clause = str(error)
    return f"{clause[0].upper()}{clause[1:]}."


def _parse_range(text: str, network: networks.Network) -> Range:
    """Return the offsets that `10.0.0.5`, `10.0.0.5-10.0.0.9` or `10.0.0.8/29` mean."""
    try:
        if "/" in text:
            inner = ipaddress.ip_network(text, strict=True)
            ends: list[tuple[int, int]] = [(inner.version, int(inner[0])), (inner.version, int(inner[-1]))]
        else:
            ends = [parse(end.strip()) for end in text.split("-", 1)]
        (version, first), (other_version, last) = ends[0], ends[-1]
        if version != other_version or first > last:
            raise ValueError("not a range")
    except (ValueError, errors.BadAddress):
        raise errors.BadNetwork(
            f"{text!r} is no range; write it as 10.0.0.5, 10.0.0.5-10.0.0.9 or 10.0.0.8/29.", field="reserved"
        ) from None
    base = int(network.network_address)
    if version != network.version or first < base or last >= base + network.num_addresses:
        raise errors.BadNetwork(f"{text} is not inside the network {network}.", field="reserved")
    return first - base, last - base


def _merge(ranges: Iterable[Range]) -> list[Range]:
    """Return the same offsets in as few ranges as can be, in order."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _between(hosts: Range, closed: Iterable[Range]) -> Iterator[Range]:
    """Yield the runs of hosts between closed ranges."""
    start = hosts[0]
    for first, last in closed:
        if start < first:
            yield start, min(first - 1, hosts[1])
        start = max(start, last + 1)
    if start <= hosts[1]:
        yield start, hosts[1]
