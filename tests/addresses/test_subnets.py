"""Which addresses a network can give out: sizes, spellings, gateways, exclusions."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.addresses import errors, subnets


@pytest.mark.parametrize(
    ("cidr", "gateway", "total", "reserved", "usable"),
    [
        ("192.168.1.0/24", "192.168.1.1", 254, 1, [(2, 254)]),
        ("10.0.0.0/8", "10.0.0.1", 2**24 - 2, 1, [(2, 2**24 - 2)]),
        ("10.0.0.0/29", "10.0.0.1", 6, 1, [(2, 6)]),
        ("10.0.0.0/30", "10.0.0.1", 2, 1, [(2, 2)]),
        ("10.0.0.0/31", None, 2, 0, [(0, 1)]),
        ("10.0.0.7/32", None, 1, 0, [(0, 0)]),
        ("0.0.0.0/0", "0.0.0.1", 2**32 - 2, 1, [(2, 2**32 - 2)]),
        ("2001:db8::/64", "2001:db8::1", 2**64 - 1, 1, [(2, 2**64 - 1)]),
        ("2001:db8::/126", "2001:db8::1", 3, 1, [(2, 3)]),
        ("2001:db8::/127", None, 2, 0, [(0, 1)]),
        ("2001:db8::1/128", None, 1, 0, [(0, 0)]),
        ("::/0", "::1", 2**128 - 1, 1, [(2, 2**128 - 1)]),
    ],
)
def test_prefixes_of_every_size(
    cidr: str, gateway: str | None, total: int, reserved: int, usable: list[subnets.Range]
) -> None:
    plan = subnets.plan(cidr)
    assert (plan.cidr, plan.gateway, plan.total, plan.reserved_count) == (cidr, gateway, total, reserved)
    assert list(plan.usable) == usable


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.168.1", "192.168.1.0/24"),
        ("2001:DB8:0:0::/64", "2001:db8::/64"),
        ("2001:0db8:0000::0/64", "2001:db8::/64"),
        ("::ffff:10.0.0.0/120", "::ffff:a00:0/120"),
    ],
)
def test_a_network_in_another_spelling_is_the_same(written: str, meant: str) -> None:
    assert subnets.plan(written).cidr in (meant, subnets.plan(meant).cidr)


@pytest.mark.parametrize(
    ("cidr", "sentence"),
    [
        ("10.0.0.1/24", "host bits set"),
        ("2001:db8::1/64", "host bits set"),
        ("10.0.0.0/33", "is no network"),
        ("10.0.0.0/255.255.255.0", "is no network"),
        ("10.0.0", ""),
        ("10.0.0.0", "is no network"),
        ("10.0.0.0/-1", "is no network"),
        ("010.0.0.0/8", "is no network"),
        ("fe80::%eth0/64", "is no network"),
        ("", "is no network"),
        ("10.0.0.0/24 ", "is no network"),
    ],
)
def test_what_is_no_network_is_refused(cidr: str, sentence: str) -> None:
    if not sentence:
        assert subnets.plan(cidr).cidr == f"{cidr}.0/24"
        return
    with pytest.raises(errors.BadNetwork, match=sentence) as caught:
        subnets.plan(cidr)
    assert caught.value.extra == {"field": "cidr"}


def test_the_gateway_may_be_any_host_or_none() -> None:
    assert subnets.plan("10.0.0.0/24", "10.0.0.254").usable == ((1, 253),)
    assert subnets.plan("10.0.0.0/24", "10.0.0.9").usable == ((1, 8), (10, 254))
    assert subnets.plan("10.0.0.0/24", None).usable == ((1, 254),)
    assert subnets.plan("2001:db8::/64", "2001:DB8:0::0F").gateway == "2001:db8::f"
    assert subnets.plan("10.0.0.0/31", "10.0.0.0").usable == ((1, 1),)
    assert subnets.plan("10.0.0.7/32", "10.0.0.7").usable == ()


@pytest.mark.parametrize("gateway", ["10.0.1.1", "10.0.0.0", "10.0.0.255", "2001:db8::1", "router", "10.0.0.1/24", ""])
def test_a_gateway_that_is_no_host_of_the_network_is_refused(gateway: str) -> None:
    with pytest.raises(errors.BadNetwork) as caught:
        subnets.plan("10.0.0.0/24", gateway)
    assert caught.value.extra == {"field": "gateway"}


def test_reserved_ranges_are_cut_out_merged_and_counted_once() -> None:
    reserved = ["10.0.0.20-10.0.0.29", "10.0.0.64/26", "10.0.0.30", "10.0.0.25-10.0.0.28", "10.0.0.1", "10.0.0.255"]
    plan = subnets.plan("10.0.0.0/24", reserved=reserved)
    assert plan.reserved == ((1, 1), (20, 30), (64, 127), (255, 255))
    assert plan.usable == ((2, 19), (31, 63), (128, 254))
    assert plan.reserved_count == 1 + 11 + 64


def test_a_network_may_be_reserved_whole() -> None:
    plan = subnets.plan("10.0.0.0/24", reserved=["10.0.0.0/24"])
    assert (plan.usable, plan.reserved_count) == ((), plan.total)


@pytest.mark.parametrize(
    "text", ["10.0.1.0", "10.0.0.9-10.0.0.5", "10.0.0.0/23", "10.0.0.5-2001:db8::1", "10.0.0.1/24", "a", "", "-", "::1"]
)
def test_a_reserved_range_that_is_not_inside_the_network_is_refused(text: str) -> None:
    with pytest.raises(errors.BadNetwork) as caught:
        subnets.plan("10.0.0.0/24", reserved=[text])
    assert caught.value.extra == {"field": "reserved"}


@given(
    prefix=st.integers(22, 32),
    door=st.none() | st.integers(0, 1023),
    ranges=st.lists(st.tuples(st.integers(0, 1023), st.integers(0, 1023)), max_size=6),
)
def test_usable_and_reserved_are_all_hosts_and_no_host_twice(
    prefix: int, door: int | None, ranges: list[tuple[int, int]]
) -> None:
    size = 2 ** (32 - prefix)
    hosts = set(range(size)) if size <= 2 else set(range(1, size - 1))
    base = 10 << 24
    reserved = [sorted((first % size, last % size)) for first, last in ranges]
    texts = [f"{subnets.text_of(4, base + first)}-{subnets.text_of(4, base + last)}" for first, last in reserved]
    gateway = None if door is None or door % size not in hosts else subnets.text_of(4, base + door % size)
    plan = subnets.plan(f"10.0.0.0/{prefix}", gateway, texts)
    closed = {offset for first, last in reserved for offset in range(first, last + 1)}
    closed |= {door % size} if door is not None and gateway else set()
    given_out = [offset for first, last in plan.usable for offset in range(first, last + 1)]
    assert given_out == sorted(hosts - closed)
    assert plan.total == len(hosts)
    assert plan.reserved_count == len(hosts & closed)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::0:1", "2001:db8::1"),
        ("0:0:0:0:0:0:0:0", "::"),
    ],
)
def test_an_address_in_any_spelling_is_told_in_one(written: str, meant: str) -> None:
    assert subnets.text_of(*subnets.parse(written)) == meant


@pytest.mark.parametrize(
    "text", ["10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.1/32", "fe80::1%eth0", " 10.0.0.1", "vm", ""]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(errors.BadAddress):
        subnets.parse(text)


@given(st.one_of(st.integers(0, 2**128 - 1), st.integers(0, 2**50), st.integers(0xFFFF << 32, 0xFFFFFFFFFFFF)))
def test_an_address_is_written_as_the_standard_library_writes_it(number: int) -> None:
    assert subnets.text_of(6, number) == str(ipaddress.IPv6Address(number))
    sparse = number & 0xFFFF_0000_0000_FFFF_0000_0000_0000_FFFF
    assert subnets.text_of(6, sparse) == str(ipaddress.IPv6Address(sparse))
