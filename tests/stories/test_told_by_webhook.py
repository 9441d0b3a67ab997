"""A member has what happens sent to the receiver of the guide, loses it for a while, and gets what it missed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marketplace.client import Client
from marketplace.wire import webhooks as wire
from tests.conftest import StartServer
from tests.reports import documents
from tests.services.children import Child, free_port
from tests.services.server import clean_environment

GUIDE = "docs/guide/webhooks.md"
PATIENCE_SECONDS = 30


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def market(engine: str, database_url: str, start_server: StartServer, port: int) -> Iterator[Client]:
    flags = ("--webhook-allowed-hosts", f"127.0.0.1:{port}", "--webhook-retry-scale", "0.01")
    if engine == "postgres":
        start_server(database_url, *flags, command="work")
    server = start_server(database_url, *flags)
    with Client(server.url) as client:
        yield client


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_the_receiver_of_the_guide_is_told_and_misses_nothing(market: Client, port: int, tmp_path: Path) -> None:
    script = tmp_path / "receiver.py"
    script.write_text(documents.blocks(GUIDE, "python")[0], encoding="utf-8")
    made = market.create_webhook(f"http://127.0.0.1:{port}/hook", username="u1", kinds=["bid_placed"])
    environment = clean_environment() | {"SECRET": str(made.secret), "PORT": str(port)}
    identity = made.webhook.webhook_id
    log = tmp_path / "receiver.log"

    def start() -> Child:
        return Child([sys.executable, script], log=log, environment=environment)

    def told() -> list[str]:
        return [line.split()[0] for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("msg_")]

    receiver = start()
    tested = market.try_webhook(identity)
    until(lambda: told() == [tested.message_id])
    market.buy("u1", volume=3, price=2)
    market.buy("u2", volume=3, price=2)
    until(lambda: told() == [tested.message_id, "msg_hours_1"])

    # While nobody listens it is tried again; who comes back gets it, and nothing of anybody else's.
    receiver.end()
    market.buy("u1", volume=1, price=2)
    until(lambda: tried_in_vain(market, identity) == [3])
    receiver = start()
    until(lambda: told()[-1] == "msg_hours_3")
    until(lambda: states(market, identity) == ["delivered", "delivered"])

    # What was delivered is delivered again on demand, under the same ids.
    assert market.replay_events(identity, "hours", from_seq=1, to_seq=3).deliveries == 2
    until(lambda: sorted(told()[-2:]) == ["msg_hours_1", "msg_hours_3"])
    market.change_webhook(identity, state="disabled")
    market.buy("u1", volume=1, price=2)
    market.delete_webhook(identity)
    receiver.end()
    assert "Traceback" not in log.read_text(encoding="utf-8")


def tried_in_vain(market: Client, identity: int) -> list[int]:
    """Return what was tried, got no answer, and is to be tried again."""
    waiting = [one for one in market.webhook_deliveries(identity, state="pending") if one.attempts]
    return [one.seq for one in waiting if one.attempts[0].status is None]


def states(market: Client, identity: int) -> list[wire.DeliveryState]:
    return [one.state for one in market.webhook_deliveries(identity)]
