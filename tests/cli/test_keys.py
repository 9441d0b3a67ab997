"""`keys` and `members`: the first key on the server's machine, the others by it; real servers, both engines."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from marketplace.cli import root
from marketplace.client import Client, Forbidden, RateLimited, Retry, Unauthenticated

if TYPE_CHECKING:
    from tests.conftest import StartServer

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
Run = Callable[[str], list[str]]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    for name in ("MARKETPLACE_URL", "MARKETPLACE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MARKETPLACE_DATABASE_URL", database_url)


@pytest.fixture
def run(capsys: Capture) -> Run:
    """Run a command that must succeed, and return what it printed, line by line."""

    def run(line: str) -> list[str]:
        code = root.run(line.split())
        captured = capsys.readouterr()
        assert code == 0, captured.out + captured.err
        return [line.rstrip() for line in captured.out.splitlines()]

    return run


def test_from_the_first_key_to_a_trader(
    run: Run, start_server: StartServer, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (admin,) = run("keys create --admin --label first")
    assert run("keys list")[1].split() == [admin[3:19], "admin", "first", "admin", "good", "–"]
    url = start_server(database_url, "--auth", "keys").url
    monkeypatch.setenv("MARKETPLACE_URL", url)

    assert root.run(["members", "list"]) == 1
    assert "Say who you are" in capsys.readouterr().err
    monkeypatch.setenv("MARKETPLACE_KEY", admin)
    assert run("members create ann") == ["Created: ann."]
    (trader,) = run("keys create ann --scope read --scope trade --expires 2090-01-31")
    (provider,) = run("keys create bob --scope supply")
    assert [line.split()[0] for line in run("members list")[1:]] == ["admin", "ann", "bob"]

    assert run(f"buy ann 10 3 --key {trader}") == ["Bid 1: 0 allocated, 10 wait."]
    assert run(f"sell 4 --key {provider}") == ["Supply 2: 4 allocated, none left."]
    assert run(f"allocation --key {trader}") == ["4"]
    assert root.run(["buy", "bob", "1", "1", "--key", trader]) == 1
    assert "cannot act for 'bob'" in capsys.readouterr().err

    (row,) = run("keys list ann")[1:]
    assert row.split()[:6] == [trader[3:19], "ann", "–", "read", "trade", "until"]
    assert run(f"keys revoke {trader[3:19]}") == [f"Revoked: {trader[3:19]} of ann."]
    time.sleep(1)
    assert root.run(["bids", "--key", trader]) == 1
    assert "was revoked" in capsys.readouterr().err
    assert run("db audit")[-1].startswith("The books balance")


def test_on_the_embedded_database_a_running_server_is_to_be_asked_instead(
    run: Run, start_server: StartServer, database_url: str, engine: str, capsys: Capture
) -> None:
    start_server(database_url)
    code = root.run(["keys", "create", "--admin"])
    captured = capsys.readouterr()
    if engine == "postgres":
        assert code == 0
        assert re.fullmatch(r"mk_\w{16}_\w{64}\n", captured.out)
    else:
        assert code == 1
        assert "is in use by another process" in captured.err
        assert "the --key of an admin" in captured.err


def test_a_key_is_revoked_on_the_servers_machine_too(run: Run, capsys: Capture) -> None:
    (key,) = run("keys create ann")
    assert run(f"keys revoke {key[3:19]}") == [f"Revoked: {key[3:19]} of ann."]
    assert "revoked" in run("keys list")[1]
    assert root.run(["keys", "revoke", "f" * 16]) == 1
    assert "There is no key" in capsys.readouterr().err


def test_with_keys_any_address_may_be_listened_on(run: Run, start_server: StartServer, database_url: str) -> None:
    (admin,) = run("keys create --admin")
    server = start_server(database_url, "--auth", "keys", "--host", "0.0.0.0")
    with Client(server.url, key=admin) as client:
        assert client.me().username == "admin"
    with Client(server.url) as client, pytest.raises(Unauthenticated):
        client.me()


@pytest.mark.parametrize("engine", ["postgres"])  # the embedded database has one process
def test_a_revocation_is_felt_by_all_processes_within_a_second(
    run: Run, start_server: StartServer, database_url: str
) -> None:
    (admin,), (key,) = run("keys create --admin"), run("keys create ann")
    servers = [
        start_server(database_url, "--auth", "keys", "--workers", "2"),
        start_server(database_url, "--auth", "keys"),
    ]
    for server in servers * 10:
        with Client(server.url, key=key) as client:  # a connection of its own each, so that all processes get some
            client.me()
    with Client(servers[0].url, key=admin) as client:
        client.revoke_key(key[3:19])
    revoked_at = time.monotonic()
    last_let_in = 0.0
    while time.monotonic() < revoked_at + 1.5:
        for server in servers:
            with Client(server.url, key=key) as client:
                asked_at = time.monotonic()
                try:
                    client.me()
                    last_let_in = asked_at - revoked_at
                except Unauthenticated:
                    pass
    assert last_let_in < 1.0


def test_the_sdk_comes_back_when_it_has_sent_too_much(run: Run, start_server: StartServer, database_url: str) -> None:
    (key,) = run("keys create ann --scope trade")
    flags = ("--auth", "keys", "--rate-limit-per-second", "1", "--rate-limit-burst", "4")
    url = start_server(database_url, *flags).url
    with Client(url, key=key) as client:
        assert [client.buy(volume=1, price=1).bid_id for _ in range(5)] == [1, 2, 3, 4, 5]
        with pytest.raises(Forbidden):
            client.me()
    with Client(url, key=key, retry=Retry(tries=1)) as client, pytest.raises(RateLimited):
        print([client.buy(volume=1, price=1) for _ in range(100)])  # slower than one a second is no machine
