"""A fleet's days: scripts ask at every boot, more VMs boot than there are addresses, and some vanish without a word."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace.client import Client, NotFound, Unavailable
from tests.reports import documents
from tests.services.server import Server

GUIDE = "docs/guide/addresses.md"

Answers = list[httpx.Response]


def at_once(server: Server, requests: list[tuple[str, str, dict[str, Any] | None]]) -> Answers:
    """Send all requests at the same time, over connections of their own, and return their answers in order."""

    async def send() -> Answers:
        limits = httpx.Limits(max_connections=len(requests))
        async with httpx.AsyncClient(base_url=server.url, limits=limits, timeout=60, trust_env=False) as client:
            return await asyncio.gather(*(client.request(method, path, json=body) for method, path, body in requests))

    return asyncio.run(send())


def boots(names: list[str]) -> list[tuple[str, str, dict[str, Any] | None]]:
    return [("POST", "/api/v1/ip/allocate", {"vm_id": name}) for name in names]


def statuses(answers: Answers) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_the_documented_boot_script_configures_the_same_address_at_every_boot(server: Server, tmp_path: Path) -> None:
    script = tmp_path / "boot.sh"
    script.write_text(documents.blocks(GUIDE, "bash")[0], encoding="utf-8")
    log = tmp_path / "ip.log"
    stand_in = tmp_path / "ip"
    stand_in.write_text(f'#!/bin/sh\necho "$*" >> {log}\n', encoding="utf-8")
    stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    for vm_id in ("vm-1", "vm-2", "vm-1"):
        environment = {"PATH": path, "MARKETPLACE_URL": server.url, "VM_ID": vm_id, "HOSTNAME": f"{vm_id}.example.org"}
        done = subprocess.run(["bash", script], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    first, second = (
        [f"address replace 172.16.0.{last}/24 dev eth0", "route replace default via 172.16.0.1"] for last in (2, 3)
    )
    assert log.read_text(encoding="utf-8").splitlines() == [*first, *second, *first]


def test_three_hundred_vms_boot_at_once_on_a_network_for_253(server: Server, market: Client) -> None:
    names = [f"vm-{number}" for number in range(300)]
    answers = at_once(server, boots(names))
    assert statuses(answers) == {201: 253, 503: 47}
    given = {answer.json()["vm_id"]: answer.json()["ip"] for answer in answers if answer.status_code == 201}
    assert set(given.values()) == {f"172.16.0.{last}" for last in range(2, 255)}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["code"] for answer in refused} == {"addresses.network_exhausted"}
    assert not [answer for answer in refused if "retry-after" in answer.headers]

    # Who has an address is told so all the same; who waits gets the first one that is given back.
    vm_id, ip = next(iter(given.items()))
    assert market.allocate_ip(vm_id).ip == ip
    late = next(name for name in names if name not in given)
    with pytest.raises(Unavailable) as caught:
        market.allocate_ip(late)
    assert not caught.value.may_be_tried_again
    market.release_ip(vm_id)
    assert market.allocate_ip(late).ip == ip
    assert market.ip_stats().available == 0


def test_a_hundred_copies_of_one_boot_get_one_address(server: Server, market: Client) -> None:
    answers = at_once(server, boots(["vm-1"] * 100))
    assert statuses(answers) == {201: 100}
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    stats = market.ip_stats()
    assert (stats.allocated, stats.available) == (1, 252)
    assert len(list(market.events("addresses"))) == 2, "the network, and the one assignment"


def test_two_who_release_the_same_address_at_once_release_it_once(server: Server, market: Client) -> None:
    for number in range(20):
        ip = market.allocate_ip(f"vm-{number}").ip
        answers = at_once(
            server,
            [("DELETE", f"/api/v1/ip/release/vm-{number}", None), ("DELETE", f"/api/v1/ip/release-by-ip/{ip}", None)],
        )
        assert statuses(answers) == {200: 1, 404: 1}
    assert market.ip_stats().allocated == 0


def test_a_certain_address_goes_to_one_of_all_who_ask_for_it(server: Server, market: Client) -> None:
    requests = boots([f"vm-{number}" for number in range(50)])
    answers = at_once(
        server, [(method, path, {**(body or {}), "ip": "172.16.0.99"}) for method, path, body in requests]
    )
    assert statuses(answers) == {201: 1, 409: 49}
    assert [one.ip for one in market.assigned_ips()] == ["172.16.0.99"]


def test_vms_that_vanish_without_a_word_are_found_and_their_addresses_given_out_again(market: Client) -> None:
    for number in range(6):
        market.allocate_ip(f"vm-{number}", hostname=f"node-{number}")
    live = ["vm-0", "vm-2", "vm-4"]
    assert market.reconcile_ips(live).orphans == [], "an hour is left to a VM that boots"
    found = market.reconcile_ips(live, grace_seconds=0)
    assert [one.vm_id for one in found.orphans] == ["vm-1", "vm-3", "vm-5"]
    assert market.reconcile_ips(live, grace_seconds=0, apply=True).orphans == found.orphans
    assert [one.vm_id for one in market.assigned_ips(page_size=2)] == live
    assert market.allocate_ip("new").ip == found.orphans[0].ip, "the lowest free address is given out first"
    with pytest.raises(NotFound):
        market.release_ip("vm-1")


def test_a_machine_has_an_address_of_each_network_and_ipv6_ones_are_drawn(market: Client) -> None:
    market.create_network("v6", "FD00::/64", allocation="random", reserved=["fd00::100-fd00::1ff"])
    names = [f"vm-{number}" for number in range(50)]
    drawn = [market.allocate_ip(name, network="v6").ip for name in names]
    assert len(set(drawn)) == 50
    assert drawn != sorted(drawn, key=ip_address), "neighbours tell nothing about each other"
    assert [market.allocate_ip(name).ip for name in names[:2]] == ["172.16.0.2", "172.16.0.3"]
    stats = market.ip_stats(network="v6")
    assert stats.total == stats.allocated + stats.reserved + stats.resting + stats.available == 2**64 - 1
    assert stats.reserved == 256 + 1
