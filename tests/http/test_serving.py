"""The server around the application: it answers what it began, ends cleanly, and counts over all its processes."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import StartServer
from tests.services.server import ROOT

HERE = Path(__file__).parent
JSON = {"Content-Type": "application/json"}
LEASE_ID = 3
BUY = b'{"username":"u1","volume":1,"price":1}'


def test_a_request_in_flight_is_answered_before_the_server_ends(start_server: StartServer, sqlite_url: str) -> None:
    server = start_server(sqlite_url)
    assert server.child is not None
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = f"POST /buy HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BUY)}\r\nExpect: 100-continue\r\n"
        connection.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100")  # the handler waits for the body
        server.child.process.terminate()
        wait_until_closed(server.port)
        connection.sendall(BUY)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"bid_id":1' in answer
    assert server.stop() == 0


def wait_until_closed(port: int) -> None:
    """Return once nobody listens any more."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return
    raise AssertionError("the server still listens")


def test_the_log_is_one_json_object_a_line(start_server: StartServer, sqlite_url: str) -> None:
    server = start_server(sqlite_url)
    httpx.get(f"{server.url}/livez", headers={"X-Request-Id": "mine"})
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.read_log().splitlines()]
    mine = [line for line in lines if line.get("request_id") == "mine"]
    assert [(line["event"], line["status"]) for line in mine] == [("request", 200)]
    assert {"at", "level"} <= lines[0].keys()


def test_an_old_schema_keeps_the_server_from_starting(start_server: StartServer, empty_postgres_url: str) -> None:
    with pytest.raises(RuntimeError, match="marketplace db upgrade"):
        start_server(empty_postgres_url)


def test_several_processes_count_together(start_server: StartServer, postgres_url: str) -> None:
    server = start_server(postgres_url, "--workers", "2")
    for _ in range(40):
        # A connection of its own each, so that both processes get some.
        assert httpx.post(f"{server.url}/buy", content=BUY, headers=JSON, timeout=60).is_success
    texts = [httpx.get(f"{server.url}/metrics").text for _ in range(4)]
    for text in texts:
        assert orders_of(text) == 40
    assert server.stop() == 0


def orders_of(text: str) -> float:
    match = re.search(r'^marketplace_lane_orders_total\{lane="hours"\} (\S+)$', text, re.MULTILINE)
    assert match
    return float(match[1])


def lease_a_container(url: str) -> None:
    """Have a bid run on a node; it is the lease that the generated requests speak of."""
    room = {"cpu_millis": 1000, "memory_mib": 1024, "backend": "simulated"}
    httpx.post(f"{url}/api/v1/spot/pools/default/nodes", json=room | {"node": "n1"}).raise_for_status()
    bid = {"image": "a", "cpu_millis": 1000, "memory_mib": 1024, "max_price_per_hour": "9", "username": "u1"}
    httpx.post(f"{url}/api/v1/spot/bids", json=bid).raise_for_status()
    deadline = time.monotonic() + 30
    while httpx.get(f"{url}/api/v1/spot/leases/{LEASE_ID}").is_error:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_the_api_keeps_its_own_description(
    start_server: StartServer, sqlite_url: str, tmp_path: Path, *, is_soak: bool
) -> None:
    """Thousands of generated requests, right and wrong ones, and sequences of them: no failure, no warning."""
    server = start_server(sqlite_url, "--network", "10.0.0.0/8")
    for number in range(5):
        httpx.post(f"{server.url}/api/v1/ip/allocate", json={"vm_id": f"vm-{number}", "ip": f"10.1.0.{number}"})
    lease_a_container(server.url)
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command
    for name in ("schemathesis.toml", "schemathesis_hooks.py"):
        shutil.copy(HERE / name, tmp_path)
    done = subprocess.run(
        [
            *(command, "run", f"{server.url}/api/v1/openapi.json"),
            *("--max-examples", "100" if is_soak else "10", "--continue-on-failure", "--seed", "1"),
            *("--exclude-path-regex", "/stream$"),  # its answer has no end
            *("--exclude-path", "/api/v1/spot/leases/{lease_id}/notice"),  # only the lease knows its secret
            *("--exclude-path", "/api/v1/spot/leases/{lease_id}/simulate-eviction"),  # a lease is evicted once
        ],
        cwd=tmp_path,
        env=server.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout, done.stdout
    assert server.stop() == 0
