"""A server that asks for keys, in this process, and who calls it: an admin, two members, and keys of every kind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from litestar.testing import TestClient

from marketplace import identity, worker
from marketplace.app import create_app
from marketplace.database import money
from marketplace.foundation import clock
from marketplace.foundation.settings import Settings
from tests.http.conftest import ORIGIN, Client

ALL_BUT_ADMIN = ("read", "trade", "supply", "solve")


class Keyed:
    """A client that calls by one key or another. `tokens` has the keys by their names here."""

    def __init__(self, client: Client, tokens: dict[str, str]) -> None:
        self.client = client
        self.tokens = tokens

    def call(self, who: str | None, method: str, path: str, **more: Any) -> Any:
        """Send a request by the key of this name, or without any."""
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        return self.client.request(method, path, headers=headers, **more)

    def get(self, who: str | None, path: str, **more: Any) -> Any:
        return self.call(who, "GET", path, **more)

    def post(self, who: str | None, path: str, body: object, **more: Any) -> Any:
        return self.call(who, "POST", path, json=body, **more)

    def done(self, who: str | None, method: str, path: str, **more: Any) -> Any:
        """Send a request that has to succeed, and return its answer."""
        answer = self.call(who, method, path, **more)
        assert answer.is_success, answer.text
        return answer.json()


@contextmanager
def keyed(database_url: str, **settings: Any) -> Iterator[Keyed]:
    """Serve a database to keys: `admin`; `ann` and `bob`, who may all but that; `ann read`, …; some of no use."""
    with_keys = Settings(database_url=database_url, auth="keys", jobs=False, **settings)
    tokens = asyncio.run(_make_keys(with_keys))
    with TestClient(create_app(with_keys), base_url=ORIGIN, raise_server_exceptions=False) as client:
        yield Keyed(client, tokens)


async def _make_keys(settings: Settings) -> dict[str, str]:
    """Make the keys as the command line does, in the database itself."""
    service = worker.resources(settings)
    tokens = {"unknown": identity.make_key().token, "malformed": "mk_1"}
    async with worker.running(service):
        lane = service.lanes[money.LANE]

        async def make(name: str, username: str, *scopes: str, expires_in: int | None = None) -> str:
            drawn = identity.make_key()
            expires_at = None if expires_in is None else clock.now() + expires_in
            command = identity.CreateKey(drawn.key_id, drawn.secret_hash, username, scopes, name, expires_at)
            tokens[name] = drawn.token
            key: identity.Key = await lane.run(command)
            return key.key_id

        for username in ("admin", "ann", "bob"):
            await lane.run(identity.CreateMember(username))
        await make("admin", "admin", "admin")
        for username in ("ann", "bob"):
            await make(username, username, *ALL_BUT_ADMIN)
        for scope in ALL_BUT_ADMIN:
            await make(f"ann {scope}", "ann", scope)
        await lane.run(identity.RevokeKey(await make("revoked", "ann", *identity.SCOPES)))
        for seconds in (0.05, 0.5, 5.0):  # what expires has to be made first, which takes as long as it takes
            with contextlib.suppress(identity.errors.ExpiryPassed):
                await make("expired", "ann", *identity.SCOPES, expires_in=round(seconds * clock.SECOND))
                break
        await asyncio.sleep(seconds)
    return tokens
