"""A receiver of webhooks in a process' own thread of events: notes what it is sent, and answers as it is told to."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import standardwebhooks


class Message(NamedTuple):
    """What came in one request."""

    path: str
    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def read(self, secret: str) -> dict[str, Any]:
        """Verify it as Standard Webhooks says, with its own library, and return what it says."""
        verified = standardwebhooks.Webhook(secret).verify(self.body, self.headers)
        assert json.loads(self.body) == verified
        document: dict[str, Any] = verified
        return document


HANG = -1
Decide = Callable[[Message, int], int]
"""Gives the status for a message at its n-th time (from 1), or HANG."""


class Receiver:
    """An HTTP server on loopback. Use it as an async context manager."""

    def __init__(self, decide: Decide = lambda _message, _times: 204) -> None:
        self.decide = decide
        self.received: list[Message] = []
        self.accepted: Counter[str] = Counter()
        """Messages answered 2xx, by path and id."""
        self.times: Counter[str] = Counter()
        self.most_at_once = 0
        self.body = b""
        self._at_once = 0
        self.let_go = asyncio.Event()
        """Set it to have those that hang answered at last."""
        self._heard = asyncio.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def until(self, is_so: Callable[[], bool], *, seconds: float = 20) -> None:
        """Wait until something that was received makes it so. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not is_so():
            self._heard.clear()
            async with asyncio.timeout(deadline - time.monotonic()):
                await self._heard.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while message := await _read(reader):
                if not await self._answer(message, writer):
                    return
        except (OSError, asyncio.IncompleteReadError):
            return  # who called has gone
        finally:
            writer.close()

    async def _answer(self, message: Message, writer: asyncio.StreamWriter) -> bool:
        name = f"{message.path} {message.id}"
        self.received.append(message)
        self.times[name] += 1
        status = self.decide(message, self.times[name])
        self._heard.set()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if status == HANG:
                await self.let_go.wait()
                status = 204
        finally:
            self._at_once -= 1
        self.accepted[name] += 200 <= status < 300
        location = b"Location: /elsewhere\r\n" if 300 <= status < 400 else b""
        writer.write(
            b"HTTP/1.1 %d Whatever\r\n%sContent-Length: %d\r\n\r\n%s" % (status, location, len(self.body), self.body)
        )
        self._heard.set()
        await writer.drain()
        return True


async def _read(reader: asyncio.StreamReader) -> Message | None:
    head = await reader.readuntil(b"\r\n\r\n")
    request, *lines = head.decode().rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Message(request.split()[1], headers, body.decode())
