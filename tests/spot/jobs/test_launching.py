"""What a backend is asked for when a lease is to start."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.spot import connections
from marketplace.spot.commands import Container
from marketplace.spot.compute import Spec
from marketplace.spot.duties import Duty, Launch
from marketplace.spot.launching import spec_of

WANTED = Container(
    image="ghcr.io/town/thing:1",
    cpu_millis=500,
    memory_mib=64,
    command=("run", "$HOME; rm -rf /"),
    environment={"A": "1"},
)


def duty(container: Container = WANTED, **changes: Any) -> Duty:
    fields: dict[str, Any] = dict.fromkeys(Duty.__struct_fields__)
    fields |= {"lease_id": 7, "bid_id": 5, "notice_secret": "s3cret", "launch": Launch(container, 600)}
    return Duty(**fields | changes)


def test_a_container_is_asked_for_as_its_bid_says() -> None:
    spec = spec_of(duty(), address=None, public_url=None)
    assert spec == Spec(
        lease_id="l7",
        image="ghcr.io/town/thing:1",
        cpu_millis=500,
        memory_mib=64,
        command=("run", "$HOME; rm -rf /"),
        environment={"A": "1", "MARKETPLACE_BID_ID": "5", "MARKETPLACE_LEASE_ID": "7"},
        grace_seconds=600,
    )


def test_it_is_told_its_address_and_where_its_notice_is() -> None:
    told = spec_of(duty(), address="10.0.0.9", public_url="https://market.example.org").environment
    assert told["MARKETPLACE_ADDRESS"] == "10.0.0.9"
    url = "https://market.example.org/api/v1/spot/leases/7/notice?secret=s3cret"
    assert told["MARKETPLACE_NOTICE_URL"] == url


def test_what_it_is_told_about_itself_cannot_be_said_otherwise_by_its_member() -> None:
    container = Container(image="a", cpu_millis=500, memory_mib=64, environment={"MARKETPLACE_LEASE_ID": "8"})
    assert spec_of(duty(container), address=None, public_url=None).environment["MARKETPLACE_LEASE_ID"] == "7"


@pytest.mark.parametrize(
    "container",
    [
        Container(image="no image at all", cpu_millis=500, memory_mib=64),
        Container(image="a", cpu_millis=500, memory_mib=64, command=("",)),
        Container(image="a", cpu_millis=500, memory_mib=64, environment={"1": "x"}),
        Container(image="a", cpu_millis=1, memory_mib=64),
    ],
)
def test_what_no_backend_can_run_is_an_error_with_a_sentence(container: Container) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        spec_of(duty(container), address=None, public_url=None)


@pytest.mark.parametrize(("name", "lease_id"), [("l7", 7), ("l", None), ("x7", None), ("lx", None), ("7", None)])
def test_backends_name_a_lease_by_its_id(name: str, lease_id: int | None) -> None:
    assert connections.lease_of(name) == lease_id
    if lease_id is not None:
        assert connections.name_of(lease_id) == name
