"""Two processes write as fast as they can while two readers tail: none misses an entry, none is told one twice."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.races.town import Town

BATCH = 50
WRITERS = 4
"""Of each process."""
PATIENCE_SECONDS = 600


class Tailer:
    """A reader that notes every seq that it hears."""

    def __init__(self, url: str, until: int) -> None:
        self.seqs: list[int] = []
        self._url = url
        self._until = until

    async def stream(self, *, cut_off_after: int) -> None:
        """Read server-sent events, and come back with the last id each time that the connection was cut."""
        last_id = "hours:0"
        async with httpx.AsyncClient(base_url=self._url, timeout=60, trust_env=False) as client:
            while len(self.seqs) < self._until:
                heard = 0
                headers = {"Last-Event-ID": last_id}
                async with client.stream("GET", "/api/v1/events/stream?lanes=hours", headers=headers) as answer:
                    async for line in answer.aiter_lines():
                        if line.startswith("id: "):
                            last_id = line.removeprefix("id: ")
                        elif line.startswith("data: "):
                            self.seqs.append(json.loads(line.removeprefix("data: "))["seq"])
                            heard += 1
                        elif not line and (heard >= cut_off_after or len(self.seqs) >= self._until):
                            break

    async def poll(self) -> None:
        """Read by long polls."""
        after = 0
        async with httpx.AsyncClient(base_url=self._url, timeout=60, trust_env=False) as client:
            while after < self._until:
                query = {"after": str(after), "limit": "1000", "wait_seconds": "5"}
                page = (await client.get("/api/v1/events", params=query)).json()
                self.seqs += [event["seq"] for event in page["items"]]
                after = page["next"]


async def write(url: str, commands: int) -> None:
    """Send bids, a batch in each request."""
    order = {"side": "buy", "username": "u1", "volume": 1, "price": 1}
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        for _ in range(commands // BATCH):
            body = {"orders": [order] * BATCH}
            answer = await client.post("/api/v1/hours/markets/default/orders:batch", json=body)
            answer.raise_for_status()


@pytest.mark.slow
async def test_two_readers_hear_everything_once_while_two_processes_write(town: Town, *, is_soak: bool) -> None:
    commands = 50_000 if is_soak else 4_000
    share = commands // (WRITERS * len(town.urls))
    streaming, polling = Tailer(town.urls[0], commands), Tailer(town.urls[-1], commands)
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(streaming.stream(cut_off_after=commands // 7))
        group.create_task(polling.poll())
        for url in town.urls:
            for _ in range(WRITERS):
                group.create_task(write(url, share))
    for tailer in (streaming, polling):
        assert tailer.seqs == list(range(1, commands + 1))
