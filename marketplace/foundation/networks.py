"""IP networks and addresses as text: any usual spelling in, the canonical one out (RFC 4632, RFC 5952).

What cannot be read raises ValueError with a clause that begins in lower case and ends without a full stop, so that a
setting and a field of a request can both make a sentence of it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DEFAULT_NETWORK = "172.16.0.0/24"

_THREE_OCTETS = re.compile(r"\d{1,3}(\.\d{1,3}){2}", re.ASCII)
_CIDR = re.compile(r"[^/%]+/\d{1,3}", re.ASCII)


def parse_network(text: str) -> Network:
    """Read a CIDR, or a prefix of three octets, which means its /24. Host bits are refused, not dropped."""
    cidr = f"{text}.0/24" if _THREE_OCTETS.fullmatch(text) else text
    if not _CIDR.fullmatch(cidr):
        raise ValueError(f"{text!r} is no network: write it as 10.0.0.0/16, fd00::/64 or 172.16.0")
    try:
        network = ip_network(cidr, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network: write it as 10.0.0.0/16, fd00::/64 or 172.16.0") from None
    if ip_address(cidr.partition("/")[0]) != network.network_address:
        raise ValueError(f"the network {text} has host bits set: write {network}")
    return network


def parse_address(text: str) -> Address:
    """Read an address without prefix length or zone."""
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None
    if "%" in text:
        raise ValueError(f"the address {text} has a zone, which means something on one machine only")
    return address


def parse_gateway(text: str, network: Network) -> Address:
    """Read the gateway of a network, which must be one of its hosts."""
    gateway = parse_address(text)
    if gateway not in network:
        raise ValueError(f"the gateway {gateway} is outside the network {network}")
    if not int(first_host(network)) <= int(gateway) <= int(last_host(network)):
        raise ValueError(f"the gateway {gateway} is no host of the network {network}: take {default_gateway(network)}")
    return gateway


def default_gateway(network: Network) -> Address | None:
    """Return the first host; None for a network of one or two addresses, which has none unless it is named."""
    return first_host(network) if network.num_addresses > 2 else None


def first_host(network: Network) -> Address:
    """Return the first address that a host may have: the very first one only in a network of one or two (RFC 3021).

    In IPv6 the first one is the subnet-router anycast address (RFC 4291, 2.6.1).
    """
    return network[1] if network.num_addresses > 2 else network[0]


def last_host(network: Network) -> Address:
    """Return the last address that a host may have: only IPv4 keeps one above it, for broadcasts."""
    return network[-2] if network.version == 4 and network.num_addresses > 2 else network[-1]
