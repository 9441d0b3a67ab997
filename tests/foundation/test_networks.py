"""Networks and addresses are read in every usual spelling, and refused with a clause that says what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.foundation import networks
from marketplace.foundation.settings import Settings, SettingsError, load

NETWORKS = [
    ("172.16.0", "172.16.0.0/24", "172.16.0.1"),
    ("192.168.1", "192.168.1.0/24", "192.168.1.1"),
    ("192.168.1.0/24", "192.168.1.0/24", "192.168.1.1"),
    ("10.0.0.0/8", "10.0.0.0/8", "10.0.0.1"),
    ("10.0.0.4/30", "10.0.0.4/30", "10.0.0.5"),
    ("10.0.0.4/31", "10.0.0.4/31", None),
    ("10.0.0.4/32", "10.0.0.4/32", None),
    ("0.0.0.0/0", "0.0.0.0/0", "0.0.0.1"),
    ("fd00::/64", "fd00::/64", "fd00::1"),
    ("FD00:0:0:0::/48", "fd00::/48", "fd00::1"),
    ("fd00::/127", "fd00::/127", None),
    ("fd00::9/128", "fd00::9/128", None),
    ("::/0", "::/0", "::1"),
]

NO_NETWORKS = [
    "", " ", "10", "10.0", "10.0.0.", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "256.0.0",
    "10.0.0.0/255.255.255.0", "10.0.0.0/0.0.0.255", "10.0.0.0/24/8", "01.2.3.0/24", "fd00::/129", "fd00::",
    "fe80::%1/64", "lan", " 10.0.0.0/8", "10.0.0.0/8\n", "１0.0.0",
]  # fmt: skip


@pytest.mark.parametrize(("text", "canonical", "gateway"), NETWORKS)
def test_a_network_is_read_and_its_gateway_is_its_first_host(text: str, canonical: str, gateway: str | None) -> None:
    network = networks.parse_network(text)
    assert str(network) == canonical
    found = networks.default_gateway(network)
    assert (None if found is None else str(found)) == gateway


@pytest.mark.parametrize("text", NO_NETWORKS)
def test_what_is_no_network_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is no network: write it as"):
        networks.parse_network(text)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("10.0.0.1/24", "10.0.0.0/24"),
        ("10.1.0.0/8", "10.0.0.0/8"),
        ("fd00::1/64", "fd00::/64"),
        ("1.2.3.5/31", "1.2.3.4/31"),
    ],
)
def test_host_bits_are_refused_with_what_to_write_instead(text: str, instead: str) -> None:
    with pytest.raises(ValueError, match=f"the network {text} has host bits set: write {instead}"):
        networks.parse_network(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("10.0.0.1", "10.0.0.1"), ("FD00:0:0::0A", "fd00::a"), ("::ffff:10.0.0.1", "::ffff:10.0.0.1"), ("::", "::")],
)
def test_an_address_is_canonical_whatever_its_spelling(text: str, canonical: str) -> None:
    assert networks.parse_address(text) == networks.parse_address(canonical)


@pytest.mark.parametrize(
    "text", ["", "10.0.0", "10.0.0.01", "10.0.0.256", "10.0.0.1/32", "fd00::/64", "fe80::1%eth0", "x", " ::1", "::1\n"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no IP address|has a zone"):
        networks.parse_address(text)


@given(st.ip_addresses(v=6))
def test_every_spelling_of_an_ipv6_address_is_the_same(address: object) -> None:
    compressed, exploded = str(address), networks.parse_address(str(address)).exploded
    assert networks.parse_address(exploded.upper()) == networks.parse_address(compressed) == address


@pytest.mark.parametrize(
    ("network", "gateway", "clause"),
    [
        ("10.0.0.0/24", "10.0.1.1", "is outside the network"),
        ("10.0.0.0/24", "fd00::1", "is outside the network"),
        ("10.0.0.0/24", "10.0.0.0", "is no host of the network"),
        ("10.0.0.0/24", "10.0.0.255", "is no host of the network"),
        ("fd00::/64", "fd00::", "is no host of the network"),
        ("10.0.0.0/24", "10.0.0", "is no IP address"),
    ],
)
def test_a_gateway_is_a_host_of_its_network(network: str, gateway: str, clause: str) -> None:
    with pytest.raises(ValueError, match=clause):
        networks.parse_gateway(gateway, networks.parse_network(network))


@pytest.mark.parametrize(
    ("network", "gateway"),
    [("10.0.0.0/24", "10.0.0.254"), ("10.0.0.4/31", "10.0.0.4"), ("10.0.0.4/32", "10.0.0.4"), ("fd00::/64", "fd00::f")],
)
def test_any_host_may_be_the_gateway(network: str, gateway: str) -> None:
    assert str(networks.parse_gateway(gateway, networks.parse_network(network))) == gateway


# ── as settings ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_network_and_gateway_are_settings() -> None:
    found = load(environment={"MARKETPLACE_NETWORK": "192.168.1", "MARKETPLACE_GATEWAY": "192.168.1.254"})
    assert (found.network, found.gateway) == ("192.168.1", "192.168.1.254")
    assert (Settings().network, Settings().gateway, Settings().network_alarm_percent) == (None, None, 90)


def test_a_gateway_alone_is_one_of_the_default_network() -> None:
    assert load(flags={"gateway": "172.16.0.254"}).gateway == "172.16.0.254"
    with pytest.raises(SettingsError, match=r"^The settings cannot be used: the gateway 10.0.0.1 is outside .*\.$"):
        load(flags={"gateway": "10.0.0.1"})
