"""Calling a receiver: one POST, signed, to an address that was checked, within a bounded time.

The name is resolved once, every address that it has must be global, and the connection goes to one of those very
addresses. TLS still checks the certificate for the name. Redirections are not followed, no proxy is asked, and of the
answer no more than a bounded number of bytes is read.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpcore
import httpx
import msgspec

from marketplace.events import signing, targets
from marketplace.events.errors import BadTarget
from marketplace.events.model import Entry
from marketplace.events.webhook_model import Claimed, message_id
from marketplace.foundation import clock
from marketplace.foundation.clock import Instant

MOST_READ_BYTES = 64 * 1024
MOST_ADDRESSES = 3
"""Of one name, tried one after the other."""
MAX_ERROR = 200


class Reply(NamedTuple):
    """The receiver's status, or why there is none."""

    status: int | None
    error: str | None
    duration_micros: int


class _Payload(msgspec.Struct, frozen=True):
    """What Standard Webhooks recommends: `data` is the entry as `/api/v1/events` has it."""

    type: str
    timestamp: object
    data: msgspec.Raw


def payload(entry: Entry, at: Instant) -> bytes:
    """Return the body for an entry of a log, the same at every try."""
    written = _Payload(f"{entry.topic}.{entry.kind}", clock.to_datetime(at), msgspec.Raw(entry.json))
    return msgspec.json.encode(written)


class Courier:
    """Sends messages. `allowed` are hosts that the operator exempts from the checks."""

    def __init__(self, pool: httpcore.AsyncConnectionPool, allowed: Collection[str], timeout_seconds: float) -> None:
        self._pool = pool
        self._allowed = allowed
        self._timeout_seconds = timeout_seconds

    async def send(self, claimed: Claimed, body: bytes) -> Reply:
        """Call a webhook once. Whatever goes wrong is a reply."""
        began = time.monotonic()
        status, error = None, None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status = await self._post(claimed, body)
        except TimeoutError:
            error = f"no answer within {self._timeout_seconds:g} s"
        except BadTarget as refusal:
            error = refusal.detail
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as failure:
            error = f"{type(failure).__name__}: {failure}"[:MAX_ERROR]
        return Reply(status, error, round((time.monotonic() - began) * clock.SECOND))

    async def _post(self, claimed: Claimed, body: bytes) -> int:
        target = targets.parse(claimed.url, allowed=self._allowed)
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)
        headers = [("host", target.authority), *_headers(claimed, body)]
        async with self._pool.stream("POST", url, headers=headers, content=body) as response:
            received = 0
            async for chunk in response.aiter_stream():
                received += len(chunk)
                if received > MOST_READ_BYTES:
                    break  # the rest is not waited for: the connection is closed
            return int(response.status)


@asynccontextmanager
async def courier(*, allowed: Collection[str], timeout_seconds: float, connections: int) -> AsyncIterator[Courier]:
    """Open connections as they are needed, and close all of them at the end."""
    pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=5,
        network_backend=_CheckedNetwork(allowed),
    )
    async with pool:
        yield Courier(pool, allowed, timeout_seconds)


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to nothing else."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = allowed
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own word)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _resolve(host, port)
        if not targets.is_allowed(host, port, self._allowed) and not all(map(targets.is_global, addresses)):
            raise BadTarget("Its name has an address that is not one that everybody can reach.")
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (OSError, httpcore.NetworkError):
                continue
        return await self._network.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)


async def _resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, all of them looked at and a few of them tried."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [*dict.fromkeys(str(info[4][0]) for info in found)]
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses if len(addresses) <= MOST_ADDRESSES else _few(addresses)


def _few(addresses: list[str]) -> list[str]:
    """Shorten a list, but never by one that is not global: such a name is refused as a whole."""
    return sorted(addresses, key=targets.is_global)[:MOST_ADDRESSES]


def _headers(claimed: Claimed, body: bytes) -> list[tuple[str, str]]:
    identity, timestamp = message_id(claimed.lane, claimed.seq), int(time.time())
    signature = signing.sign(claimed.secrets, message_id=identity, timestamp_seconds=timestamp, body=body)
    return [
        ("content-type", "application/json"),
        ("user-agent", "marketplace-webhooks"),
        ("webhook-id", identity),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", signature),
    ]
