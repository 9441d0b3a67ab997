"""Nobody makes us call what only we can reach: hostile URLs are refused, and no connection is made."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from marketplace.events import sending, targets
from marketplace.events.errors import BadTarget
from marketplace.events.webhook_model import Claimed

HOSTILE = [
    # not https
    "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "//example.org/",
    "example.org", "javascript:alert(1)", "HTTP://EXAMPLE.ORG/", "https:example.org", "https:///example.org", "https://",
    # this machine
    "https://localhost/", "https://localhost:8443/", "https://127.0.0.1/", "https://127.1/", "https://127.0.1/",
    "https://0/", "https://0.0.0.0/", "https://[::1]/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/",
    # the same in other spellings
    "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/",
    "https://0177.0.0.1/", "https://127.0.0.1./", "https://127.000.000.001/", "https://0x7f.1/",
    "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/",
    "https://１２７.0.0.1/", "https://127。0。0。1/", "https://ⓛocalhost/", "https://localhost.", "https://%6c%6fcalhost/",
    # private networks, link-local, the metadata services of clouds
    "https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/", "https://[fd00:ec2::254]/", "https://100.64.0.1/",
    "https://100.100.100.200/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fc00::1]/",
    "https://0xa9fea9fe/", "https://2852039166/", "https://169.254.43518/",
    # addresses inside of addresses
    "https://[64:ff9b::a00:1]/", "https://[64:ff9b:1::1]/", "https://[2002:a00:1::]/", "https://[2002:7f00:1::1]/",
    "https://[2001:0:53aa:64c:0:0:0:1]/", "https://[::ffff:0:10.0.0.1]/", "https://[2001:db8::1]/",
    # of no use to anybody
    "https://192.0.2.1/", "https://198.51.100.1/", "https://203.0.113.1/", "https://198.18.0.1/", "https://192.0.0.8/",
    "https://224.0.0.1/", "https://239.255.255.250/", "https://255.255.255.255/", "https://240.0.0.1/",
    "https://[ff02::1]/", "https://[100::1]/", "https://[3fff::1]/", "https://192.88.99.1/",
    # what another reader takes for another host
    "https://example.org@127.0.0.1/", "https://127.0.0.1@example.org/", "https://user:pass@example.org/",
    "https://example.org\\@127.0.0.1/", "https://example.org#@127.0.0.1/", "https://example.org/#x",
    "https://exam ple.org/", "https://example.org\t/", "https://example.org/\r\nHost: a", " https://example.org/",
    "https://example.org/\x00", "https://[example.org]/", "https://[::1", "https://example..org/", "https://.example.org/",
    "https://-example.org/", "https://example_x.org/", "https://intranet/", "https://metadata/",
    "https://" + "a" * 64 + ".org/", "https://" + "a." * 130 + "org/", "https://example.org/" + "x" * 2048,
    # ports of other protocols
    "https://example.org:22/", "https://example.org:25/", "https://example.org:80/", "https://example.org:0/",
    "https://example.org:65536/", "https://example.org:-1/", "https://example.org:x/",
    # other names of numbers
    "https://1.1.1/", "https://08.8.8.8/", "https://8.8.8.8.8/", "https://256.1.1.1/", "https://example.0x1/",
]  # fmt: skip

GOOD = [
    ("https://example.org", ("https", "example.org", 443, "/")),
    ("https://hooks.example.org:8443/a/b?c=d&e=%2F", ("https", "hooks.example.org", 8443, "/a/b?c=d&e=%2F")),
    ("https://EXAMPLE.org/", ("https", "example.org", 443, "/")),
    ("https://xn--bcher-kva.example/", ("https", "xn--bcher-kva.example", 443, "/")),
    ("https://8.8.8.8/hook", ("https", "8.8.8.8", 443, "/hook")),
    ("https://[2606:4700::1111]:2053/", ("https", "2606:4700::1111", 2053, "/")),
]

PRIVATE = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fe80::1%2", "::ffff:10.0.0.1", "64:ff9b::7f00:1"]


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that a socket is asked to connect to, which none does."""
    tried: list[Any] = []

    def refuse(_socket: socket.socket, address: Any) -> None:
        if not isinstance(address, str):  # the event loop's own pair of sockets has no address
            tried.append(address)
        raise ConnectionRefusedError("no socket connects in this test")

    async def connect(_loop: Any, _socket: socket.socket, address: Any) -> None:
        refuse(_socket, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    return tried


async def deliver(url: str, *, allowed: tuple[str, ...] = ()) -> sending.Reply:
    async with sending.courier(allowed=allowed, timeout_seconds=5, connections=1) as courier:
        claimed = Claimed(1, url, ("whsec_AAAA",), "hours", 1, 1)
        return await courier.send(claimed, b"{}")


def test_there_are_enough_of_them() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 60


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_refused_and_nothing_is_connected_to(url: str, connections: list[Any]) -> None:
    with pytest.raises(BadTarget):
        targets.parse(url)
    # However it came into the table: a delivery looks at it again.
    reply = await deliver(url)
    assert reply.status is None
    assert "cannot be called" in str(reply.error)
    assert connections == []


@pytest.mark.parametrize(("url", "expected"), GOOD)
def test_an_ordinary_url_is_taken_apart(url: str, expected: tuple[Any, ...]) -> None:
    assert targets.parse(url) == expected


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("with_a_global_one", [False, True])
async def test_a_name_with_a_private_address_is_not_connected_to(
    address: str, connections: list[Any], monkeypatch: pytest.MonkeyPatch, *, with_a_global_one: bool
) -> None:
    addresses = ["8.8.8.8", "8.8.4.4", "1.1.1.1", "9.9.9.9", address] if with_a_global_one else [address]
    asked = answer_with(monkeypatch, addresses)
    reply = await deliver("https://rebound.example.org/")
    assert "not one that everybody can reach" in str(reply.error)
    assert (asked, connections) == (["rebound.example.org"], [])


async def test_the_checked_address_is_the_one_connected_to(
    connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that answers otherwise the second time is not asked a second time."""
    asked = answer_with(monkeypatch, ["8.8.8.8"], then=["127.0.0.1"])
    reply = await deliver("https://rebound.example.org/")
    assert reply.status is None
    assert asked == ["rebound.example.org"]
    assert {address[:2] for address in connections} == {("8.8.8.8", 443)}


async def test_a_host_that_the_operator_allows_may_be_private_and_plain(connections: list[Any]) -> None:
    for url, allowed in (
        ("http://127.0.0.1:9/", "127.0.0.1:9"),
        ("http://127.0.0.1:9/", "127.0.0.1"),
        ("https://[::1]:9/", "[::1]:9"),
    ):
        assert (await deliver(url, allowed=(allowed,))).status is None
    assert [address[:2] for address in connections] == [("127.0.0.1", 9), ("127.0.0.1", 9), ("::1", 9)]
    for url in ("http://127.0.0.1:10/", "http://127.0.0.2:9/", "http://127.0.0.1.example.org:9/"):
        with pytest.raises(BadTarget):
            targets.parse(url, allowed=("127.0.0.1:9",))


def answer_with(monkeypatch: pytest.MonkeyPatch, first: list[str], *, then: list[str] | None = None) -> list[str]:
    """Be the DNS; return who was asked for."""
    asked: list[str] = []

    async def look_up(_loop: Any, host: str, port: int, **_: Any) -> list[Any]:
        if host in first:  # an address is its own answer
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]
        asked.append(host)
        return [(0, 0, 0, "", (each, port)) for each in (first if len(asked) == 1 else then or first)]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)
    return asked
