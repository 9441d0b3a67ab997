"""`marketplace ip` and the networks that `serve` is started with, against real servers on both engines."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from marketplace.cli import root
from marketplace.client import Client

if TYPE_CHECKING:
    from tests.conftest import StartServer

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
Run = Callable[[str], list[str]]


@pytest.fixture
def run(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, start_server: StartServer, database_url: str
) -> Callable[[str], list[str]]:
    """Run a command that must succeed against a server of its own, and return what it printed, line by line."""
    monkeypatch.setenv("MARKETPLACE_URL", start_server(database_url).url)

    def run(line: str) -> list[str]:
        code = root.run(line.split())
        captured = capsys.readouterr()
        assert code == 0, captured.out + captured.err
        assert "\x1b" not in captured.out
        return [line.rstrip() for line in captured.out.splitlines()]

    return run


def test_a_day_with_addresses_at_the_keyboard(run: Run, capsys: Capture) -> None:
    assert run("ip list") == ["No assignments."]
    first = ["vm-1 has 172.16.0.2 in 172.16.0.0/24, gateway 172.16.0.1."]
    assert run("ip allocate vm-1 --hostname web") == run("ip allocate vm-1") == run("ip show vm-1") == first
    (document,) = run("ip allocate vm-2 --ip 172.16.0.9 --owner ann --json")
    assert json.loads(document)["ip"] == "172.16.0.9"
    header, *rows = run("ip list")
    assert header.split() == ["address", "vm", "hostname", "network"]
    assert [row.split()[:3] for row in rows] == [["172.16.0.2", "vm-1", "web"], ["172.16.0.9", "vm-2", "–"]]
    assert [json.loads(line)["vm_id"] for line in run("ip list --json")] == ["vm-1", "vm-2"]
    assert run("ip stats")[-1].split() == ["172.16.0.0/24", "172.16.0.1", "254", "2", "1", "0", "251"]
    assert run("ip networks")[-1].split()[0] == "default"
    assert run("ip release vm-1") == ["vm-1 gave 172.16.0.2 back."]
    assert run("ip release --ip 172.16.0.9") == ["vm-2 gave 172.16.0.9 back."]
    for line in ("ip show vm-1", "ip release vm-1", "ip release --ip 172.16.0.9", "ip allocate stats"):
        assert root.run(line.split()) == 1
        assert capsys.readouterr().err.startswith("Refused: ")
    assert run("log --lane addresses --after 1")[0].split()[3] == "address_assigned"


def test_a_list_that_is_cut_says_so(run: Run, capsys: Capture) -> None:
    for number in range(3):
        run(f"ip allocate vm-{number}")
    assert root.run(["ip", "list", "--limit", "2"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert captured.err.strip() == "There are more: raise --limit."


def test_orphans_are_shown_and_then_released(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for vm_id in ("live", "gone"):
        run(f"ip allocate {vm_id}")
    file = tmp_path / "live.txt"
    file.write_text("live\n\n  other  \n", encoding="utf-8")
    assert run(f"ip reconcile {file}") == ["No orphans."], "they are young"
    shown = run(f"ip reconcile {file} --grace-seconds 0")
    assert shown[1].split()[:2] == ["172.16.0.3", "gone"]
    assert shown[-1] == "To release with --apply: 1."
    monkeypatch.setattr("sys.stdin", io.StringIO("live\n"))
    assert run("ip reconcile - --grace-seconds 0 --apply")[-1] == "Released: 1."
    assert [json.loads(line)["vm_id"] for line in run("ip list --json")] == ["live"]


# ── serve --network --gateway ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "ip", "gateway", "network"),
    [
        (("--network", "192.168.1", "--gateway", "192.168.1.1"), "192.168.1.2", "192.168.1.1", "192.168.1.0/24"),
        (("-n", "10.0.0.0/8", "-g", "10.0.0.9"), "10.0.0.1", "10.0.0.9", "10.0.0.0/8"),
        (("-n", "fd00::/64"), "fd00::2", "fd00::1", "fd00::/64"),
    ],
)
def test_serve_gives_addresses_of_the_network_that_it_is_told(
    start_server: StartServer, database_url: str, flags: tuple[str, ...], ip: str, gateway: str, network: str
) -> None:
    with Client(start_server(database_url, *flags).url) as client:
        found = client.allocate_ip("vm-1")
    assert (found.ip, found.gateway, found.network) == (ip, gateway, network)


def test_a_restart_with_another_network_keeps_the_old_one_with_its_assignments(
    start_server: StartServer, database_url: str
) -> None:
    server = start_server(database_url)
    with Client(server.url) as client:
        first = client.allocate_ip("vm-1")
    assert server.stop() == 0
    server = start_server(database_url, "--network", "192.168.1")
    with Client(server.url) as client:
        assert client.allocate_ip("vm-1").ip == "192.168.1.2"
        assert client.assigned_ip("vm-1", network="default") == first
        assert sorted(one.cidr for one in client.networks()) == ["172.16.0.0/24", "192.168.1.0/24"]


def test_flags_that_contradict_a_stored_network_end_the_start_with_a_sentence(
    start_server: StartServer, database_url: str, capsys: Capture
) -> None:
    start_server(database_url).stop()
    for flags, sentence in (
        ("--gateway 172.16.0.9", "The network 172.16.0.0/24 is stored with the gateway 172.16.0.1, not 172.16.0.9."),
        ("-n 172.16.0.0/24 -g 172.16.0.9", "is stored with the gateway 172.16.0.1, not 172.16.0.9."),
        ("-n 172.16.0.0/16", "172.16.0.0/16 overlaps the network 'default', which is 172.16.0.0/24."),
    ):
        capsys.readouterr()
        assert root.run(["serve", "--port", "1", "--database-url", database_url, *flags.split()]) == 2
        assert capsys.readouterr().err.strip().splitlines()[-1].endswith(sentence)
    with Client(start_server(database_url, "-n", "172.16.0", "-g", "172.16.0.1").url) as client:
        assert [one.gateway for one in client.networks()] == ["172.16.0.1"]


def test_several_processes_give_each_vm_one_address(start_server: StartServer, postgres_url: str) -> None:
    server = start_server(postgres_url, "--workers", "2", "--network", "192.168.1")
    given = set()
    for number in range(20):
        with Client(server.url) as client:  # a connection of its own each, so that both processes get some
            given.add(client.allocate_ip(f"vm-{number % 10}").ip)
    assert given == {f"192.168.1.{last}" for last in range(2, 12)}
