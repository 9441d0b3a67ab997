"""A secret is in no line of a log and in no row of a database: the whole of both is searched for it."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from marketplace.cli import root
from tests.services import postgres

if TYPE_CHECKING:
    from tests.conftest import StartServer

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]


def dump(url: str) -> str:
    """Return everything that a database holds, as a backup would."""
    if url.startswith("sqlite:"):
        file = url.removeprefix("sqlite:///")
        with sqlite3.connect(file) as connection:
            text = "\n".join(connection.iterdump())
        connection.close()
        raw = b"".join(path.read_bytes() for path in Path(file).parent.glob(f"{Path(file).name}*"))
        return text + raw.decode("latin-1")
    command = [str(postgres.binaries() / "pg_dump"), "--dbname", url]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def misuses(url: str, key: str) -> Iterator[httpx.Response]:
    """Send a key in every way that goes wrong, and in those that go right."""
    good, broken = {"Authorization": f"Bearer {key}"}, {"Content-Type": "application/json"}
    tampered = key[:-1] + ("0" if key[-1] != "0" else "1")
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client.get("/api/v1/me", headers=good)
        yield client.post("/buy", json={"volume": 1, "price": 1}, headers=good)
        yield client.post("/api/v1/keys", json={"scopes": ["read"]}, headers=good | {"Idempotency-Key": "k"})
        yield client.post("/api/v1/keys", json={"scopes": ["read"]}, headers=good | {"Idempotency-Key": "k"})
        yield client.post("/buy", content=b"{", headers=good | broken)
        yield client.get("/nowhere", headers=good)
        yield client.get("/api/v1/me", headers={"Authorization": key})
        yield client.get("/api/v1/me", headers={"Authorization": f"Basic {key}"})
        yield client.get("/api/v1/me", headers={"Authorization": f"Bearer {key} {key}"})
        yield client.get("/api/v1/me", headers={"Authorization": f"Bearer {tampered}"})
        yield client.get("/api/v1/me", headers=good | {"Host": "rebound.example"})


def test_a_secret_is_in_no_log_and_in_no_dump(database_url: str, start_server: StartServer, capfd: Capture) -> None:
    assert root.run(["keys", "create", "--admin", "--database-url", database_url]) == 0
    printed = capfd.readouterr()
    key = printed.out.strip()
    server = start_server(database_url, "--auth", "keys", "--debug")
    answers = list(misuses(server.url, key))
    assert [answer.status_code for answer in answers] == [200, 200, 201, 201, 400, 404, 401, 401, 401, 401, 421]
    made = answers[2].json()["key"]
    assert server.stop() == 0
    log, stored = printed.err + server.read_log(), dump(database_url)
    assert '"/api/v1/me"' in log or "path=/api/v1/me" in log, "the log is the one of these requests"
    for secret in (key[-64:], made[-64:]):
        digest = hashlib.sha256(secret.encode()).hexdigest()
        assert digest in stored, "the dump is a whole one"
        assert digest not in log
        assert secret not in log
        assert secret not in stored
    told = "".join(answer.text + str(answer.headers) for answer in answers)
    assert (told.count(key[-64:]), told.count(made[-64:])) == (0, 1)
