"""Workers that call webhooks are killed in a storm, and their receiver fails 30 % and hangs 5 %: all is delivered.

The schedule is scaled so that its 75 hours pass in seconds. Each message is taken at its seventh time at the latest:
35 % of failures seven times in a row would be one message in 1 500, and the schedule ends after ten.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from marketplace.database import open_database
from tests.conftest import StartServer
from tests.events.receiver import HANG, Message, Receiver
from tests.services.server import Server

MEMBERS = 10
KILLS = 6
BATCH = 100
SECONDS = 400
FLAGS = ("--webhook-timeout-seconds", "1", "--webhook-retry-scale", "0.00005")


def fail_often(message: Message, times: int) -> int:
    """Fail 30 % and hang 5 %, the same way in every run."""
    dice = zlib.crc32(f"{message.path} {message.id} {times}".encode()) % 100
    return 200 if times >= 7 else 500 if dice < 30 else HANG if dice < 35 else 204


class Office:
    """The processes of one test: those that may be killed, and where orders are sent to."""

    def __init__(self, url: str, start: StartServer, *, engine: str, receiver: Receiver) -> None:
        flags = (*FLAGS, "--webhook-allowed-hosts", receiver.host)
        self.front = start(url, *flags, "--no-access-log")
        self.couriers: list[Server] = [self.front]
        if engine == "postgres":
            self.couriers = [start(url, *flags, command="work") for _ in range(2)]

    async def subscribe(self, url: str) -> dict[str, str]:
        """Make a webhook a member; return the secrets by path."""
        secrets = {}
        async with httpx.AsyncClient(base_url=self.front.url, trust_env=False, timeout=60) as client:
            for number in range(MEMBERS):
                body = {"url": f"{url}/{number}", "username": f"u{number}", "kinds": ["bid_placed"]}
                answer = await client.post("/api/v1/webhooks", json=body)
                secrets[f"/{number}"] = answer.raise_for_status().json()["secret"]
        return secrets

    async def order(self, count: int) -> None:
        orders = [
            {"side": "buy", "username": f"u{number % MEMBERS}", "volume": 1, "price": 1} for number in range(BATCH)
        ]
        async with httpx.AsyncClient(base_url=self.front.url, trust_env=False, timeout=60) as client:
            for _ in range(count // BATCH):
                answer = await client.post("/api/v1/hours/markets/default/orders:batch", json={"orders": orders})
                answer.raise_for_status()

    async def kill_one(self, number: int) -> None:
        courier = self.couriers[number % len(self.couriers)]
        courier.kill()
        await asyncio.to_thread(courier.restart)


@pytest.mark.slow
async def test_couriers_that_are_killed_deliver_everything(
    engine: str, database_url: str, start_server: StartServer, *, is_soak: bool
) -> None:
    count = 10_000 if is_soak else 500
    async with Receiver(fail_often) as receiver:
        office = Office(database_url, start_server, engine=engine, receiver=receiver)
        secrets = await office.subscribe(receiver.url)
        await office.order(count)
        for kill in range(1, KILLS + 1):
            wanted = count * kill // (KILLS + 2)
            await receiver.until(lambda wanted=wanted: len(receiver.accepted) >= wanted, seconds=SECONDS)  # type: ignore[misc]
            await office.kill_one(kill)
        expected = {f"/{seq % MEMBERS} msg_hours_{seq + 1}" for seq in range(count)}
        await receiver.until(lambda: set(+receiver.accepted) >= expected, seconds=SECONDS)
        states = await settled(database_url)
    assert set(+receiver.accepted) == expected, "it was sent what it did not ask for"
    assert states == {"delivered": count}
    for message in receiver.received:
        message.read(secrets[message.path])
    failures = Counter(fail_often(message, 1) >= 500 for message in receiver.received)
    assert failures[True] > count / 10, "the receiver hardly failed"


async def settled(url: str) -> dict[str, int]:
    """Wait until nothing is pending; return how many deliveries are in which state."""
    database = open_database(url)

    def read(tx: sa.Connection) -> dict[str, Any]:
        return {row[0]: row[1] for row in tx.exec_driver_sql("SELECT state, count(*) FROM deliveries GROUP BY state")}

    try:
        async with asyncio.timeout(SECONDS):
            while "pending" in (states := await database.read(read)):  # noqa: ASYNC110 (other processes do it)
                await asyncio.sleep(0.1)
        return states
    finally:
        await database.close()
