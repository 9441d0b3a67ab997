"""Both clients behind one face, so that each test runs through both of them from the same table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from marketplace.client import AsyncClient, Client, Retry

Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class Caller:
    """Calls a method by name on a client whose server is `handler`, and collects what an iterator yields."""

    is_async: bool
    handler: Handler
    retry: Retry = field(default_factory=Retry)
    slept: list[float] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, method: str, *args: Any, **named: Any) -> Any:
        return asyncio.run(self._await(method, *args, **named)) if self.is_async else self._call(method, *args, **named)

    def _clock(self) -> float:
        """Time that passes only in sleep."""
        return sum(self.slept)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.handler(request)

    def _call(self, method: str, *args: Any, **named: Any) -> Any:
        transport = httpx.MockTransport(self._serve)
        with Client(retry=self.retry, transport=transport, sleep=self.slept.append, clock=self._clock) as client:
            found = getattr(client, method)(*args, **named)
            return list(found) if isinstance(found, Iterator) else found

    async def _await(self, method: str, *args: Any, **named: Any) -> Any:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        transport = httpx.MockTransport(self._serve)
        async with AsyncClient(retry=self.retry, transport=transport, sleep=sleep, clock=self._clock) as client:
            found = getattr(client, method)(*args, **named)
            return [row async for row in found] if isinstance(found, AsyncIterator) else await found


def answers(*steps: httpx.Response | Exception) -> Handler:
    """Answer the first request with the first step, and so on; an exception is raised as the transport would."""
    remaining = iter(steps)

    def handler(request: httpx.Request) -> httpx.Response:
        step = next(remaining)
        if isinstance(step, httpx.RequestError):
            step.request = request
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)  # a response is used once

    return handler


def problem(
    status: int, code: str, detail: str = "No.", *, retry_after: str | None = None, **extra: Any
) -> httpx.Response:
    """Return an error as the service writes it."""
    body = {"type": f"/problems/{code}", "title": "No", "status": status, "code": code, "detail": detail, **extra}
    headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": retry_after} if retry_after else {})
    return httpx.Response(status, json=body, headers=headers)
