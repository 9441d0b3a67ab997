"""`webhooks` at the keyboard, against a real server that sends nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from marketplace.cli import root

if TYPE_CHECKING:
    from tests.conftest import StartServer

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
Run = Callable[[str], list[str]]


@pytest.fixture
def run(capsys: Capture, monkeypatch: pytest.MonkeyPatch, start_server: StartServer, sqlite_url: str) -> Run:
    """Run a command that must succeed against a server of its own, and return what it printed, line by line."""
    monkeypatch.setenv("MARKETPLACE_URL", start_server(sqlite_url, "--no-jobs").url)

    def run(line: str) -> list[str]:
        code = root.run(line.split())
        captured = capsys.readouterr()
        assert code == 0, captured.out + captured.err
        return [line.rstrip() for line in captured.out.splitlines()]

    return run


def test_a_day_with_a_webhook_at_the_keyboard(run: Run, capsys: Capture) -> None:
    assert run("webhooks list") == ["No webhooks."]
    made, secret = run("webhooks add https://hooks.example.org/a --username u1 --kind bid_placed --kind bid_expired")
    number = made.split()[1]
    assert made == f"Webhook {number} sends to https://hooks.example.org/a."
    assert secret.startswith("Its secret, shown this once: whsec_")
    assert run(f"webhooks change {number} --kind bid_placed --target https://hooks.example.org/b") == [
        f"Webhook {number} sends bid_placed to https://hooks.example.org/b."
    ]
    (document,) = run(f"webhooks change {number} --topic hours --kind= --json")
    assert (json.loads(document)["topics"], json.loads(document)["kinds"]) == (["hours"], [])
    assert run("webhooks list")[1].split()[:5] == [number, "u1", "https://hooks.example.org/b", "hours", "all"]
    (fresh,) = run(f"webhooks rotate {number}")
    assert fresh.startswith("Its secret, shown this once: whsec_")
    assert fresh != secret
    assert run(f"webhooks test {number}")[0].startswith("msg_money_")
    assert run("buy u1 3 2") == ["Bid 1: 0 allocated, 3 wait."]
    assert run(f"webhooks replay {number} 1 1") == ["On their way: 1."]
    assert run(f"webhooks log {number}")[1].split()[:3] == ["msg_hours_1", "pending", "0"]
    assert run(f"webhooks disable {number}") == [f"Webhook {number} is disabled."]
    assert root.run(["webhooks", "test", number]) == 1
    assert capsys.readouterr().err.startswith("Refused: ")
    assert run(f"webhooks enable {number}") == [f"Webhook {number} is enabled."]
    assert run(f"webhooks remove {number}") == [f"Webhook {number} is gone."]
