"""Where a webhook may go: https to global addresses, so that nobody makes us call what only we can reach.

Two checks. `parse` reads the URL when it is given, in one strict grammar: whatever another reader could take for
something else (userinfo, backslashes, numbers in odd bases) is refused. `is_global` looks at every address that the
name has when a delivery connects, and the address that was checked is the one that is connected to: a name that changes
its mind in between changes nothing.

Hosts that the operator allows, as `host` or `host:port`, are exempt from both, and may be reached by http.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import urlsplit

from marketplace.events.errors import BadTarget

MAX_URL = 2048
HTTPS = 443
FIRST_FREE_PORT = 1024
"""Below it, but for 443, are ports of other protocols, which are not to be talked to in https."""

_DEFAULT_PORTS = {"https": HTTPS, "http": 80}
_PLAIN = re.compile(r"[!-~]+")
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})+")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)")

# Special-purpose addresses (the registries of IANA). Of IPv6 only 2000::/3 is global unicast at all, so mapped,
# translated (64:ff9b::/96) and local addresses are outside from the start.
_NOT_GLOBAL_4 = [
    *map(
        ipaddress.IPv4Network,
        [
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        ],
    )
]
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_NOT_GLOBAL_6 = [*map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))]


class Target(NamedTuple):
    """A URL, taken apart once for all. `host` is an IPv6 address without brackets, or what stands in the URL."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str, *, allowed: Collection[str] = ()) -> Target:
    """Read a URL. Raises BadTarget, whose sentence says what is wrong with it."""
    if len(url) > MAX_URL or not _PLAIN.fullmatch(url) or "\\" in url:
        raise BadTarget(f"It must be plain ASCII without blanks or backslashes, {MAX_URL} characters at most.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadTarget("It cannot be read.") from None
    if parts.scheme not in ("https", "http") or not url.startswith(f"{parts.scheme}://"):
        raise BadTarget("It must begin with https://.")
    if "@" in parts.netloc or "#" in url or not parts.hostname:
        raise BadTarget("It must have a host, and neither a user nor a fragment.")
    host = parts.hostname
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = Target(parts.scheme, host, port, path)
    if not is_allowed(host, port, allowed):
        _check(target)
    return target


def is_allowed(host: str, port: int, allowed: Collection[str]) -> bool:
    """Tell whether the operator exempts a host."""
    written = f"[{host}]" if ":" in host else host
    return host in allowed or f"{written}:{port}" in allowed


def is_global(address: str) -> bool:
    """Tell whether an address, as the system writes it, is one that everybody can reach."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # one with a zone, say
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return not any(found in network for network in _NOT_GLOBAL_4)
    return found in _GLOBAL_6 and not any(found in network for network in _NOT_GLOBAL_6)


def _check(target: Target) -> None:
    if target.scheme != "https":
        raise BadTarget("It must begin with https://.")
    if target.port != HTTPS and target.port < FIRST_FREE_PORT:
        raise BadTarget(f"Its port must be {HTTPS}, or {FIRST_FREE_PORT} or more.")
    last = target.host.rpartition(".")[2]
    if ":" in target.host or _NUMERIC.fullmatch(last):
        # A name that ends in a number is an address to many readers: 0x7f.1, 017700000001, 2130706433.
        if not is_global(target.host):
            raise BadTarget("Its address is not one that everybody can reach.")
    elif len(target.host) > 253 or not _NAME.fullmatch(target.host):
        raise BadTarget("Its host is no name of the DNS with a dot in it.")
